"""What an account with each provider is made of, and whether given values can be one.

Values end up in host names, headers and request bodies: anything that could change where a request goes is refused here.
"""

import re
from collections.abc import Iterator, Mapping

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from voisnap_domain.agent_rules import camel
from voisnap_domain.endpoints import endpoint_fault
from voisnap_domain.errors import FieldError
from voisnap_providers.accounts import PROVIDERS

MAX_SECRET = 4096
MAX_SERVICE_ACCOUNT = 16_384
MAX_PRIVATE_KEY = 3500
"""An RSA key of 4096 bits in PEM; Google's have 2048. Checking one of 6144 bits takes four seconds, of more bits minutes."""
_SHORTEST_TO_HINT = 12
_PUBLIC_KEY = re.compile(r"[A-Za-z0-9+/]{43}=")
"""32 bytes in base64, as Telnyx shows the key of an account."""

_OPTIONS: dict[str, re.Pattern[str]] = {
    "region": re.compile(r"[a-z]{2,}[a-z0-9-]{1,38}"),
    "location": re.compile(r"[a-z]{2,}[a-z0-9-]{0,38}"),
    "project": re.compile(r"[a-z][a-z0-9.:-]{2,98}[a-z0-9]"),
}
_OF_PROVIDER: dict[tuple[str, str], tuple[re.Pattern[str], str]] = {
    ("twilio", "account_sid"): (re.compile(r"AC[0-9a-fA-F]{32}"), "must be AC and 32 hexadecimal digits"),
    ("twilio", "api_key_sid"): (re.compile(r"SK[0-9a-fA-F]{32}"), "must be SK and 32 hexadecimal digits"),
    ("vonage", "api_key"): (re.compile(r"[0-9a-zA-Z]{4,32}"), "must be the account's API key, such as abcd1234"),
    ("vonage", "application_id"): (
        re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
        "must be the application's id, a UUID",
    ),
    ("telnyx", "public_key"): (_PUBLIC_KEY, "must be the account's public key: 32 bytes in base64"),
    ("telnyx", "connection_id"): (re.compile(r"[0-9]{1,32}"), "must be the number of the Call Control application"),
    ("telnyx", "messaging_profile_id"): (
        re.compile(r"[0-9a-fA-F-]{32,36}"),
        "must be the messaging profile's id, a UUID",
    ),
    ("whatsapp", "phone_number_id"): (re.compile(r"[0-9]{5,32}"), "must be the phone number's id, which is digits"),
    ("whatsapp", "business_account_id"): (
        re.compile(r"[0-9]{5,32}"),
        "must be the WhatsApp business account's id, which is digits",
    ),
}
"""Options that have a form of their own."""
_SECRETS_OF_PROVIDER: dict[tuple[str, str], tuple[re.Pattern[str], str]] = {
    ("telegram", "bot_token"): (re.compile(r"[0-9]{5,20}:[A-Za-z0-9_-]{20,100}"), "must be the token BotFather gave"),
    ("telegram", "secret_token"): (re.compile(r"[A-Za-z0-9_-]{1,256}"), "must be 1 to 256 of A-Z, a-z, 0-9, _ and -"),
}
_TOGETHER = {"twilio": ("api_key_sid", "api_key_secret")}
"""An option that is nothing without a secret, and the other way round."""
_OTHER_OPTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")
_HEADER_SAFE = re.compile(r"[\x21-\x7e]+")
_NEEDS_ADDRESS = {"openai_compatible": "base_url"}
"""Providers that are whatever server a tenant names; its key goes there and nowhere else."""

_NEEDS_OPTION = {"aws": "region", "azure": "region"}
_GOOGLES_TOKENS = "https://oauth2.googleapis.com/token"


