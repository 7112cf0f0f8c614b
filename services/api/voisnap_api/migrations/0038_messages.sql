-- A thread is one person at one address of ours; conversations follow one another in it. `plan` is what its running conversation was opened
-- with. `due_at` is when somebody waits for an answer, `leased_until` while a worker sees to it.
CREATE TABLE message_threads (
    id               text PRIMARY KEY,
    tenant_id        text        NOT NULL,
    environment      text        NOT NULL CHECK (environment IN ('live', 'sandbox')),
    contact_id       text        NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    channel          text        NOT NULL CHECK (channel IN ('sms', 'whatsapp', 'telegram')),
    provider         text        NOT NULL,
    account          text        NOT NULL,
    our_address      text        NOT NULL,
    their_key        text        NOT NULL,
    their_address    text        NOT NULL,
    their_user_id    text,
    agent_id         text        NOT NULL,
    conversation_id  text,
    plan             jsonb,
    last_at          timestamptz,
    last_inbound_at  timestamptz,
    gathering_since  timestamptz,
    due_at           timestamptz,
    leased_until     timestamptz,
    attempts         integer     NOT NULL DEFAULT 0,
    created_at       timestamptz NOT NULL,
    UNIQUE (tenant_id, environment, provider, account, our_address, their_key)
);
CREATE INDEX message_threads_due ON message_threads (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX message_threads_contact ON message_threads (contact_id);
SELECT isolate_tenants('message_threads');

-- What was written, both ways. `exchange_id` joins what was answered together with its answers, `place` orders these. A message to send is
-- an outbox row: `queued` until `due_at`, `sending` while a worker has handed it to the network and nothing is known yet.
CREATE TABLE messages (
    id              text PRIMARY KEY,
    tenant_id       text        NOT NULL,
    environment     text        NOT NULL CHECK (environment IN ('live', 'sandbox')),
    thread_id       text        NOT NULL REFERENCES message_threads (id) ON DELETE CASCADE,
    conversation_id text,
    direction       text        NOT NULL CHECK (direction IN ('inbound', 'outbound')),
    network_id      text,
    dedupe          text,
    source          text        NOT NULL,
    text            text        NOT NULL,
    media           jsonb       NOT NULL DEFAULT '[]',
    template        jsonb,
    reply_to        text,
    is_edit         boolean     NOT NULL DEFAULT false,
    transcript      text,
    exchange_id     text,
    place           integer     NOT NULL DEFAULT 0,
    state           text        NOT NULL CHECK (state IN ('received', 'answered', 'ignored', 'queued', 'held', 'sending', 'unconfirmed', 'sent',
                                                          'delivered', 'read', 'failed', 'undeliverable')),
    failure         text,
    code            text        NOT NULL DEFAULT '',
    detail          text        NOT NULL DEFAULT '',
    segments        integer,
    price           jsonb,
    due_at          timestamptz,
    attempts        integer     NOT NULL DEFAULT 0,
    created_by      text,
    created_at      timestamptz NOT NULL,
    sending_since   timestamptz,
    sent_at         timestamptz,
    delivered_at    timestamptz,
    read_at         timestamptz,
    updated_at      timestamptz NOT NULL
);
-- Networks repeat themselves; so does a worker that died over an answer.
CREATE UNIQUE INDEX messages_received_once ON messages (thread_id, dedupe) WHERE direction = 'inbound';
CREATE UNIQUE INDEX messages_answered_once ON messages (thread_id, exchange_id, place) WHERE direction = 'outbound' AND exchange_id IS NOT NULL;
CREATE INDEX messages_thread ON messages (thread_id, created_at, id);
CREATE INDEX messages_conversation ON messages (tenant_id, environment, conversation_id, created_at, id);
CREATE INDEX messages_list ON messages (tenant_id, environment, created_at DESC, id DESC);
CREATE INDEX messages_waiting ON messages (thread_id) WHERE state = 'received';
CREATE INDEX messages_due ON messages (due_at) WHERE state = 'queued';
CREATE INDEX messages_sending ON messages (sending_since) WHERE state = 'sending';
CREATE INDEX messages_network ON messages (network_id) WHERE direction = 'outbound' AND network_id IS NOT NULL;
SELECT isolate_tenants('messages');

-- Prices of messages are those of the line, by the segment.
ALTER TABLE prices
    DROP CONSTRAINT prices_unit_check,
    ADD CONSTRAINT prices_unit_check
        CHECK (unit IN ('million_tokens', 'thousand_characters', 'audio_minute', 'session_minute', 'started_minute', 'message'));
