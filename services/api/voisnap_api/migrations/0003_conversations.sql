-- Partitioned by month of `opened_at`, the time inside the conversation's ULID: the id alone names its partition, so that
-- a lookup by id reads one index, and (opened_at, id) is unique wherever id is.
CREATE TABLE conversations (
    id               text             NOT NULL,
    opened_at        timestamptz      NOT NULL,
    tenant_id        text             NOT NULL,
    environment      text             NOT NULL CHECK (environment IN ('live', 'sandbox')),
    session_id       text             NOT NULL,
    agent_id         text             NOT NULL,
    agent_name       text             NOT NULL,
    agent_version    integer          NOT NULL,
    channel          text             NOT NULL,
    direction        text             NOT NULL,
    status           text             NOT NULL CHECK (status IN ('in_progress', 'completed', 'failed', 'abandoned')),
    language         text             NOT NULL,
    hipaa            boolean          NOT NULL,
    recording_wanted boolean          NOT NULL,
    retention_days   integer          NOT NULL,
    started_at       timestamptz      NOT NULL,
    ended_at         timestamptz,
    duration_seconds double precision,
    caller           jsonb            NOT NULL,
    metadata         jsonb            NOT NULL,
    end_reason       text,
    usage            jsonb,
    llm_usd          numeric(14, 6),
    tts_usd          numeric(14, 6),
    stt_usd          numeric(14, 6),
    telephony_usd    numeric(14, 6),
    quality          jsonb,
    warnings         text[]           NOT NULL DEFAULT '{}',
    recording        jsonb,
    analysis         jsonb,
    tags             text[]           NOT NULL DEFAULT '{}',
    outcome          text,
    outcome_notes    text,
    archived_at      timestamptz,
    PRIMARY KEY (opened_at, id)
) PARTITION BY RANGE (opened_at);
CREATE INDEX conversations_newest ON conversations (tenant_id, environment, started_at DESC, id);
CREATE INDEX conversations_agent ON conversations (agent_id, started_at DESC);
CREATE INDEX conversations_tags ON conversations USING gin (tags);

CREATE TABLE turns (
    opened_at       timestamptz      NOT NULL,
    conversation_id text             NOT NULL,
    sequence        integer          NOT NULL,
    tenant_id       text             NOT NULL,
    environment     text             NOT NULL CHECK (environment IN ('live', 'sandbox')),
    speaker         text             NOT NULL,
    text            text             NOT NULL,
    start_time      double precision NOT NULL,
    end_time        double precision NOT NULL,
    confidence      double precision NOT NULL,
    words           jsonb            NOT NULL,
    interrupted     boolean          NOT NULL,
    latency         jsonb,
    PRIMARY KEY (opened_at, conversation_id, sequence)
) PARTITION BY RANGE (opened_at);

CREATE TABLE conversations_other PARTITION OF conversations DEFAULT;
CREATE TABLE turns_other PARTITION OF turns DEFAULT;

SELECT isolate_tenants('conversations');
SELECT isolate_tenants('turns');
-- Without a policy of its own a partition can only be reached through its parent.
ALTER TABLE conversations_other ENABLE ROW LEVEL SECURITY;
ALTER TABLE turns_other ENABLE ROW LEVEL SECURITY;

-- Creates the missing partitions of last month up to `months` ahead; answers how many. Runs as the owner of the schema,
-- because the service's role may not create tables.
CREATE FUNCTION ensure_partitions(at timestamptz, months integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
DECLARE
    parent text;
    month_start timestamptz;
    partition text;
    created integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('voisnap.ensure_partitions'));
    FOR step IN -1..months LOOP
        month_start := date_trunc('month', at, 'UTC') + make_interval(months => step);
        FOREACH parent IN ARRAY ARRAY['conversations', 'turns'] LOOP
            partition := format('%s_%s', parent, to_char(month_start AT TIME ZONE 'UTC', 'YYYY_MM'));
            IF to_regclass(partition) IS NULL THEN
                EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                               partition, parent, month_start, month_start + interval '1 month');
                EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', partition);
                created := created + 1;
            END IF;
        END LOOP;
    END LOOP;
    RETURN created;
END
$$;
SELECT ensure_partitions(now(), 3);