class _ServiceAccount(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of Google's key file that are used. Others could send the key elsewhere (`token_uri`, `universe_domain`)."""

    type: str
    project_id: str
    private_key_id: str
    private_key: str
    client_email: str
    client_id: str = ""
    token_uri: str = _GOOGLES_TOKENS


class Values(msgspec.Struct, frozen=True, kw_only=True):
    """Secrets and options of an account, by the names that adapters use."""

    secrets: dict[str, str]
    options: dict[str, str]

    def __repr__(self) -> str:
        return f"Values({sorted(self.secrets)}, {self.options})"


def secret_names(provider: str) -> tuple[str, ...]:
    """The secrets a provider takes."""
    return tuple(setting.name for setting in PROVIDERS[provider] if setting.is_secret)


def option_names(provider: str) -> tuple[str, ...]:
    """What a tenant may set besides: no addresses, unless the provider is one."""
    allowed = _NEEDS_ADDRESS.get(provider)
    return tuple(
        setting.name
        for setting in PROVIDERS[provider]
        if not setting.is_secret and (not setting.is_address or setting.name == allowed)
    )


def checked_values(
    provider: str, secrets: Mapping[str, str], options: Mapping[str, str]
) -> tuple[Values, tuple[FieldError, ...]]:
    """The values as they are kept, and every fault of them. Names are camelCase on the wire. Faults never repeat a secret."""
    faults: list[FieldError] = []
    kept_secrets = _named(secrets, secret_names(provider), "/secrets", faults)
    kept_options = _named(options, option_names(provider), "/options", faults)
    for name, value in kept_secrets.items():
        kept_secrets[name] = _checked_secret(provider, name, value, faults)
    for name, value in kept_options.items():
        kept_options[name] = _checked_option(provider, name, value, faults)
    faults += _missing(provider, kept_secrets, kept_options)
    return Values(secrets=kept_secrets, options=kept_options), tuple(faults)


def moved(provider: str, before: Mapping[str, str], after: Mapping[str, str]) -> bool:
    """Whether other options send the secrets to another server."""
    address = _NEEDS_ADDRESS.get(provider)
    return address is not None and before.get(address) != after.get(address)


def hints_of(secrets: Mapping[str, str]) -> dict[str, str]:
    """What lists show of secrets: the last four characters of each, of Google's key file those of the key's id."""
    shown = {"service_account": _key_id, "private_key": lambda _: ""}
    return {name: _hint(shown.get(name, str)(value)) for name, value in secrets.items()}


def on_the_wire(values: Mapping[str, str]) -> dict[str, str]:
    """The same under the names of the wire."""
    return {camel(name): value for name, value in values.items()}


def _named(given: Mapping[str, str], names: tuple[str, ...], pointer: str, faults: list[FieldError]) -> dict[str, str]:
    known = {camel(name): name for name in names}
    for name in given:
        if name not in known:
            detail = f"must be one of {', '.join(known)}" if known else "this provider takes none"
            faults.append(FieldError(pointer=f"{pointer}/{_escaped(name)}", code="unknown-field", detail=detail))
    return {known[name]: value for name, value in given.items() if name in known}


def _checked_secret(provider: str, name: str, value: str, faults: list[FieldError]) -> str:
    pointer = f"/secrets/{camel(name)}"
    if name == "service_account":
        return _checked_service_account(value, pointer, faults)
    if name == "private_key":
        return _checked_private_key(value, pointer, faults)
    value = value.strip()
    pattern, form = _SECRETS_OF_PROVIDER.get((provider, name), (_HEADER_SAFE, ""))
    if not 1 <= len(value) <= MAX_SECRET:
        detail = f"must have 1 to {MAX_SECRET} characters"
        faults.append(FieldError(pointer=pointer, code="bad-length", detail=detail))
    elif not _HEADER_SAFE.fullmatch(value):
        detail = "must be printable ASCII characters without blanks"
        faults.append(FieldError(pointer=pointer, code="wrong-format", detail=detail))
    elif not pattern.fullmatch(value):
        faults.append(FieldError(pointer=pointer, code="wrong-format", detail=form))
    return value


def _checked_private_key(value: str, pointer: str, faults: list[FieldError]) -> str:
    """The key of an application at Vonage, in PEM. Copied from where it stood in one line, its ends of lines are `\\n` in words."""
    value = value.replace("\\n", "\n").strip() + "\n"
    if len(value) > MAX_PRIVATE_KEY or not _is_signing_key(value):
        detail = f"must be an RSA key in PEM of at most {MAX_PRIVATE_KEY} characters"
        faults.append(FieldError(pointer=pointer, code="wrong-format", detail=detail))
    return value


def _checked_service_account(value: str, pointer: str, faults: list[FieldError]) -> str:
    """Google's key file, reduced to what is used. Other kinds of it name programs to run and addresses to ask: refused."""

    def fault(detail: str) -> str:
        faults.append(FieldError(pointer=pointer, code="wrong-format", detail=detail))
        return ""

    if len(value) > MAX_SERVICE_ACCOUNT:
        return fault(f"must have at most {MAX_SERVICE_ACCOUNT} characters")
    try:
        account = msgspec.json.decode(value, type=_ServiceAccount)
    except (msgspec.MsgspecError, ValueError):
        return fault("must be the text of a service account's key file in JSON")
    if account.type != "service_account":
        return fault("must be the key file of a service account (its type is another one)")
    if account.token_uri != _GOOGLES_TOKENS:
        return fault(f"its token_uri must be {_GOOGLES_TOKENS}")
    if not account.client_email.endswith(".gserviceaccount.com"):
        return fault("must be the key file of a service account of Google's")
    if len(account.private_key) > MAX_PRIVATE_KEY:
        return fault("its private_key is longer than those of Google's")
    if not _is_signing_key(account.private_key):
        return fault("its private_key is no RSA key in PEM")
    return msgspec.json.encode(account).decode()


def _checked_option(provider: str, name: str, value: str, faults: list[FieldError]) -> str:
    pointer, value = f"/options/{camel(name)}", value.strip()
    if name == _NEEDS_ADDRESS.get(provider):
        fault = endpoint_fault(value)
        if fault is not None:
            faults.append(FieldError(pointer=pointer, code="wrong-format", detail=fault))
        return value.rstrip("/")
    pattern, detail = _OF_PROVIDER.get(
        (provider, name), (_OPTIONS.get(name, _OTHER_OPTION), f"is not the name of a {name}")
    )
    if not pattern.fullmatch(value):
        faults.append(FieldError(pointer=pointer, code="wrong-format", detail=detail))
    return value


def _missing(provider: str, secrets: Mapping[str, str], options: Mapping[str, str]) -> Iterator[FieldError]:
    settings = PROVIDERS[provider]
    for setting in settings:
        if setting.is_secret and setting.required and setting.name not in secrets:
            yield _required(f"/secrets/{camel(setting.name)}")
    if not secrets and not any(setting.is_secret and setting.required for setting in settings):
        names = " or ".join(camel(name) for name in secret_names(provider))
        yield FieldError(pointer="/secrets", code="required", detail=f"must have {names}")
    required = [one.name for one in settings if one.required and not one.is_secret and not one.is_address]
    for needed in dict.fromkeys((*required, _NEEDS_OPTION.get(provider), _NEEDS_ADDRESS.get(provider))):
        if needed is not None and needed not in options:
            yield _required(f"/options/{camel(needed)}")
    option, secret = _TOGETHER.get(provider, ("", ""))
    if option in options and secret not in secrets:
        yield _required(f"/secrets/{camel(secret)}")
    if secret in secrets and option not in options:
        yield _required(f"/options/{camel(option)}")


def _required(pointer: str) -> FieldError:
    return FieldError(pointer=pointer, code="required", detail=f"{pointer.rpartition('/')[2]} is required.")


def _is_signing_key(pem: str) -> bool:
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return isinstance(key, RSAPrivateKey)


def _key_id(service_account: str) -> str:
    return msgspec.json.decode(service_account, type=_ServiceAccount).private_key_id


def _hint(secret: str) -> str:
    return f"…{secret[-4:]}" if len(secret) >= _SHORTEST_TO_HINT else "…"


def _escaped(name: str) -> str:
    return name[:100].replace("~", "~0").replace("/", "~1")
