-- Calls that were handed over to somebody, or should have been, and how far that got.
CREATE TABLE call_transfers (
    id              text        PRIMARY KEY,
    tenant_id       text        NOT NULL,
    environment     text        NOT NULL CHECK (environment IN ('live', 'sandbox')),
    opened_at       timestamptz NOT NULL,
    conversation_id text        NOT NULL,
    mode            text        NOT NULL,
    target          text        NOT NULL,
    destination     text        NOT NULL,
    requested_by    text        NOT NULL,
    reason          text        NOT NULL,
    stage           text        NOT NULL,
    cause           text        NOT NULL,
    started_at      timestamptz NOT NULL,
    answered_at     timestamptz,
    ended_at        timestamptz,
    FOREIGN KEY (opened_at, conversation_id) REFERENCES conversations (opened_at, id) ON DELETE CASCADE
);
CREATE INDEX call_transfers_conversation ON call_transfers (conversation_id, started_at);
SELECT isolate_tenants('call_transfers');
