"""What an answer of AWS means here. Its messages may repeat what was asked, so only its codes are told."""

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError

from voisnap_providers.errors import ProviderAuthError, ProviderError, ProviderTimeout
from voisnap_providers.vendors import retry_after

PROVIDER = "aws"

KEY_REFUSED = frozenset(
    {
        "AccessDeniedException",
        "ExpiredTokenException",
        "IncompleteSignatureException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "OptInRequired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
"""Codes of https://docs.aws.amazon.com/polly/latest/API/CommonErrors.html that no second try heals."""
RETRYABLE = frozenset(
    {
        "ConflictException",
        "InternalFailureException",
        "LimitExceededException",
        "RequestTimeout",
        "ServiceFailureException",
        "ServiceUnavailableException",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
CONNECTION_FAULTS = (BotoCoreError, aiohttp.ClientError, asyncio.TimeoutError, OSError)


def refused(code: str, *, kind: str, status: int = 400, headers: Mapping[str, str] | None = None) -> ProviderError:
    """The error for an exception that AWS names."""
    if code in KEY_REFUSED or status in {401, 403}:
        return ProviderAuthError(f"AWS refused the key ({code}).", provider=PROVIDER, kind=kind)
    return ProviderError(
        f"AWS answered {code} (HTTP {status}).",
        provider=PROVIDER,
        kind=kind,
        retryable=code in RETRYABLE or status >= 500 or status == 429,
        retry_after=retry_after.seconds_of(headers or {}),
    )


def translated(error: Exception, *, kind: str) -> ProviderError:
    """The error for what a client of botocore raised."""
    if isinstance(error, ClientError):
        answer: Any = error.response.get("ResponseMetadata", {})
        status = int(answer.get("HTTPStatusCode") or 400)
        return refused(code_of(error), kind=kind, status=status, headers=answer.get("HTTPHeaders"))
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
        return ProviderTimeout("AWS did not answer in time.", provider=PROVIDER, kind=kind)
    return ProviderError(
        f"The connection to AWS failed ({type(error).__name__}).", provider=PROVIDER, kind=kind, retryable=True
    )


def code_of(error: ClientError) -> str:
    """The name of AWS's exception."""
    return str(error.response.get("Error", {}).get("Code") or "Unknown")
