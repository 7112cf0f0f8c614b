"""Faults around providers.

A vendor's fault is a `ProviderError`: not the caller's, and not a bug here. A provider that nobody set up is the caller's fault.
"""

from voisnap_domain.errors import Conflict
from voisnap_domain.texting import MessageFailure


class ProviderError(Exception):
    """A provider failed. `retryable` says whether the same call may work in a moment, `retry_after` in how many seconds, if it told;
    `kind` is stt, tts, llm, embeddings, blobs, email, carrier or messaging."""

    def __init__(
        self, detail: str, *, provider: str, kind: str, retryable: bool, retry_after: float | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.provider = provider
        self.kind = kind
        self.retryable = retryable
        self.retry_after = retry_after


class ProviderTimeout(ProviderError):
    """A provider did not answer in time."""

    def __init__(self, detail: str, *, provider: str, kind: str) -> None:
        super().__init__(detail, provider=provider, kind=kind, retryable=True)


class ProviderAuthError(ProviderError):
    """A provider refused the key: no call with it will work until somebody changes it."""

    def __init__(self, detail: str, *, provider: str, kind: str) -> None:
        super().__init__(detail, provider=provider, kind=kind, retryable=False)


class DialUncertain(ProviderError):
    """A carrier was asked to dial and nobody knows whether it does: no second dial until its events, or their absence, have told."""

    def __init__(self, detail: str, *, provider: str) -> None:
        super().__init__(detail, provider=provider, kind="carrier", retryable=False)


class DigitsUnsent(ProviderError):
    """A carrier presses no keys while the call is connected to a media socket."""

    def __init__(self, detail: str, *, provider: str) -> None:
        super().__init__(detail, provider=provider, kind="carrier", retryable=False)


class RecordingUnavailable(ProviderError):
    """A carrier can't be told this of a recording: it records, or goes on recording, by other means."""

    def __init__(self, detail: str, *, provider: str) -> None:
        super().__init__(detail, provider=provider, kind="carrier", retryable=False)


class MessageRefused(ProviderError):
    """A network does not send a message, or gives no media of one: `failure` says why, `code` is its own. As it is it never will, but when
    `retryable` in a moment."""

    def __init__(
        self,
        detail: str,
        *,
        provider: str,
        failure: MessageFailure,
        code: str = "",
        retryable: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail, provider=provider, kind="messaging", retryable=retryable, retry_after=retry_after)
        self.failure = failure
        self.code = code


class MessageUncertain(ProviderError):
    """A network was asked to send and nobody knows whether it does: its callbacks tell, or nobody."""

    def __init__(self, detail: str, *, provider: str) -> None:
        super().__init__(detail, provider=provider, kind="messaging", retryable=False)


class ProviderUnconfigured(Conflict):
    """No such provider here, or its credentials are not set."""

    code = "provider-not-configured"
