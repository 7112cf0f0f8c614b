-- Tenants are written by the admin service; this is the API's projection of its events.
CREATE TABLE tenants (
    tenant_id    text PRIMARY KEY,
    name         text        NOT NULL,
    slug         text        NOT NULL,
    status       text        NOT NULL,
    plan         text        NOT NULL,
    usage_limits jsonb       NOT NULL,
    updated_at   timestamptz NOT NULL
);

CREATE TABLE users (
    id             text PRIMARY KEY,
    tenant_id      text        NOT NULL,
    email          text        NOT NULL,
    password_hash  text        NOT NULL,
    first_name     text        NOT NULL,
    last_name      text        NOT NULL,
    role           text        NOT NULL,
    status         text        NOT NULL DEFAULT 'active',
    platform_admin boolean     NOT NULL DEFAULT false,
    last_login_at  timestamptz,
    created_at     timestamptz NOT NULL
);
CREATE UNIQUE INDEX users_email ON users (lower(email));
CREATE INDEX users_tenant ON users (tenant_id, created_at);

-- One row a refresh token. A family is one login; using a spent token revokes all of its family.
CREATE TABLE refresh_tokens (
    token_hash  bytea PRIMARY KEY,
    family_id   text        NOT NULL,
    tenant_id   text        NOT NULL,
    environment text        NOT NULL CHECK (environment IN ('live', 'sandbox')),
    user_id     text        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    spent_at    timestamptz,
    revoked_at  timestamptz
);
CREATE INDEX refresh_tokens_family ON refresh_tokens (family_id);
CREATE INDEX refresh_tokens_expiry ON refresh_tokens (expires_at);
CREATE INDEX refresh_tokens_user ON refresh_tokens (user_id);

CREATE TABLE api_keys (
    id           text PRIMARY KEY,
    tenant_id    text        NOT NULL,
    environment  text        NOT NULL CHECK (environment IN ('live', 'sandbox')),
    name         text        NOT NULL,
    prefix       text        NOT NULL,
    key_hash     bytea       NOT NULL UNIQUE,
    scopes       text[]      NOT NULL,
    created_by   text,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz,
    last_used_at timestamptz,
    revoked_at   timestamptz
);
CREATE INDEX api_keys_tenant ON api_keys (tenant_id, environment, created_at DESC);

CREATE TABLE idempotency_keys (
    tenant_id        text        NOT NULL,
    environment      text        NOT NULL CHECK (environment IN ('live', 'sandbox')),
    key              text        NOT NULL,
    request_hash     bytea       NOT NULL,
    created_at       timestamptz NOT NULL,
    response_status  integer,
    response_headers jsonb,
    response_body    bytea,
    PRIMARY KEY (tenant_id, environment, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- Row-level security: a transaction sees the tenant and environment it was opened for; work of the platform itself
-- (log-in, key lookup, subscribers, the relay) opens its transaction as the system and says so.
CREATE FUNCTION is_system() RETURNS boolean LANGUAGE sql STABLE
    RETURN coalesce(current_setting('app.system', true), '') = 'on';

CREATE FUNCTION is_tenant(tenant_id text) RETURNS boolean LANGUAGE sql STABLE
    RETURN tenant_id = current_setting('app.tenant_id', true);

CREATE FUNCTION is_scope(tenant_id text, environment text) RETURNS boolean LANGUAGE sql STABLE
    RETURN tenant_id = current_setting('app.tenant_id', true) AND environment = current_setting('app.environment', true);

ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenants_scope ON tenants USING (is_tenant(tenant_id) OR is_system());
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
CREATE POLICY users_scope ON users USING (is_tenant(tenant_id) OR is_system());
ALTER TABLE refresh_tokens ENABLE ROW LEVEL SECURITY;
CREATE POLICY refresh_tokens_scope ON refresh_tokens USING (is_scope(tenant_id, environment) OR is_system());
ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
CREATE POLICY api_keys_scope ON api_keys USING (is_scope(tenant_id, environment) OR is_system());
ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY;
CREATE POLICY idempotency_keys_scope ON idempotency_keys USING (is_scope(tenant_id, environment) OR is_system());
