CREATE TABLE agents (
    id                text PRIMARY KEY,
    tenant_id         text        NOT NULL,
    environment       text        NOT NULL CHECK (environment IN ('live', 'sandbox')),
    status            text        NOT NULL CHECK (status IN ('draft', 'active', 'inactive')),
    version           integer     NOT NULL,
    published_version integer,
    config            jsonb       NOT NULL,
    name              text        NOT NULL GENERATED ALWAYS AS (config ->> 'name') STORED,
    tags              jsonb       NOT NULL GENERATED ALWAYS AS (config -> 'tags') STORED,
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL
);
CREATE INDEX agents_newest ON agents (tenant_id, environment, created_at DESC, id);
CREATE INDEX agents_name ON agents (tenant_id, environment, lower(name), id);
CREATE INDEX agents_tags ON agents USING gin (tags);

-- Every change of an agent's configuration, whole. A published row never changes again.
CREATE TABLE agent_versions (
    agent_id        text        NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    version         integer     NOT NULL,
    tenant_id       text        NOT NULL,
    environment     text        NOT NULL CHECK (environment IN ('live', 'sandbox')),
    config          jsonb       NOT NULL,
    changes_summary text        NOT NULL,
    created_at      timestamptz NOT NULL,
    created_by      text,
    published_at    timestamptz,
    notes           text,
    PRIMARY KEY (agent_id, version)
);

SELECT isolate_tenants('agents');
SELECT isolate_tenants('agent_versions');
