"""Provider credentials on the wire. Secrets come in and never go out."""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType
from voisnap_domain.tenants import Environment
from voisnap_providers.accounts import PROVIDERS

from voisnap_api.wire import Body, View, instant

from .fields import on_the_wire
from .records import CredentialTest, ProbeOutcome, ProviderCredential

ProviderName = StrEnum("ProviderName", {name.upper(): name for name in PROVIDERS})
"""Providers that take credentials."""

Name = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"\S")]
Secrets = Annotated[
    dict[str, str],
    Meta(
        description="`apiKey`; of google `apiKey` (Gemini) and `serviceAccount` (speech and voices: the text of the key file); of aws "
        "`accessKeyId`, `secretAccessKey` and, if there is one, `sessionToken`; of azure `key`; of twilio `authToken` and, if you use an "
        "API key, its `apiKeySecret`; of vonage `apiSecret`, `privateKey` (the application's, in PEM) and `signatureSecret`; of telnyx "
        "`apiKey`; of whatsapp `accessToken`, `appSecret`, `verifyToken`; of telegram `botToken`, `secretToken` (one you think of)."
    ),
]
Options = Annotated[
    dict[str, str],
    Meta(
        description="`region` (aws, azure: required), `project` and `location` (google), `organization` (openai), `model` (elevenlabs), "
        "`baseUrl` (openai_compatible: required); of twilio `accountSid` (required) and `apiKeySid`; of vonage `apiKey` and `applicationId` "
        "(required); of telnyx `publicKey`, `connectionId` (of the Call Control application; required) and `messagingProfileId`; of whatsapp "
        "`phoneNumberId` (required) and `businessAccountId`."
    ),
]


class ProviderCredentialBody(Body, frozen=True, kw_only=True):
    """Access to a provider. The first one of its provider becomes the default one, whatever `isDefault` says."""

    provider: ProviderName  # type: ignore[valid-type]
    name: Name
    secrets: Secrets
    options: Options = msgspec.field(default_factory=dict)
    is_default: bool = False


class ProviderCredentialPatch(Body, frozen=True, kw_only=True):
    """What to change. `secrets` and `options` replace all that were there. `isDefault: true` takes the place of the default one."""

    name: Name | UnsetType = UNSET
    secrets: Secrets | UnsetType = UNSET
    options: Options | UnsetType = UNSET
    is_default: bool | UnsetType = UNSET


class ProbeView(View, frozen=True, kw_only=True):
    """One thing that was asked of the provider."""

    kind: str
    outcome: ProbeOutcome
    detail: str


class CredentialTestView(View, frozen=True, kw_only=True):
    """What came of the last test of the present secrets."""

    at: str
    outcome: ProbeOutcome
    probes: tuple[ProbeView, ...]

    @classmethod
    def of(cls, test: CredentialTest) -> "CredentialTestView":
        probes = tuple(ProbeView(kind=one.kind, outcome=one.outcome, detail=one.detail) for one in test.probes)
        return cls(at=instant(test.at), outcome=test.outcome, probes=probes)


class ProviderCredentialView(View, frozen=True, kw_only=True):
    """A credential as it is listed: of each secret the last four characters. `revision` rises with each change of secrets or options."""

    id: str
    provider: str
    name: str
    environment: Environment
    secrets: dict[str, str]
    options: dict[str, str]
    is_default: bool
    revision: int
    last_test: CredentialTestView | None
    created_at: str
    updated_at: str
    created_by: str | None

    @classmethod
    def of(cls, credential: ProviderCredential) -> "ProviderCredentialView":
        return cls(
            id=credential.id,
            provider=credential.provider,
            name=credential.name,
            environment=credential.environment,
            secrets=on_the_wire(credential.hints),
            options=on_the_wire(credential.options),
            is_default=credential.is_default,
            revision=credential.revision,
            last_test=None if credential.last_test is None else CredentialTestView.of(credential.last_test),
            created_at=instant(credential.created_at),
            updated_at=instant(credential.updated_at),
            created_by=credential.created_by,
        )
