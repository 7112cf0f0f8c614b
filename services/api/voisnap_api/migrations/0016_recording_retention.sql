-- Recordings that have reached the end of their retention: the day is midnight UTC after `retention_days` days, as the API shows it.
ALTER TABLE conversations ADD COLUMN recording_deleted_at timestamptz;
CREATE INDEX conversations_recordings_due ON conversations (((started_at AT TIME ZONE 'UTC')::date + retention_days))
    WHERE recording_wanted AND ended_at IS NOT NULL AND recording_deleted_at IS NULL;
