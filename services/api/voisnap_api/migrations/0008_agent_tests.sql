-- Test calls of agents. How one went is its conversation's to tell; it may be deleted before the agent is.
CREATE TABLE agent_tests (
    id              text        PRIMARY KEY,
    tenant_id       text        NOT NULL,
    environment     text        NOT NULL CHECK (environment IN ('live', 'sandbox')),
    agent_id        text        NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    agent_version   integer     NOT NULL,
    channel         text        NOT NULL,
    phone_number    text,
    metadata        jsonb       NOT NULL,
    session_id      text        NOT NULL,
    conversation_id text        NOT NULL,
    created_at      timestamptz NOT NULL,
    created_by      text
);
CREATE INDEX agent_tests_of_agent ON agent_tests (agent_id, created_at DESC);

SELECT isolate_tenants('agent_tests');
