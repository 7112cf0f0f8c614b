"""The simulator's accounts: made once for an installation, read by whoever talks to it and by the simulator itself."""

import base64
import os
import secrets
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from voisnap_providers.accounts import Account, platform_accounts, serves
from voisnap_providers.carriers import simulator_accounts

OWN = "simulator"
"""The member of the file that is no vendor's: what opens the control routes, and what the simulator signs with."""


_MODELS = frozenset({"openai", "anthropic", "google", "cohere", "openai_compatible"})


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """What an accounts file holds. `bearer` opens the control routes; nobody but the simulator needs `telnyx_key`."""

    accounts: Mapping[str, Account]
    bearer: str
    telnyx_key: bytes
    url: str


def make_accounts_file(path: Path, base_url: str) -> None:
    """Write accounts with random secrets to `path`, mode 0600. `base_url` is where the simulator listens. A file that is there keeps its
    secrets, and what it lacks is added."""
    known = _read(path)
    url = base_url.rstrip("/")
    if _is_whole(known, url):
        path.chmod(0o600)
        return
    whole: dict[str, dict[str, dict[str, str]]] = {}
    for vendor, made in _new(known).items():
        old = known.get(vendor, {})
        whole[vendor] = {part: {**values, **old.get(part, {})} for part, values in made.items()}
    for vendor, addresses in _addresses(url).items():
        whole[vendor]["options"] |= addresses
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(whole), indent=1))
    fresh.replace(path)


def launch(path: Path) -> Launch:
    """Read an accounts file. Raises ValueError, which never repeats a secret, for one that is none."""
    try:
        own: dict[str, dict[str, str]] = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])[OWN]
        key = base64.b64decode(own["secrets"]["telnyx_key"], validate=True)
        return Launch(
            accounts=simulator_accounts(path),
            bearer=own["secrets"]["bearer"],
            telnyx_key=key,
            url=own["options"]["url"],
        )
    except (OSError, KeyError, TypeError, ValueError, msgspec.MsgspecError):
        raise ValueError(f"{path} is no file of the simulator's accounts") from None


def language_models(environ: Mapping[str, str]) -> dict[str, Account]:
    """The platform's accounts with providers of language models, which may play people; never one with a carrier."""
    accounts = platform_accounts(environ)
    return {name: one for name, one in accounts.items() if name in _MODELS and serves(one, "llm")}


def _read(path: Path) -> dict[str, dict[str, dict[str, str]]]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, dict[str, dict[str, str]]])
    except (OSError, msgspec.MsgspecError):
        return {}


def _is_whole(known: Mapping[str, Mapping[str, Mapping[str, str]]], url: str) -> bool:
    """Whether a file holds all accounts, at this address: then nothing is made, and no library loaded."""
    return known.get(OWN, {}).get("secrets", {}).keys() == {"bearer", "telnyx_key"} and all(
        addresses.items() <= known.get(vendor, {}).get("options", {}).items()
        for vendor, addresses in _addresses(url).items()
    )


def _addresses(url: str) -> dict[str, dict[str, str]]:
    return {
        "twilio": {"base_url": f"{url}/twilio"},
        "vonage": {"base_url": f"{url}/vonage", "rest_url": f"{url}/vonage"},
        "telnyx": {"base_url": f"{url}/telnyx/v2"},
        "whatsapp": {"base_url": f"{url}/whatsapp"},
        "telegram": {"base_url": f"{url}/telegram"},
        OWN: {"url": url},
    }


def _new(known: Mapping[str, Mapping[str, Mapping[str, str]]]) -> dict[str, dict[str, dict[str, str]]]:
    has_keys = "private_key" in known.get("vonage", {}).get("secrets", {})
    telnyx = known.get(OWN, {}).get("secrets", {}).get("telnyx_key")
    seed = base64.b64decode(telnyx) if telnyx else secrets.token_bytes(32)
    return {
        "twilio": {
            "secrets": {"auth_token": secrets.token_hex(16)},
            "options": {"account_sid": f"AC{secrets.token_hex(16)}"},
        },
        "vonage": {
            "secrets": {
                "api_secret": secrets.token_urlsafe(16),
                "private_key": "" if has_keys else _rsa_key(),
                "signature_secret": secrets.token_urlsafe(40),
            },
            "options": {"api_key": secrets.token_hex(4), "application_id": str(uuid.uuid4())},
        },
        "telnyx": {
            "secrets": {"api_key": f"KEY{secrets.token_hex(16)}"},
            "options": {
                "public_key": _public_key(seed),
                "connection_id": str(secrets.randbelow(9 * 10**18) + 10**18),
                "messaging_profile_id": str(uuid.uuid4()),
            },
        },
        "whatsapp": {
            "secrets": {
                "access_token": f"EAA{secrets.token_hex(32)}",
                "app_secret": secrets.token_hex(16),
                "verify_token": secrets.token_urlsafe(24),
            },
            "options": {"phone_number_id": str(secrets.randbelow(9 * 10**14) + 10**14)},
        },
        "telegram": {
            "secrets": {
                "bot_token": f"{secrets.randbelow(9 * 10**9) + 10**9}:{secrets.token_urlsafe(26)}",
                "secret_token": secrets.token_urlsafe(32),
            },
            "options": {},
        },
        OWN: {
            "secrets": {"bearer": secrets.token_urlsafe(32), "telnyx_key": base64.b64encode(seed).decode()},
            "options": {},
        },
    }


# What follows needs a library of 10 MB: a simulator that is not used yet does without.


def _rsa_key() -> str:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _public_key(seed: bytes) -> str:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    public = Ed25519PrivateKey.from_private_bytes(seed).public_key()
    raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return base64.b64encode(raw).decode()
