-- SIP trunks of tenants. `parts` are the carrier's objects that a trunk is made of, written down as they are made; passwords are kept nowhere.
-- While `busy_until` lies ahead somebody is at work on it.
CREATE TABLE sip_trunks (
    id            text PRIMARY KEY,
    tenant_id     text        NOT NULL,
    environment   text        NOT NULL CHECK (environment IN ('live', 'sandbox')),
    name          text        NOT NULL,
    provider      text        NOT NULL,
    account       text        NOT NULL,
    origination   jsonb       NOT NULL DEFAULT '[]',
    username      text,
    allowed_ips   text[]      NOT NULL DEFAULT '{}',
    parts         jsonb       NOT NULL DEFAULT '{}',
    sip_domain    text        NOT NULL DEFAULT '',
    status        text        NOT NULL CHECK (status IN ('provisioning', 'active', 'failed', 'deleting')),
    status_detail text,
    last_test     jsonb,
    busy_until    timestamptz,
    created_by    text,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL
);
CREATE INDEX sip_trunks_list ON sip_trunks (tenant_id, environment, created_at DESC, id DESC);
SELECT isolate_tenants('sip_trunks');

-- A number whose calls go over a trunk.
ALTER TABLE phone_numbers ADD COLUMN trunk_id text;
CREATE INDEX phone_numbers_trunk ON phone_numbers (trunk_id) WHERE trunk_id IS NOT NULL;
