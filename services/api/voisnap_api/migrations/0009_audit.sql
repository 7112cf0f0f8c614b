-- Who did what to which thing, written in the transaction of the deed. Rows are only ever added: there is a policy to read and one to
-- add, so that the service's role can neither change nor delete one.
CREATE TABLE audit_entries (
    id          text        PRIMARY KEY,
    tenant_id   text        NOT NULL,
    environment text        NOT NULL CHECK (environment IN ('live', 'sandbox')),
    at          timestamptz NOT NULL,
    actor_type  text        NOT NULL CHECK (actor_type IN ('user', 'api_key', 'system')),
    actor_id    text,
    action      text        NOT NULL CHECK (action ~ '^[a-z_]+\.[a-z_]+$'),
    target_type text        NOT NULL,
    target_id   text        NOT NULL,
    detail      jsonb       NOT NULL DEFAULT '{}',
    request_id  text
);
CREATE INDEX audit_entries_newest ON audit_entries (tenant_id, environment, at DESC, id DESC);
CREATE INDEX audit_entries_target ON audit_entries (tenant_id, environment, target_id, at DESC, id DESC);
CREATE INDEX audit_entries_actor ON audit_entries (tenant_id, environment, actor_id, at DESC, id DESC);

ALTER TABLE audit_entries ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_reads ON audit_entries FOR SELECT
    USING ((tenant_id = current_setting('app.tenant_id', true) AND environment = current_setting('app.environment', true))
           OR current_setting('app.system', true) = 'on');
CREATE POLICY tenant_appends ON audit_entries FOR INSERT
    WITH CHECK ((tenant_id = current_setting('app.tenant_id', true) AND environment = current_setting('app.environment', true))
                OR current_setting('app.system', true) = 'on');
