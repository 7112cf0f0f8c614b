-- Whoever calls or writes: one row a person, whatever channel. Identities are what networks know people by: `phone` (E.164), or a user's id
-- at one network.
CREATE TABLE contacts (
    id           text PRIMARY KEY,
    tenant_id    text        NOT NULL,
    environment  text        NOT NULL CHECK (environment IN ('live', 'sandbox')),
    name         text        NOT NULL DEFAULT '',
    country      text,
    language     text,
    notes        text        NOT NULL DEFAULT '',
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL
);
CREATE INDEX contacts_list ON contacts (tenant_id, environment, last_seen_at DESC, id DESC);
SELECT isolate_tenants('contacts');

CREATE TABLE contact_identities (
    tenant_id   text        NOT NULL,
    environment text        NOT NULL CHECK (environment IN ('live', 'sandbox')),
    kind        text        NOT NULL CHECK (kind IN ('phone', 'whatsapp', 'telegram')),
    value       text        NOT NULL,
    contact_id  text        NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    handle      text,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, environment, kind, value)
);
CREATE INDEX contact_identities_contact ON contact_identities (contact_id);
SELECT isolate_tenants('contact_identities');

-- Who wants no messages on a channel. Kept under a digest of the address, so that a contact may be deleted and is left alone all the same.
CREATE TABLE message_opt_outs (
    tenant_id   text        NOT NULL,
    environment text        NOT NULL CHECK (environment IN ('live', 'sandbox')),
    channel     text        NOT NULL CHECK (channel IN ('sms', 'whatsapp', 'telegram')),
    digest      bytea       NOT NULL,
    source      text        NOT NULL CHECK (source IN ('keyword', 'network', 'tenant')),
    at          timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, environment, channel, digest)
);
SELECT isolate_tenants('message_opt_outs');
