-- Prices: what each is counted in, cached input of language models, and an operator's own prices, which go before those of the catalogue.
ALTER TABLE prices
    DROP CONSTRAINT prices_kind_check,
    ADD CONSTRAINT prices_kind_check
        CHECK (kind IN ('llm_input', 'llm_output', 'llm_cached', 'tts', 'stt', 'telephony')),
    ADD COLUMN unit text
        CHECK (unit IN ('million_tokens', 'thousand_characters', 'audio_minute', 'session_minute', 'started_minute')),
    ADD COLUMN origin text NOT NULL DEFAULT 'catalogue' CHECK (origin IN ('catalogue', 'operator')),
    ADD COLUMN created_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN created_by text;
-- These two bill the open connection, silence included.
UPDATE prices SET unit = CASE
    WHEN kind LIKE 'llm%' THEN 'million_tokens'
    WHEN kind = 'tts' THEN 'thousand_characters'
    WHEN kind = 'telephony' THEN 'started_minute'
    WHEN provider IN ('deepgram', 'assemblyai') THEN 'session_minute'
    ELSE 'audio_minute'
END;
ALTER TABLE prices
    ALTER COLUMN unit SET NOT NULL,
    DROP CONSTRAINT prices_pkey,
    ADD PRIMARY KEY (kind, provider, model, valid_from, origin);

-- What a tenant pays beyond the list price of a kind, from a day on until the next row.
CREATE TABLE price_markups (
    tenant_id  text          NOT NULL,
    kind       text          NOT NULL CHECK (kind IN ('llm', 'tts', 'stt', 'telephony')),
    valid_from date          NOT NULL,
    percent    numeric(7, 3) NOT NULL CHECK (percent BETWEEN -100 AND 1000),
    PRIMARY KEY (tenant_id, kind, valid_from)
);
SELECT isolate_tenants('price_markups', 'tenant');

-- What each leg of a conversation cost; the parts beside it are their sums.
ALTER TABLE conversations ADD COLUMN leg_costs jsonb;

-- What a tenant spent in a month (UTC, by the start of the conversation) at each provider through each account. It is not cut when
-- conversations are deleted.
CREATE TABLE spend (
    tenant_id   text           NOT NULL,
    environment text           NOT NULL CHECK (environment IN ('live', 'sandbox')),
    month       date           NOT NULL,
    provider    text           NOT NULL,
    account     text           NOT NULL,
    usd         numeric(16, 6) NOT NULL,
    PRIMARY KEY (tenant_id, environment, month, provider, account)
);
SELECT isolate_tenants('spend');
-- Conversations that ended before: nobody noted what of it went to whom.
INSERT INTO spend (tenant_id, environment, month, provider, account, usd)
SELECT tenant_id, environment, date_trunc('month', started_at AT TIME ZONE 'UTC')::date, '*', 'platform',
       sum(coalesce(llm_usd, 0) + coalesce(tts_usd, 0) + coalesce(stt_usd, 0) + coalesce(telephony_usd, 0)) AS usd
  FROM conversations
 WHERE ended_at IS NOT NULL
 GROUP BY 1, 2, 3
HAVING sum(coalesce(llm_usd, 0) + coalesce(tts_usd, 0) + coalesce(stt_usd, 0) + coalesce(telephony_usd, 0)) > 0;
