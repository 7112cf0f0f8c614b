-- Whether the hours of the called country's law hold beside the tenant's own.
ALTER TABLE outbound_call_settings ADD COLUMN statutory_hours boolean NOT NULL DEFAULT true;
-- When a call would be placed but for the calling hours. NULL: they don't hold it up.
ALTER TABLE outbound_calls ADD COLUMN not_before timestamptz;
-- Until when an attempt is looked after by one worker alone.
ALTER TABLE dial_attempts ADD COLUMN claimed_until timestamptz;
