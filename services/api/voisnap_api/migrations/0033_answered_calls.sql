-- When somebody answered a call, by our clock: how long it was where its carrier does not say so.
ALTER TABLE carrier_calls ADD COLUMN answered_at timestamptz;
