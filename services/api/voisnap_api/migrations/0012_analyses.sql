-- What was found out about each conversation after it ended, and the work of finding it out. A row goes with its conversation.
-- `task` is what the analysis needs beside the transcript, so that it can be done again long after the event is gone.
CREATE TABLE analyses (
    opened_at       timestamptz NOT NULL,
    conversation_id text        NOT NULL,
    tenant_id       text        NOT NULL,
    environment     text        NOT NULL CHECK (environment IN ('live', 'sandbox')),
    status          text        NOT NULL CHECK (status IN ('processing', 'completed', 'skipped', 'failed')),
    reason          text,
    task            jsonb       NOT NULL,
    attempts        integer     NOT NULL DEFAULT 0,
    requested_at    timestamptz NOT NULL,
    settled_at      timestamptz,
    result          jsonb,
    error           text,
    PRIMARY KEY (opened_at, conversation_id),
    FOREIGN KEY (opened_at, conversation_id) REFERENCES conversations (opened_at, id) ON DELETE CASCADE
);
CREATE INDEX analyses_failed ON analyses (tenant_id, environment, settled_at DESC, conversation_id) WHERE status = 'failed';

SELECT isolate_tenants('analyses');
