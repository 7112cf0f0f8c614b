-- Who said how a conversation turned out: an outcome that was put stays, whatever an analysis finds.
ALTER TABLE conversations ADD COLUMN outcome_put_at timestamptz, ADD COLUMN sentiment_score double precision;

-- Conversations that were deleted: events about them that come later bring nothing back. No word of theirs is left here.
CREATE TABLE deleted_conversations (
    id          text        PRIMARY KEY,
    tenant_id   text        NOT NULL,
    environment text        NOT NULL CHECK (environment IN ('live', 'sandbox')),
    deleted_at  timestamptz NOT NULL
);
SELECT isolate_tenants('deleted_conversations');
