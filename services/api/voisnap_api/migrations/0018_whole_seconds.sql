-- A conversation's duration as it is shown and sorted: whole seconds, -1 while it goes on. A column of its own, because row-level security
-- keeps the planner from comparing anything but plain integers, texts and times within an index.
ALTER TABLE conversations ADD COLUMN whole_seconds integer NOT NULL
    GENERATED ALWAYS AS (CASE WHEN duration_seconds IS NULL THEN -1 ELSE least(round(duration_seconds), 2000000000)::integer END) STORED;
CREATE INDEX conversations_by_seconds ON conversations (tenant_id, environment, whole_seconds, id)
    INCLUDE (duration_seconds, started_at, agent_id, channel, direction, status, outcome, archived_at, tags);
DROP INDEX conversations_by_duration;
