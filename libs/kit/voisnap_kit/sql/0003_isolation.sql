-- Row-level security in one line of a service's migration:
--   SELECT isolate_tenants('agents');                  a table with tenant_id and environment
--   SELECT isolate_tenants('users', 'tenant');         a table with tenant_id only
-- It guards against a forgotten WHERE, not against hostile SQL: the service's own role may set these settings, but it neither owns
-- the tables nor may bypass policies, so a transaction that names no tenant sees and writes nothing.
CREATE FUNCTION isolate_tenants(target regclass, scope text DEFAULT 'environment') RETURNS void LANGUAGE plpgsql AS $body$
DECLARE
    rule text := 'tenant_id = current_setting(''app.tenant_id'', true)';
BEGIN
    IF scope = 'environment' THEN
        rule := rule || ' AND environment = current_setting(''app.environment'', true)';
    END IF;
    rule := '(' || rule || ') OR current_setting(''app.system'', true) = ''on''';
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
    EXECUTE format('CREATE POLICY tenant_isolation ON %s USING (%s) WITH CHECK (%s)', target, rule, rule);
END
$body$;
