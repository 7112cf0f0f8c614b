-- Where a tenant's calls may go beside the countries of its own numbers.
ALTER TABLE outbound_call_settings ADD COLUMN allowed_countries text[] NOT NULL DEFAULT '{}';
-- Whether somebody who is to be called is an agent of this installation.
CREATE INDEX phone_numbers_answered_here ON phone_numbers (phone_number)
    WHERE environment = 'live' AND trunk_id IS NULL AND status IN ('provisioning', 'active', 'releasing');
