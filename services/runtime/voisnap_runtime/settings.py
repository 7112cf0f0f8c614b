"""Settings of the runtime, from the environment."""

from datetime import timedelta
from pathlib import Path

import msgspec
from voisnap_kit.sealing import Keyring
from voisnap_kit.settings import Secret, SettingsError
from voisnap_providers.slots import AccountLimits

from .sessions.tokens import IceSettings


class RuntimeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One variable a field, in upper case. `spool_dir` survives a restart of the process; `node_id` is made when it is not given: it begins
    with `node_name` and an underscore, by which an edge may tell the processes apart, and it is another one after each start.

    `resume_window_seconds`: how long a caller who is gone may take to come back. `drain_seconds`: how long a process that is asked to stop
    waits for silent moments to hand its calls over at, when there is another one to take them.

    `max_sessions` of a process that has a core for itself: 50 is 70 % of the WebRTC calls that held on one core in `make bench` (75, with
    scripted models); VoiceHub carries three times as many, models that run on the same machine far fewer. `voisnap load --ramp` measures it
    for a machine and its agents. Whatever it says, a process whose audio clock gets late takes no more calls.

    `fallback_llm`, `fallback_voice`, `fallback_transcription`: who takes over when all providers of an agent fail, as `provider` or
    `provider:model`, in order; `none` is nobody. `llm_hedge_seconds`: after so long without a word a second language model is asked too.
    `provider_limits`: what may be taken from the platform's own accounts, as JSON: `{"openai": {"concurrent": 50, "perMinute": 3000,
    "usdPerMonth": 500}}`.

    `simulator_accounts_file`: where the accounts with the simulated carriers are, which calls of the sandbox go over; none without it.

    Media sockets bind `media_bind` (`*` for every address of the machine) and are announced as `media_advertise_ip` behind a one-to-one NAT.
    """

    redis_url: str
    nats_url: str
    blobs_url: str
    jwks_url: str
    models_dir: Path
    spool_dir: Path
    public_url: str
    http_host: str = "127.0.0.1"
    http_port: int = 8082
    node_id: str | None = None
    node_name: str = "node"
    max_sessions: int = 50
    resume_window_seconds: float = 30.0
    drain_seconds: float = 20.0
    stun_urls: tuple[str, ...] = ()
    turn_urls: tuple[str, ...] = ()
    turn_secret: Secret | None = None
    voisnap_sealing_keys: Secret | None = None
    fallback_llm: tuple[str, ...] = ("local",)
    fallback_voice: tuple[str, ...] = ("local",)
    fallback_transcription: tuple[str, ...] = ("local",)
    llm_hedge_seconds: float | None = None
    provider_limits: str | None = None
    simulator_accounts_file: Path | None = None
    cors_allowed_origins: tuple[str, ...] = ()
    media_bind: tuple[str, ...] = ("127.0.0.1",)
    media_advertise_ip: str | None = None
    log_level: str = "INFO"
    log_format: str = "json"
    otel_exporter_otlp_endpoint: str | None = None

    @property
    def resume_window(self) -> timedelta:
        """How long a caller who is gone may take to come back."""
        return timedelta(seconds=self.resume_window_seconds)

    @property
    def account_limits(self) -> dict[str, AccountLimits]:
        """`provider_limits` by provider. Raises SettingsError."""
        try:
            return msgspec.json.decode(self.provider_limits or "{}", type=dict[str, AccountLimits])
        except msgspec.DecodeError as error:
            raise SettingsError((f"PROVIDER_LIMITS: {error}",)) from None

    @property
    def sealing_keys(self) -> Keyring | None:
        """Keys that open the tenants' credentials with providers; None when there are none. Raises SetUpFault."""
        return None if self.voisnap_sealing_keys is None else Keyring.parse(self.voisnap_sealing_keys.value)

    @property
    def ice(self) -> IceSettings:
        """STUN and TURN servers for the peers of a session."""
        return IceSettings(stun_urls=self.stun_urls, turn_urls=self.turn_urls, turn_secret=self.turn_secret)

    @property
    def origins(self) -> tuple[str, ...]:
        """Web origins that may open hubs: the platform's own, and those that were allowed."""
        return (self.public_url.rstrip("/"), *self.cors_allowed_origins)
