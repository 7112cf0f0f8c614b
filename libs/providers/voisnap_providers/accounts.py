"""Access to vendors: whose account, with which keys, in which region.

The platform's own accounts come from its environment. A tenant may bring his own; he names secrets and regions, never addresses: where a
vendor is reached is the operator's business.
"""

from collections.abc import Mapping

import msgspec

from .errors import ProviderUnconfigured

PLATFORM = "platform"


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One value of an account: what it is called, and the environment variable of the platform's own. `is_secret` ones are never shown;
    without a `required` one there is no account; a tenant may set his own unless it `is_address`."""

    name: str
    variable: str
    is_secret: bool = False
    required: bool = False
    is_address: bool = False


def _key(variable: str, name: str = "api_key", *, required: bool = True) -> Setting:
    return Setting(name=name, variable=variable, is_secret=True, required=required)


def _option(name: str, variable: str, *, required: bool = False) -> Setting:
    return Setting(name=name, variable=variable, required=required)


def _address(variable: str, name: str = "base_url", *, required: bool = False) -> Setting:
    return Setting(name=name, variable=variable, is_address=True, required=required)


PROVIDERS: Mapping[str, tuple[Setting, ...]] = {
    "openai": (
        _key("OPENAI_API_KEY"),
        _option("organization", "OPENAI_ORG_ID"),
        _address("OPENAI_BASE_URL"),
    ),
    "openai_compatible": (
        _key("OPENAI_COMPATIBLE_API_KEY", required=False),
        _address("OPENAI_COMPATIBLE_BASE_URL"),
        _address("OPENAI_COMPATIBLE_NETWORKS", "networks"),
    ),
    "anthropic": (_key("ANTHROPIC_API_KEY"), _address("ANTHROPIC_BASE_URL")),
    "google": (
        _key("GOOGLE_API_KEY", required=False),
        _key("GOOGLE_SERVICE_ACCOUNT_JSON", "service_account", required=False),
        _option("project", "GOOGLE_CLOUD_PROJECT"),
        _option("location", "GOOGLE_CLOUD_LOCATION"),
        _address("GOOGLE_GEMINI_BASE_URL", "gemini_base_url"),
        _address("GOOGLE_SPEECH_ENDPOINT", "speech_endpoint"),
        _address("GOOGLE_TTS_ENDPOINT", "tts_endpoint"),
    ),
    "cohere": (_key("COHERE_API_KEY"), _address("COHERE_BASE_URL")),
    "deepgram": (_key("DEEPGRAM_API_KEY"), _address("DEEPGRAM_BASE_URL")),
    "assemblyai": (_key("ASSEMBLYAI_API_KEY"), _address("ASSEMBLYAI_BASE_URL")),
    "elevenlabs": (
        _key("ELEVENLABS_API_KEY"),
        _option("model", "ELEVENLABS_MODEL"),
        _address("ELEVENLABS_BASE_URL"),
    ),
    "aws": (
        _key("AWS_ACCESS_KEY_ID", "access_key_id"),
        _key("AWS_SECRET_ACCESS_KEY", "secret_access_key"),
        _key("AWS_SESSION_TOKEN", "session_token", required=False),
        _option("region", "AWS_REGION", required=True),
        _address("AWS_TRANSCRIBE_URL", "transcribe_url"),
        _address("AWS_POLLY_URL", "polly_url"),
    ),
    "azure": (
        _key("AZURE_SPEECH_KEY", "key"),
        _option("region", "AZURE_SPEECH_REGION"),
        _address("AZURE_STT_URL", "stt_url"),
        _address("AZURE_TTS_URL", "tts_url"),
    ),
    "twilio": (
        _option("account_sid", "TWILIO_ACCOUNT_SID", required=True),
        _key("TWILIO_AUTH_TOKEN", "auth_token"),
        _option("api_key_sid", "TWILIO_API_KEY_SID"),
        _key("TWILIO_API_KEY_SECRET", "api_key_secret", required=False),
        _address("TWILIO_BASE_URL"),
    ),
    "vonage": (
        _option("api_key", "VONAGE_API_KEY", required=True),
        _key("VONAGE_API_SECRET", "api_secret"),
        _option("application_id", "VONAGE_APPLICATION_ID", required=True),
        _key("VONAGE_PRIVATE_KEY", "private_key"),
        _key("VONAGE_SIGNATURE_SECRET", "signature_secret"),
        _address("VONAGE_BASE_URL"),
        _address("VONAGE_REST_URL", "rest_url"),
    ),
    "telnyx": (
        _key("TELNYX_API_KEY"),
        _option("public_key", "TELNYX_PUBLIC_KEY", required=True),
        _option("connection_id", "TELNYX_CONNECTION_ID", required=True),
        _option("messaging_profile_id", "TELNYX_MESSAGING_PROFILE_ID"),
        _address("TELNYX_BASE_URL"),
    ),
    "whatsapp": (
        _key("WHATSAPP_ACCESS_TOKEN", "access_token"),
        _key("WHATSAPP_APP_SECRET", "app_secret"),
        _key("WHATSAPP_VERIFY_TOKEN", "verify_token"),
        _option("phone_number_id", "WHATSAPP_PHONE_NUMBER_ID", required=True),
        _option("business_account_id", "WHATSAPP_BUSINESS_ACCOUNT_ID"),
        _address("WHATSAPP_BASE_URL"),
    ),
    "telegram": (
        _key("TELEGRAM_BOT_TOKEN", "bot_token"),
        _key("TELEGRAM_SECRET_TOKEN", "secret_token"),
        _address("TELEGRAM_BASE_URL"),
    ),
}
"""Every vendor that needs an account, and what belongs to it."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Access to one vendor. `id` is `platform`, or a tenant's credential and its revision: two accounts with one id are the same."""

    id: str
    provider: str
    secrets: Mapping[str, str] = msgspec.field(default_factory=dict)
    options: Mapping[str, str] = msgspec.field(default_factory=dict)

    def secret(self, name: str = "api_key") -> str:
        """A key. Raises ProviderUnconfigured, which names the environment variable."""
        value = self.secrets.get(name)
        if not value:
            raise ProviderUnconfigured(
                f"The provider {self.provider} is not set up on this installation: it needs {_variable(self.provider, name)}."
            )
        return value

    def option(self, name: str, default: str = "") -> str:
        """A value that is no secret."""
        return self.options.get(name) or default

    def __repr__(self) -> str:
        return f"Account({self.id!r}, {self.provider!r})"


