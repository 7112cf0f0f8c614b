"""Settings of the Admin service, from the environment."""

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Field names in upper case are the variables. `database_url` logs in as the service's role, which owns nothing."""

    database_url: str
    nats_url: str
    jwks_url: str
    public_url: str
    redis_url: str | None = None
    cors_allowed_origins: tuple[str, ...] = ()
    http_host: str = "127.0.0.1"
    http_port: int = 8084
    log_level: str = "info"
    log_format: str = "json"
    otel_exporter_otlp_endpoint: str | None = None


class MigrationSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What `migrate` needs: the role that owns the schema."""

    migrate_database_url: str
    log_level: str = "info"
    log_format: str = "json"


class SeedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What `seed` needs."""

    database_url: str
    log_level: str = "info"
    log_format: str = "json"
