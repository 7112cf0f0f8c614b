-- Recordings that carriers made of calls which had left our media: what is still to be fetched, what is kept, and what the carrier still has.
-- `key` is where the sound lies in object storage; `due_at` is when somebody is to look after it next, null when nothing is left to do.
CREATE TABLE call_recordings (
    id              text        PRIMARY KEY,
    tenant_id       text        NOT NULL,
    environment     text        NOT NULL CHECK (environment IN ('live', 'sandbox')),
    provider        text        NOT NULL,
    account         text        NOT NULL,
    recording_id    text        NOT NULL,
    session_id      text        NOT NULL,
    conversation_id text,
    state           text        NOT NULL CHECK (state IN ('saved', 'kept', 'dropped')),
    seconds         double precision,
    key             text,
    size_bytes      bigint,
    at_carrier      boolean     NOT NULL DEFAULT true,
    tries           integer     NOT NULL DEFAULT 0,
    due_at          timestamptz,
    created_at      timestamptz NOT NULL,
    UNIQUE (provider, account, recording_id)
);
CREATE INDEX call_recordings_due ON call_recordings (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX call_recordings_conversation ON call_recordings (tenant_id, conversation_id) WHERE conversation_id IS NOT NULL;
SELECT isolate_tenants('call_recordings');
