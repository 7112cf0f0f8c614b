-- The carriers' side of sessions: which call at which account belongs to which session, and how far it has come. `call_id` is empty until
-- the carrier has named the call; `answer` is what its first webhook was answered with, sealed; `conversation_id` is the conversation that was
-- charged for it. A call that is not the main one is to somebody whom the session's caller is handed over to.
CREATE TABLE carrier_calls (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id   text        NOT NULL,
    environment text        NOT NULL CHECK (environment IN ('live', 'sandbox')),
    provider    text        NOT NULL,
    account     text        NOT NULL,
    call_id     text        NOT NULL DEFAULT '',
    session_id  text        NOT NULL,
    attempt_id  text,
    is_main     boolean     NOT NULL DEFAULT true,
    phase       text,
    answered_by text,
    seconds     double precision,
    answer      bytea,
    language    text        NOT NULL DEFAULT 'en-US',
    claimed_at  timestamptz NOT NULL,
    ended_at    timestamptz,
    conversation_id text,
    created_at  timestamptz NOT NULL
);
CREATE UNIQUE INDEX carrier_calls_call ON carrier_calls (provider, account, call_id) WHERE call_id <> '';
CREATE UNIQUE INDEX carrier_calls_expected ON carrier_calls (session_id, coalesce(attempt_id, '')) WHERE call_id = '';
CREATE INDEX carrier_calls_session ON carrier_calls (session_id);
CREATE INDEX carrier_calls_created ON carrier_calls (created_at);
SELECT isolate_tenants('carrier_calls');

-- Events of carriers that have been acted upon, for as long as they repeat themselves.
CREATE TABLE carrier_events (
    tenant_id   text        NOT NULL,
    environment text        NOT NULL CHECK (environment IN ('live', 'sandbox')),
    provider    text        NOT NULL,
    account     text        NOT NULL,
    event_id    text        NOT NULL,
    seen_at     timestamptz NOT NULL,
    PRIMARY KEY (provider, account, event_id)
);
CREATE INDEX carrier_events_seen ON carrier_events (seen_at);
SELECT isolate_tenants('carrier_events');
