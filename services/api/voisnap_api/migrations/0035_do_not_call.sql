-- Numbers that a tenant must not call.
CREATE TABLE do_not_call (
    tenant_id    text        NOT NULL,
    environment  text        NOT NULL CHECK (environment IN ('live', 'sandbox')),
    phone_number text        NOT NULL,
    reason       text,
    source       text        NOT NULL,
    created_by   text,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, environment, phone_number)
);
CREATE INDEX do_not_call_list ON do_not_call (tenant_id, environment, created_at DESC, phone_number);
SELECT isolate_tenants('do_not_call');
