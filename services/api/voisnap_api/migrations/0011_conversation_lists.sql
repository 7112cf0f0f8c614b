-- Lists over very many conversations (docs/adr/0018). The conversations of a tenant, in the order of (started_at, id), are cut into
-- segments; a segment keeps one bit a conversation for every value that a list can be filtered by. Counting is ANDing and counting bits.
-- What changed since its segment was built is marked, and a segment with a mark is counted from its rows.

-- The policies' settings are read once a statement instead of once a row.
ALTER POLICY tenant_isolation ON conversations
    USING ((tenant_id = (SELECT current_setting('app.tenant_id', true))
            AND environment = (SELECT current_setting('app.environment', true)))
           OR (SELECT current_setting('app.system', true)) = 'on')
    WITH CHECK ((tenant_id = (SELECT current_setting('app.tenant_id', true))
                 AND environment = (SELECT current_setting('app.environment', true)))
                OR (SELECT current_setting('app.system', true)) = 'on');
ALTER POLICY tenant_isolation ON turns
    USING ((tenant_id = (SELECT current_setting('app.tenant_id', true))
            AND environment = (SELECT current_setting('app.environment', true)))
           OR (SELECT current_setting('app.system', true)) = 'on')
    WITH CHECK ((tenant_id = (SELECT current_setting('app.tenant_id', true))
                 AND environment = (SELECT current_setting('app.environment', true)))
                OR (SELECT current_setting('app.system', true)) = 'on');

-- Answers a part of a list, and an agent's sums, without a look at the rows themselves.
CREATE INDEX conversations_listed ON conversations (tenant_id, environment, started_at, id)
    INCLUDE (agent_id, channel, direction, status, outcome, duration_seconds, archived_at, tags);
CREATE INDEX conversations_of_agent ON conversations (tenant_id, environment, agent_id, started_at)
    INCLUDE (channel, status, outcome, duration_seconds, llm_usd, tts_usd, stt_usd, telephony_usd, sentiment_score);
CREATE INDEX conversations_by_duration ON conversations (tenant_id, environment, (coalesce(duration_seconds, -1)), id)
    INCLUDE (duration_seconds, started_at, agent_id, channel, direction, status, outcome, archived_at, tags);
DROP INDEX conversations_newest;
DROP INDEX conversations_agent;
DROP INDEX conversations_tags;

-- Conversations after (after_at, after_id) up to and with (until_at, until_id). Segments follow each other without gaps from the
-- beginning of time; what comes after the last one is in no segment yet.
CREATE TABLE conversation_segments (
    tenant_id   text        NOT NULL,
    environment text        NOT NULL CHECK (environment IN ('live', 'sandbox')),
    until_at    timestamptz NOT NULL,
    until_id    text        NOT NULL,
    after_at    timestamptz NOT NULL,
    after_id    text        NOT NULL,
    segment     bigint      NOT NULL GENERATED ALWAYS AS IDENTITY UNIQUE,
    size        integer     NOT NULL,
    PRIMARY KEY (tenant_id, environment, until_at, until_id)
);

-- Bit n belongs to the conversation in place n of the segment. STORAGE MAIN: a rare value's bits are compressed, none leave the row.
CREATE TABLE conversation_bits (
    tenant_id   text       NOT NULL,
    environment text       NOT NULL CHECK (environment IN ('live', 'sandbox')),
    facet       text       COLLATE "C" NOT NULL,
    segment     bigint     NOT NULL REFERENCES conversation_segments (segment) ON DELETE CASCADE,
    bits        bit varying NOT NULL,
    PRIMARY KEY (tenant_id, environment, facet, segment)
);
ALTER TABLE conversation_bits ALTER COLUMN bits SET STORAGE MAIN;
CREATE INDEX conversation_bits_segment ON conversation_bits (segment);

-- Which conversation is in which place, 256 places a row.
CREATE TABLE conversation_places (
    tenant_id   text    NOT NULL,
    environment text    NOT NULL CHECK (environment IN ('live', 'sandbox')),
    segment     bigint  NOT NULL REFERENCES conversation_segments (segment) ON DELETE CASCADE,
    block       integer NOT NULL,
    ids         text[]  NOT NULL,
    PRIMARY KEY (segment, block)
);

-- Written with every change that a list could show, by the changing transaction; deleted by who builds the segment anew, before it reads.
CREATE TABLE conversation_marks (
    tenant_id   text        NOT NULL,
    environment text        NOT NULL CHECK (environment IN ('live', 'sandbox')),
    started_at  timestamptz NOT NULL,
    id          text        NOT NULL
);
CREATE INDEX conversation_marks_place ON conversation_marks (tenant_id, environment, started_at, id);

SELECT isolate_tenants('conversation_segments');
SELECT isolate_tenants('conversation_bits');
SELECT isolate_tenants('conversation_places');
SELECT isolate_tenants('conversation_marks');

CREATE FUNCTION mark_conversation() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO conversation_marks VALUES (OLD.tenant_id, OLD.environment, OLD.started_at, OLD.id);
    END IF;
    IF TG_OP = 'INSERT' OR (TG_OP = 'UPDATE' AND (OLD.started_at, OLD.id) IS DISTINCT FROM (NEW.started_at, NEW.id)) THEN
        INSERT INTO conversation_marks VALUES (NEW.tenant_id, NEW.environment, NEW.started_at, NEW.id);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER mark_added AFTER INSERT OR DELETE ON conversations FOR EACH ROW EXECUTE FUNCTION mark_conversation();
CREATE TRIGGER mark_changed AFTER UPDATE ON conversations FOR EACH ROW
    WHEN ((OLD.started_at, OLD.id, OLD.agent_id, OLD.channel, OLD.direction, OLD.status, OLD.outcome, OLD.duration_seconds, OLD.archived_at, OLD.tags)
          IS DISTINCT FROM
          (NEW.started_at, NEW.id, NEW.agent_id, NEW.channel, NEW.direction, NEW.status, NEW.outcome, NEW.duration_seconds, NEW.archived_at, NEW.tags))
    EXECUTE FUNCTION mark_conversation();

-- The bits of `candidates` whose number, given in binary by `digits` (the lowest first), is from `least_number` to `most_number`; null
-- is open.
CREATE FUNCTION bits_between(candidates bit varying, digits bit varying[], least_number integer, most_number integer) RETURNS bit varying
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    same bit varying;
    larger bit varying;
    bound integer;
BEGIN
    IF candidates IS NULL OR digits IS NULL OR length(candidates) = 0 THEN
        RETURN candidates;
    END IF;
    FOR turn IN 1..2 LOOP
        bound := CASE turn WHEN 1 THEN least_number ELSE most_number + 1 END;
        CONTINUE WHEN bound IS NULL;
        same := candidates;
        larger := repeat('0', length(candidates))::bit varying;
        FOR place IN REVERSE array_length(digits, 1)..1 LOOP
            IF (bound >> (place - 1)) & 1 = 1 THEN
                same := same & digits[place];
            ELSE
                larger := larger | (same & digits[place]);
                same := same & ~digits[place];
            END IF;
        END LOOP;
        candidates := CASE turn WHEN 1 THEN larger | same ELSE candidates & ~(larger | same) END;
    END LOOP;
    RETURN candidates;
END
$$;
