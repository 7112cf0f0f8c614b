-- The first message of a thread that is still to go out; those behind it wait.
CREATE INDEX messages_outgoing ON messages (thread_id, created_at, place, id) WHERE direction = 'outbound' AND state IN ('queued', 'sending');

-- Work is given out tenant by tenant: who has much to send does not delay others, and answers go before what a tenant sends on its own.
CREATE INDEX messages_queued ON messages (tenant_id, (source = 'api'), due_at) WHERE state = 'queued';
CREATE INDEX message_threads_waiting ON message_threads (tenant_id, due_at) WHERE due_at IS NOT NULL;

-- What belongs to no conversation ends with the retention time of its agent.
CREATE INDEX messages_alone ON messages (created_at) WHERE conversation_id IS NULL;
CREATE INDEX outbound_calls_over ON outbound_calls (ended_at) WHERE ended_at IS NOT NULL;

-- A token opens a media socket: none is left of an attempt that is settled.
ALTER TABLE dial_attempts ADD CONSTRAINT dial_attempts_token_is_gone CHECK (settled_at IS NULL OR stream_token IS NULL) NOT VALID;