def platform_accounts(environ: Mapping[str, str]) -> dict[str, Account]:
    """The accounts that an environment holds, by vendor. One whose required values are not all there is left out."""
    found: dict[str, Account] = {}
    for provider, settings in PROVIDERS.items():
        values = {setting.name: environ.get(setting.variable, "").strip() for setting in settings}
        if any(setting.required and not values[setting.name] for setting in settings) or not any(values.values()):
            continue
        found[provider] = Account(
            id=PLATFORM,
            provider=provider,
            secrets={one.name: values[one.name] for one in settings if one.is_secret and values[one.name]},
            options={one.name: values[one.name] for one in settings if not one.is_secret and values[one.name]},
        )
    return found


def needs_values(provider: str) -> bool:
    """Whether nothing can be asked of a vendor without values of an account; True for an unknown one."""
    return any(setting.required for setting in PROVIDERS.get(provider, (_key(""),)))


def serves(account: Account, kind: str) -> bool:
    """Whether an account can do one kind of work (llm, stt, tts). Google is two vendors in one: Gemini wants a key, speech a service account."""
    needed = _NEEDED.get((account.provider, kind))
    return needed is None or bool(account.secrets.get(needed))


_NEEDED = {("google", "llm"): "api_key", ("google", "stt"): "service_account", ("google", "tts"): "service_account"}


def missing(provider: str, kind: str) -> ProviderUnconfigured:
    """What to say where a vendor has no account."""
    needed = [one.variable for one in PROVIDERS[provider] if one.required] or [PROVIDERS[provider][0].variable]
    return ProviderUnconfigured(
        f"The {kind} provider {provider} is not set up on this installation: it needs {' and '.join(needed)}."
    )


def _variable(provider: str, name: str) -> str:
    return next((one.variable for one in PROVIDERS.get(provider, ()) if one.name == name), name)
