-- What came with a message, and is kept with its conversation until `expires_at`: `waiting` until a worker has fetched it from the network,
-- `kept` under `key` in object storage, or `refused` for the reason in `failure`.
CREATE TABLE message_media (
    message_id   text        NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    place        integer     NOT NULL,
    tenant_id    text        NOT NULL,
    environment  text        NOT NULL CHECK (environment IN ('live', 'sandbox')),
    state        text        NOT NULL CHECK (state IN ('waiting', 'kept', 'refused')),
    key          text        NOT NULL,
    content_type text,
    size_bytes   bigint,
    failure      text,
    due_at       timestamptz NOT NULL,
    attempts     integer     NOT NULL DEFAULT 0,
    expires_at   timestamptz NOT NULL,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (message_id, place)
);
CREATE INDEX message_media_due ON message_media (due_at) WHERE state = 'waiting';
CREATE INDEX message_media_expiring ON message_media (expires_at);
SELECT isolate_tenants('message_media');

-- What is still to be deleted from object storage: no row names it any more, whoever deleted that.
CREATE TABLE discarded_media (
    key         text PRIMARY KEY,
    tenant_id   text        NOT NULL,
    environment text        NOT NULL CHECK (environment IN ('live', 'sandbox')),
    created_at  timestamptz NOT NULL DEFAULT now()
);
SELECT isolate_tenants('discarded_media');

CREATE FUNCTION discard_media() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO discarded_media (key, tenant_id, environment) VALUES (OLD.key, OLD.tenant_id, OLD.environment) ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
CREATE TRIGGER discard_media AFTER DELETE ON message_media FOR EACH ROW WHEN (OLD.state <> 'refused') EXECUTE FUNCTION discard_media();

-- What reading a voice message used of recognisers, once however often its answer is tried.
ALTER TABLE messages ADD COLUMN heard jsonb NOT NULL DEFAULT '[]';
