-- Tests that call or write to somebody: where they stand is told by their call or message, which has its conversation later if at all.
ALTER TABLE agent_tests
    ALTER COLUMN session_id DROP NOT NULL,
    ALTER COLUMN conversation_id DROP NOT NULL,
    ADD COLUMN outbound_call_id text,
    ADD COLUMN message_id text;

-- The version of the agent that a test call tries out; it need not be active, and calling hours are not asked. NULL: no test.
ALTER TABLE outbound_calls ADD COLUMN tested_version integer;
