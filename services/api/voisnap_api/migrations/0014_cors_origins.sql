-- Origins of web pages that a tenant lets read the API's answers (CORS).
CREATE TABLE cors_origins (
    tenant_id   text NOT NULL,
    environment text NOT NULL CHECK (environment IN ('live', 'sandbox')),
    origin      text NOT NULL,
    PRIMARY KEY (tenant_id, environment, origin)
);
CREATE INDEX cors_origins_origin ON cors_origins (origin);
SELECT isolate_tenants('cors_origins');
