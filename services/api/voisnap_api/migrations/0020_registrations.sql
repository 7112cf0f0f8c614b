-- What somebody said who registered, until the address is confirmed and the tenant made.
CREATE TABLE registrations (
    user_id      text PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    tenant_id    text        NOT NULL,
    company_name text        NOT NULL,
    created_at   timestamptz NOT NULL
);
SELECT isolate_tenants('registrations', 'tenant');
