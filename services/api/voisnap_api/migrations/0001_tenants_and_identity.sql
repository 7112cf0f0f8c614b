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

-- People and tenants belong to both environments; keys and log-ins to one.
SELECT isolate_tenants('tenants', 'tenant');
SELECT isolate_tenants('users', 'tenant');
SELECT isolate_tenants('refresh_tokens');
SELECT isolate_tenants('api_keys');
SELECT isolate_tenants('idempotency_keys');
