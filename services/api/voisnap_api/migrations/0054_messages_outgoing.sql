-- When the first message of a thread that is still to go out may go: NULL where none waits, and while one is with its network. `outgoing_own`: it
-- is one that the tenant sends on its own, which goes after what agents write. Workers look at threads, so that what stands behind a message
-- costs nobody a look; the triggers below keep it, whoever changes a message.
ALTER TABLE message_threads
    ADD COLUMN outgoing_at timestamptz,
    ADD COLUMN outgoing_own boolean NOT NULL DEFAULT false;

CREATE FUNCTION note_outgoing() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    thread text := CASE WHEN TG_OP = 'DELETE' THEN OLD.thread_id ELSE NEW.thread_id END;
    head   record;
BEGIN
    -- Who changes another message of the thread meanwhile waits here, and then sees this one.
    PERFORM FROM message_threads WHERE id = thread FOR UPDATE;
    SELECT CASE WHEN state = 'queued' THEN due_at END AS at, source = 'api' AS own
      INTO head
      FROM messages
     WHERE thread_id = thread AND direction = 'outbound' AND state IN ('queued', 'sending')
     ORDER BY created_at, place, id
     LIMIT 1;
    UPDATE message_threads
       SET outgoing_at = head.at, outgoing_own = coalesce(head.own, false)
     WHERE id = thread AND (outgoing_at, outgoing_own) IS DISTINCT FROM (head.at, coalesce(head.own, false));
    RETURN NULL;
END
$$;
CREATE TRIGGER note_queued AFTER INSERT ON messages FOR EACH ROW
    WHEN (NEW.direction = 'outbound' AND NEW.state IN ('queued', 'sending')) EXECUTE FUNCTION note_outgoing();
CREATE TRIGGER note_changed AFTER UPDATE OF state, due_at ON messages FOR EACH ROW
    WHEN (NEW.direction = 'outbound' AND (OLD.state, OLD.due_at) IS DISTINCT FROM (NEW.state, NEW.due_at)
          AND (OLD.state IN ('queued', 'sending') OR NEW.state IN ('queued', 'sending'))) EXECUTE FUNCTION note_outgoing();
CREATE TRIGGER note_deleted AFTER DELETE ON messages FOR EACH ROW
    WHEN (OLD.direction = 'outbound' AND OLD.state IN ('queued', 'sending')) EXECUTE FUNCTION note_outgoing();

UPDATE message_threads t
   SET outgoing_at = head.at, outgoing_own = head.own
  FROM (SELECT DISTINCT ON (thread_id) thread_id, CASE WHEN state = 'queued' THEN due_at END AS at, source = 'api' AS own
          FROM messages
         WHERE direction = 'outbound' AND state IN ('queued', 'sending')
         ORDER BY thread_id, created_at, place, id) AS head
 WHERE t.id = head.thread_id;

CREATE INDEX message_threads_outgoing ON message_threads (tenant_id, outgoing_own, outgoing_at) WHERE outgoing_at IS NOT NULL;
CREATE INDEX message_threads_next_outgoing ON message_threads (outgoing_at) WHERE outgoing_at IS NOT NULL;
DROP INDEX messages_due, messages_queued;

-- What was written with an agent of which no word may be kept (HIPAA), by the version that it was written with: the words go with the last use
-- that there is for them.
ALTER TABLE messages ADD COLUMN is_secret boolean NOT NULL DEFAULT false;
UPDATE messages m
   SET is_secret = true
  FROM message_threads t
  JOIN agents a ON a.id = t.agent_id AND a.tenant_id = t.tenant_id
 WHERE m.thread_id = t.id AND m.state IN ('received', 'queued', 'held', 'sending') AND (a.config ->> 'hipaa_compliant')::boolean;

CREATE FUNCTION forget_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.text := '';
    NEW.transcript := NULL;
    NEW.template := NEW.template || '{"values": []}';
    NEW.media := (SELECT coalesce(jsonb_agg(one || '{"name": ""}' ORDER BY nth), '[]')
                    FROM jsonb_array_elements(NEW.media) WITH ORDINALITY AS m (one, nth));
    RETURN NEW;
END
$$;
CREATE TRIGGER forget_words BEFORE INSERT OR UPDATE ON messages FOR EACH ROW
    WHEN (NEW.is_secret AND NEW.state NOT IN ('received', 'queued', 'held', 'sending')) EXECUTE FUNCTION forget_words();
