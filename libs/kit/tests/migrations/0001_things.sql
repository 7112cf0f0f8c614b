CREATE TABLE things (
    id          text PRIMARY KEY,
    tenant_id   text        NOT NULL,
    environment text        NOT NULL,
    name        text        NOT NULL CHECK (name <> ''),
    tags        text[]      NOT NULL DEFAULT '{}',
    details     jsonb       NOT NULL DEFAULT '{}',
    made_at     timestamptz NOT NULL DEFAULT now()
);
SELECT isolate_tenants('things');
