-- Mails that wait to be sent, written in the transaction that made them necessary. `body` goes when the mail is sent or given up.
CREATE TABLE mail_outbox (
    id           text PRIMARY KEY,
    tenant_id    text        NOT NULL,
    user_id      text,
    to_address   text        NOT NULL,
    to_name      text        NOT NULL,
    kind         text        NOT NULL,
    subject      text        NOT NULL,
    body         text,
    created_at   timestamptz NOT NULL,
    due_at       timestamptz NOT NULL,
    attempts     integer     NOT NULL DEFAULT 0,
    sent_at      timestamptz,
    failed_at    timestamptz,
    failure      text
);
CREATE INDEX mail_outbox_due ON mail_outbox (due_at) WHERE sent_at IS NULL AND failed_at IS NULL;
CREATE INDEX mail_outbox_newest ON mail_outbox (tenant_id, created_at DESC, id DESC);
CREATE INDEX mail_outbox_age ON mail_outbox (created_at);

SELECT isolate_tenants('mail_outbox', 'tenant');
