-- This service works across tenants, so its policies ask who calls: an operator of the platform sees all, a tenant itself, nobody else.
CREATE TABLE tenants (
    id           text PRIMARY KEY,
    name         text        NOT NULL CHECK (name <> ''),
    slug         text        NOT NULL CONSTRAINT tenants_slug UNIQUE,
    status       text        NOT NULL CHECK (status IN ('active', 'suspended', 'deleted')),
    plan         text        NOT NULL,
    agency_id    text,
    billing_mode text        NOT NULL CHECK (billing_mode IN ('self_billed', 'platform_billed')),
    usage_limits jsonb       NOT NULL,
    owner        jsonb,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL
);
CREATE INDEX tenants_created_at ON tenants (created_at DESC, id DESC);
CREATE INDEX tenants_agency ON tenants (agency_id) WHERE agency_id IS NOT NULL;
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
CREATE POLICY operators ON tenants USING (current_setting('app.platform_admin', true) = 'on' OR current_setting('app.system', true) = 'on');
CREATE POLICY own_record ON tenants FOR SELECT USING (id = current_setting('app.tenant_id', true));

-- What was done to whom by whom. Rows are written with the change they describe, and never changed.
CREATE TABLE audit_log (
    id          text PRIMARY KEY,
    at          timestamptz NOT NULL,
    actor_id    text,
    actor_role  text        NOT NULL,
    action      text        NOT NULL,
    target_id   text        NOT NULL,
    tenant_id   text        NOT NULL,
    changes     jsonb       NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_log_at ON audit_log (at DESC, id DESC);
CREATE INDEX audit_log_tenant ON audit_log (tenant_id, at DESC, id DESC);
ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY;
CREATE POLICY operators_read ON audit_log FOR SELECT
    USING (current_setting('app.platform_admin', true) = 'on' OR current_setting('app.system', true) = 'on');
CREATE POLICY operators_append ON audit_log FOR INSERT
    WITH CHECK (current_setting('app.platform_admin', true) = 'on' OR current_setting('app.system', true) = 'on');
