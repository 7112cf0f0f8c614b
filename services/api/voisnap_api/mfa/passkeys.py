"""Passkeys (W3C WebAuthn level 2): what the browser is asked, and whether its answer is right."""

import ipaddress
import re
from typing import Any
from urllib.parse import urlsplit

import msgspec
import webauthn
from voisnap_domain.errors import Conflict
from webauthn.helpers import base64url_to_bytes
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from .records import Passkey

RP_NAME = "Voisnap"
TIMEOUT_MS = 120_000
_TRANSPORTS = {transport.value for transport in AuthenticatorTransport}


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """The page that asks. Keys belong to its host name, the relying party's id."""

    origin: str

    @property
    def rp_id(self) -> str:
        """The host name. Raises Conflict `passkeys-need-host-name` for an IP address, which browsers refuse."""
        host = urlsplit(self.origin).hostname or ""
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return host
        raise Conflict(
            f"Browsers make passkeys only for host names, not for {host}. On this computer, open http://localhost instead.",
            code="passkeys-need-host-name",
        )


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """A new key that its authenticator proved to hold."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    transports: tuple[str, ...]


def creation_options(
    site: Site, *, challenge: bytes, user_handle: bytes, account: str, name: str, known: tuple[Passkey, ...]
) -> dict[str, Any]:
    """`PublicKeyCredentialCreationOptionsJSON`, as `PublicKeyCredential.parseCreationOptionsFromJSON` takes it."""
    options = webauthn.generate_registration_options(
        rp_id=site.rp_id,
        rp_name=RP_NAME,
        user_name=account,
        user_id=user_handle,
        user_display_name=name or account,
        challenge=challenge,
        timeout=TIMEOUT_MS,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.DISCOURAGED, user_verification=UserVerificationRequirement.PREFERRED
        ),
        exclude_credentials=[_descriptor(passkey) for passkey in known],
    )
    return msgspec.json.decode(webauthn.options_to_json(options))


def request_options(site: Site, *, challenge: bytes, known: tuple[Passkey, ...]) -> dict[str, Any]:
    """`PublicKeyCredentialRequestOptionsJSON`, as `PublicKeyCredential.parseRequestOptionsFromJSON` takes it."""
    options = webauthn.generate_authentication_options(
        rp_id=site.rp_id,
        challenge=challenge,
        timeout=TIMEOUT_MS,
        allow_credentials=[_descriptor(passkey) for passkey in known],
        user_verification=UserVerificationRequirement.PREFERRED,
    )
    return msgspec.json.decode(webauthn.options_to_json(options))


def verify_creation(site: Site, credential: dict[str, Any], *, challenge: bytes) -> Verified | None:
    """The new key; None when the answer is no proof."""
    try:
        found = webauthn.verify_registration_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=site.rp_id,
            expected_origin=site.origin,
        )
    except _UNPROVEN:
        return None
    response = credential.get("response")
    given = response.get("transports") if isinstance(response, dict) else None
    named = {name for name in given if isinstance(name, str)} if isinstance(given, list) else set()
    return Verified(
        credential_id=found.credential_id,
        public_key=found.credential_public_key,
        sign_count=found.sign_count,
        transports=tuple(sorted(named & _TRANSPORTS)),
    )


def credential_id_of(credential: dict[str, Any]) -> bytes | None:
    """The id of the key that signed; None when there is none to be read."""
    text = credential.get("id")
    try:
        return base64url_to_bytes(text) if isinstance(text, str) else None
    except ValueError:
        return None


def verify_assertion(site: Site, credential: dict[str, Any], passkey: Passkey, *, challenge: bytes) -> int | None:
    """The key's counter after a right signature; None when it is no proof, or the counter went back (a copied authenticator)."""
    try:
        found = webauthn.verify_authentication_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=passkey.rp_id,
            expected_origin=site.origin,
            credential_public_key=passkey.public_key,
            credential_current_sign_count=passkey.sign_count,
        )
    except _UNPROVEN:
        return None
    return found.new_sign_count


_UNPROVEN = (WebAuthnException, ValueError, TypeError, KeyError, AttributeError, IndexError)
"""What the library raises for answers that are no proof, and for answers that are not even one."""


def _descriptor(passkey: Passkey) -> PublicKeyCredentialDescriptor:
    return PublicKeyCredentialDescriptor(
        id=passkey.credential_id, transports=[AuthenticatorTransport(name) for name in passkey.transports]
    )


class Sites:
    """The pages that may ask for passkeys: the platform's own origin and those that may call it from a browser."""

    def __init__(self, public_url: str, allowed_origins: tuple[str, ...]) -> None:
        self._own = public_url.rstrip("/")
        any_port = [re.escape(origin[:-2]) + r":\d{1,5}" for origin in allowed_origins if origin.endswith(":*")]
        exact = [re.escape(origin) for origin in allowed_origins if not origin.endswith(":*")]
        self._allowed = re.compile("|".join([re.escape(self._own), *exact, *any_port]))

    def of(self, origin: str | None) -> Site:
        """The page a request comes from, as its `Origin` header says; the platform's own when there is none or it is strange here."""
        return Site(origin=origin if origin and self._allowed.fullmatch(origin) else self._own)
