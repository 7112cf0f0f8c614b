-- The price catalogue: list prices by date. `llm_input`/`llm_output` a million tokens, `tts` a thousand characters,
-- `stt` and `telephony` a minute. A price counts from `valid_from` until the next row of the same kind, provider and model.
CREATE TABLE prices (
    kind       text           NOT NULL CHECK (kind IN ('llm_input', 'llm_output', 'tts', 'stt', 'telephony')),
    provider   text           NOT NULL,
    model      text           NOT NULL DEFAULT '*',
    valid_from date           NOT NULL,
    usd        numeric(14, 6) NOT NULL CHECK (usd >= 0),
    PRIMARY KEY (kind, provider, model, valid_from)
);

INSERT INTO prices (kind, provider, model, valid_from, usd) VALUES
    ('llm_input',  'local',      '*',           '2020-01-01', 0),
    ('llm_output', 'local',      '*',           '2020-01-01', 0),
    ('llm_input',  'scripted',   '*',           '2020-01-01', 0),
    ('llm_output', 'scripted',   '*',           '2020-01-01', 0),
    ('tts',        'local',      '*',           '2020-01-01', 0),
    ('stt',        'local',      '*',           '2020-01-01', 0),
    ('llm_input',  'openai',     'gpt-4o',      '2024-10-01', 2.50),
    ('llm_output', 'openai',     'gpt-4o',      '2024-10-01', 10.00),
    ('llm_input',  'openai',     'gpt-4o-mini', '2024-07-18', 0.15),
    ('llm_output', 'openai',     'gpt-4o-mini', '2024-07-18', 0.60),
    ('tts',        'elevenlabs', '*',           '2024-01-01', 0.10),
    ('stt',        'deepgram',   'nova-2',      '2024-01-01', 0.0059),
    ('stt',        'deepgram',   '*',           '2024-01-01', 0.0077),
    ('telephony',  'twilio',     '*',           '2024-01-01', 0.0085);
