-- Facts that wait for JetStream. Written in the transaction that made them true, published in the order of seq, deleted on ack.
CREATE TABLE outbox (
    seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id   text        NOT NULL UNIQUE,
    subject    text        NOT NULL,
    tenant_id  text        NOT NULL,
    payload    text        NOT NULL,
    headers    jsonb       NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    refused    text        -- why the bus will never take it; such a row waits for an operator
);
