-- Tenants' own access to AI providers. `sealed` is an envelope that opens with a key outside of the database only.
CREATE TABLE provider_credentials (
    id          text PRIMARY KEY,
    tenant_id   text        NOT NULL,
    environment text        NOT NULL CHECK (environment IN ('live', 'sandbox')),
    provider    text        NOT NULL,
    name        text        NOT NULL,
    options     jsonb       NOT NULL DEFAULT '{}',
    hints       jsonb       NOT NULL DEFAULT '{}',
    sealed      bytea       NOT NULL,
    sealed_with text        NOT NULL,
    revision    integer     NOT NULL DEFAULT 1,
    is_default  boolean     NOT NULL,
    last_test   jsonb,
    created_by  text,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL
);
CREATE UNIQUE INDEX provider_credentials_default ON provider_credentials (tenant_id, environment, provider) WHERE is_default;
CREATE INDEX provider_credentials_list ON provider_credentials (tenant_id, environment, created_at DESC, id DESC);
CREATE INDEX provider_credentials_sealed_with ON provider_credentials (sealed_with);
SELECT isolate_tenants('provider_credentials');
