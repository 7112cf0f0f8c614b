-- Telephone numbers of tenants. A row is written before a number is bought, so that nobody buys it twice whatever happens in between.
-- `account` names whose access to the carrier it is rented with: `platform`, `simulator`, or a credential of the tenant.
CREATE TABLE phone_numbers (
    id               text PRIMARY KEY,
    tenant_id        text        NOT NULL,
    environment      text        NOT NULL CHECK (environment IN ('live', 'sandbox')),
    phone_number     text        NOT NULL,
    provider         text        NOT NULL,
    account          text        NOT NULL,
    provider_id      text,
    order_id         text,
    country          text        NOT NULL,
    region           text,
    locality         text,
    capabilities     text[]      NOT NULL,
    toll_free        boolean     NOT NULL DEFAULT false,
    monthly_cost_usd numeric(10, 4),
    friendly_name    text        NOT NULL DEFAULT '',
    agent_id         text,
    sms_agent_id     text,
    source           text        NOT NULL CHECK (source IN ('purchase', 'existing')),
    status           text        NOT NULL CHECK (status IN ('provisioning', 'active', 'failed', 'releasing', 'released')),
    status_detail    text,
    configured_at    timestamptz,
    next_check_at    timestamptz,
    created_by       text,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    released_at      timestamptz
);
-- Whose a number is that rings or is written to: one line an account, whatever became of earlier ones.
CREATE UNIQUE INDEX phone_numbers_live ON phone_numbers (provider, account, phone_number)
    WHERE status IN ('provisioning', 'active', 'releasing');
CREATE INDEX phone_numbers_list ON phone_numbers (tenant_id, environment, created_at DESC, id DESC);
CREATE INDEX phone_numbers_agent ON phone_numbers (tenant_id, environment, agent_id) WHERE status = 'active';
CREATE INDEX phone_numbers_due ON phone_numbers (next_check_at) WHERE next_check_at IS NOT NULL;
SELECT isolate_tenants('phone_numbers');
