-- Calls that tenants have placed. `due_at`: when a waiting call is looked at next. `metadata` reach the session.
CREATE TABLE outbound_calls (
    id                  text PRIMARY KEY,
    tenant_id           text        NOT NULL,
    environment         text        NOT NULL CHECK (environment IN ('live', 'sandbox')),
    agent_id            text        NOT NULL,
    from_number         text        NOT NULL,
    to_number           text        NOT NULL,
    status              text        NOT NULL CHECK (status IN ('scheduled', 'queued', 'initiating', 'ringing', 'in_progress',
                                                               'completed', 'failed', 'no_answer', 'busy', 'cancelled', 'voicemail')),
    scheduled_for       timestamptz,
    due_at              timestamptz NOT NULL,
    attempt_id          text,
    initiated_at        timestamptz,
    connected_at        timestamptz,
    ended_at            timestamptz,
    conversation_id     text,
    metadata            jsonb       NOT NULL DEFAULT '{}',
    end_reason          text,
    answered_by         text,
    max_retries         integer     NOT NULL CHECK (max_retries BETWEEN 0 AND 3),
    retry_delay_minutes integer     NOT NULL CHECK (retry_delay_minutes > 0),
    retry_count         integer     NOT NULL DEFAULT 0,
    put_off_count       integer     NOT NULL DEFAULT 0,
    batch_id            text,
    created_by          text,
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL
);
CREATE INDEX outbound_calls_list ON outbound_calls (tenant_id, environment, created_at DESC, id DESC);
CREATE INDEX outbound_calls_number ON outbound_calls (tenant_id, environment, to_number);
CREATE INDEX outbound_calls_campaign ON outbound_calls (tenant_id, environment, (metadata ->> 'campaignId'))
    WHERE metadata ? 'campaignId';
CREATE INDEX outbound_calls_due ON outbound_calls (tenant_id, environment, due_at, id) WHERE status IN ('scheduled', 'queued');
CREATE INDEX outbound_calls_placed ON outbound_calls (tenant_id, environment) WHERE status IN ('initiating', 'ringing', 'in_progress');
SELECT isolate_tenants('outbound_calls');

-- One row an attempt to reach somebody: what is known of it, each fact written once. It is committed before the carrier is asked, and its
-- carrier is asked once. `due_at`: when somebody looks after it, until nothing is left to do. `stream_token` opens the media socket; it is
-- kept only while the carrier's answer is out.
CREATE TABLE dial_attempts (
    id               text PRIMARY KEY,
    tenant_id        text        NOT NULL,
    environment      text        NOT NULL CHECK (environment IN ('live', 'sandbox')),
    call_id          text        NOT NULL REFERENCES outbound_calls (id) ON DELETE CASCADE,
    provider         text        NOT NULL,
    account          text        NOT NULL,
    detection        text        NOT NULL DEFAULT 'off',
    ring_seconds     integer     NOT NULL,
    longest_seconds  integer     NOT NULL,
    session_id       text,
    conversation_id  text,
    stream_token     text,
    carrier_call_id  text        NOT NULL DEFAULT '',
    planned_at       timestamptz NOT NULL,
    asked_at         timestamptz,
    dialled_at       timestamptz,
    ringing_at       timestamptz,
    answered_at      timestamptz,
    talking_at       timestamptz,
    carrier_end      text,
    carrier_ended_at timestamptz,
    session_end      text,
    session_ended_at timestamptz,
    has_message      boolean     NOT NULL DEFAULT false,
    given_up         text,
    settled_at       timestamptz,
    overdue_at       timestamptz,
    due_at           timestamptz,
    clearings        integer     NOT NULL DEFAULT 0
);
CREATE INDEX dial_attempts_call ON dial_attempts (call_id);
CREATE INDEX dial_attempts_session ON dial_attempts (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX dial_attempts_due ON dial_attempts (due_at) WHERE due_at IS NOT NULL;
SELECT isolate_tenants('dial_attempts');

-- When and how a tenant places calls. Without a row the defaults hold.
CREATE TABLE outbound_call_settings (
    tenant_id            text    NOT NULL,
    environment          text    NOT NULL CHECK (environment IN ('live', 'sandbox')),
    calling_hours        jsonb,
    max_concurrent       integer NOT NULL CHECK (max_concurrent > 0),
    default_ring_seconds integer NOT NULL CHECK (default_ring_seconds > 0),
    machine_detection    text    NOT NULL CHECK (machine_detection IN ('off', 'answer', 'greeting')),
    updated_at           timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, environment)
);
SELECT isolate_tenants('outbound_call_settings');
