-- Which of our addresses at a messaging network belongs to which agent: WhatsApp's numbers by their id, Telegram's bots. Telephone numbers are
-- in `phone_numbers`. `account` names whose access is used: `platform`, `simulator`, or a credential of the tenant.
CREATE TABLE channel_connections (
    id            text PRIMARY KEY,
    tenant_id     text        NOT NULL,
    environment   text        NOT NULL CHECK (environment IN ('live', 'sandbox')),
    channel       text        NOT NULL CHECK (channel IN ('whatsapp', 'telegram')),
    provider      text        NOT NULL,
    account       text        NOT NULL,
    address       text        NOT NULL,
    name          text        NOT NULL DEFAULT '',
    handle        text        NOT NULL DEFAULT '',
    agent_id      text        NOT NULL,
    settings      jsonb       NOT NULL DEFAULT '{}',
    status        text        NOT NULL CHECK (status IN ('active', 'unverified')),
    status_detail text,
    webhook       jsonb,
    verified_at   timestamptz,
    created_by    text,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL
);
-- Nobody takes another's messages.
CREATE UNIQUE INDEX channel_connections_address ON channel_connections (provider, account, address);
CREATE INDEX channel_connections_list ON channel_connections (tenant_id, environment, created_at DESC, id DESC);
CREATE INDEX channel_connections_agent ON channel_connections (tenant_id, environment, agent_id);
SELECT isolate_tenants('channel_connections');
