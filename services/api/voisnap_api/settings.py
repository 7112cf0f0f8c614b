"""Settings of the API's two processes, from the environment."""

import os
from enum import StrEnum
from pathlib import Path

import msgspec
from voisnap_kit.sealing import Keyring
from voisnap_kit.settings import Secret
from voisnap_providers.accounts import platform_accounts
from voisnap_providers.registry import ProviderSettings


class Registration(StrEnum):
    """Whether strangers may open an account with a tenant of its own; else people come by invitation only."""

    OPEN = "open"
    CLOSED = "closed"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Field names in upper case are the variables. `database_url` logs in as the service's role, which owns nothing."""

    database_url: str
    redis_url: str
    nats_url: str
    public_url: str
    blobs_url: str
    blobs_signing_key: Secret
    jwt_private_key_file: Path
    secrets_key: Secret | None = None
    voisnap_sealing_keys: Secret | None = None
    """`id:base64,…`: keys that seal the tenants' credentials with providers; the first one seals, all of them open."""
    jwt_other_key_files: tuple[str, ...] = ()
    """Keys that are published besides the one that signs: former ones until their tokens have run out, the next one before it signs."""
    registration: Registration = Registration.CLOSED
    smtp_url: Secret | None = None
    """The worker's mail server; while none is set, mails stay readable in the outbox."""
    region: str = "us"
    cors_allowed_origins: tuple[str, ...] = ()
    rate_limit_factor: float = 1.0
    """Multiplies every rate limit; 0 switches them off (load tests)."""
    sandbox_host: str = "sandbox.api.voisnap.ai"
    """Requests to this host must come with a sandbox credential."""
    simulator_accounts_file: Path | None = None
    """The accounts of the simulated carriers, as their launcher wrote them; without it the sandbox has no carriers."""
    http_host: str = "127.0.0.1"
    http_port: int = 8081
    log_level: str = "info"
    log_format: str = "json"
    otel_exporter_otlp_endpoint: str | None = None

    @property
    def sealing_keys(self) -> Keyring | None:
        """The keys; None when there are none. Raises SetUpFault for a text that holds none."""
        return _keyring(self.voisnap_sealing_keys)


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the worker needs.

    `models_dir` holds the model with which conversations are read on this machine; without it they are read by words and rules alone.
    Agents whose language model has an account here (voisnap_providers.accounts) have their conversations read by it.
    """

    database_url: str
    nats_url: str
    blobs_url: str
    public_url: str | None = None
    """Where carriers reach this installation; while none is set, no calls are placed."""
    models_dir: Path | None = None
    smtp_url: Secret | None = None
    """`smtp://user:password@host:587` or `smtps://…:465`; while none is set, mails stay in the outbox, readable in the console."""
    mail_from: str = "Voisnap <no-reply@localhost>"
    voisnap_sealing_keys: Secret | None = None
    simulator_accounts_file: Path | None = None
    http_host: str = "127.0.0.1"
    http_port: int = 8082
    log_level: str = "info"
    log_format: str = "json"
    otel_exporter_otlp_endpoint: str | None = None

    @property
    def providers(self) -> ProviderSettings:
        """Settings of the providers that read conversations. One thread: nobody waits for them."""
        return ProviderSettings(
            models_dir=self.models_dir or Path("models"),
            threads=1,
            accounts=platform_accounts(os.environ),
        )

    @property
    def sealing_keys(self) -> Keyring | None:
        """The keys that seal the tenants' credentials; None when there are none. Raises SetUpFault."""
        return _keyring(self.voisnap_sealing_keys)


class MigrationSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What `migrate` needs: the role that owns the schema."""

    migrate_database_url: str
    log_level: str = "info"
    log_format: str = "json"


class SeedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What `seed-demo` needs."""

    database_url: str
    log_level: str = "info"
    log_format: str = "json"


def _keyring(text: Secret | None) -> Keyring | None:
    return None if text is None else Keyring.parse(text.value)
