-- What web pages name an agent by. The default serves rows of the previous version; the service makes the keys of new agents itself.
ALTER TABLE agents ADD COLUMN widget_key text NOT NULL DEFAULT 'wgt_' || upper(replace(gen_random_uuid()::text, '-', ''));
CREATE UNIQUE INDEX agents_widget_key ON agents (widget_key);
