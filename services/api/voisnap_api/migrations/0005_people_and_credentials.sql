ALTER TABLE users
    ADD COLUMN invited_by text,
    ADD COLUMN mfa_enabled boolean NOT NULL DEFAULT false,
    ADD COLUMN can_manage_api_keys boolean NOT NULL DEFAULT false,
    ADD COLUMN can_view_billing boolean NOT NULL DEFAULT false,
    ADD COLUMN can_delete_conversations boolean NOT NULL DEFAULT false;

ALTER TABLE api_keys ADD COLUMN replaced_by text;

-- Links in mails that are good once: invitations, new passwords, unlocking, confirmed addresses. Known by their hash.
CREATE TABLE one_time_links (
    token_hash bytea PRIMARY KEY,
    purpose    text        NOT NULL,
    tenant_id  text        NOT NULL,
    user_id    text        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz
);
CREATE INDEX one_time_links_user ON one_time_links (user_id, purpose);
CREATE INDEX one_time_links_expiry ON one_time_links (expires_at);

-- Wrong passwords in a row, by the hash of the address that was typed, whether anybody has it or not: a lock tells nothing.
CREATE TABLE login_failures (
    address_hash bytea PRIMARY KEY,
    failures     integer     NOT NULL,
    last_at      timestamptz NOT NULL,
    locked_until timestamptz
);
CREATE INDEX login_failures_age ON login_failures (last_at);
ALTER TABLE login_failures ENABLE ROW LEVEL SECURITY;
CREATE POLICY before_any_tenant ON login_failures
    USING (current_setting('app.system', true) = 'on') WITH CHECK (current_setting('app.system', true) = 'on');

-- Access tokens of this person or key that were made until `revoked_at` are no good; a row outlives those tokens, not more.
CREATE TABLE token_revocations (
    subject    text PRIMARY KEY,
    tenant_id  text        NOT NULL,
    revoked_at timestamptz NOT NULL
);
CREATE INDEX token_revocations_age ON token_revocations (revoked_at);

-- The shared secret of an authenticator app, sealed. `last_step` is the last time step (RFC 6238) whose code was taken.
CREATE TABLE totp_secrets (
    user_id      text PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    tenant_id    text        NOT NULL,
    sealed       bytea       NOT NULL,
    created_at   timestamptz NOT NULL,
    confirmed_at timestamptz,
    last_step    bigint      NOT NULL DEFAULT 0
);

CREATE TABLE passkeys (
    id            text PRIMARY KEY,
    credential_id bytea       NOT NULL UNIQUE,
    tenant_id     text        NOT NULL,
    user_id       text        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    rp_id         text        NOT NULL,
    name          text        NOT NULL,
    public_key    bytea       NOT NULL,
    sign_count    bigint      NOT NULL,
    transports    text[]      NOT NULL,
    created_at    timestamptz NOT NULL,
    last_used_at  timestamptz
);
CREATE INDEX passkeys_user ON passkeys (user_id, created_at);

CREATE TABLE recovery_codes (
    user_id    text        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    code_hash  bytea       NOT NULL,
    tenant_id  text        NOT NULL,
    created_at timestamptz NOT NULL,
    used_at    timestamptz,
    PRIMARY KEY (user_id, code_hash)
);

-- A log-in between password and second factor, or a passkey that is being enrolled.
CREATE TABLE login_challenges (
    token_hash bytea PRIMARY KEY,
    purpose    text        NOT NULL CHECK (purpose IN ('login', 'enrolment')),
    tenant_id  text        NOT NULL,
    user_id    text        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    login_env  text        NOT NULL CHECK (login_env IN ('live', 'sandbox')),
    challenge  bytea,
    rp_id      text,
    attempts   integer     NOT NULL DEFAULT 0,
    expires_at timestamptz NOT NULL
);
CREATE INDEX login_challenges_expiry ON login_challenges (expires_at);
CREATE INDEX login_challenges_user ON login_challenges (user_id);

SELECT isolate_tenants('one_time_links', 'tenant');
SELECT isolate_tenants('token_revocations', 'tenant');
SELECT isolate_tenants('totp_secrets', 'tenant');
SELECT isolate_tenants('passkeys', 'tenant');
SELECT isolate_tenants('recovery_codes', 'tenant');
SELECT isolate_tenants('login_challenges', 'tenant');
