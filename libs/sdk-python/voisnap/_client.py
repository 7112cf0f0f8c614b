"""`VoisnapClient` and `AsyncVoisnapClient`."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any, Self

import httpx

from . import models
from ._resources import AsyncResources, Resources
from ._senders import RETRIES, TIMEOUT, AsyncSender, Credential, Sender, base_url_of
from .errors import SecondFactorNeeded
from .realtime import AsyncRealtime, Realtime

_RENEW_SHARE = 0.2
"""A hub token is made anew when less than this share of its life is left."""


class _HubTokens:
    """Hub tokens by what they are bound to, while they are good."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[tuple[str | None, str | None, int | None], tuple[str, float]] = {}

    def get(self, binding: tuple[str | None, str | None, int | None]) -> str | None:
        """A token that is still good for a while."""
        kept = self._kept.get(binding)
        return kept[0] if kept and self._clock() < kept[1] else None

    def keep(self, binding: tuple[str | None, str | None, int | None], made: models.HubToken) -> str:
        """Remember a new one."""
        now = self._clock()
        self._kept = {name: kept for name, kept in self._kept.items() if now < kept[1]}
        self._kept[binding] = (made.access_token, now + made.expires_in * (1 - _RENEW_SHARE))
        return made.access_token


class VoisnapClient(Resources):
    """The API, for programs without asyncio. Safe to share between threads; close it, or use it in a `with` block.

        client = VoisnapClient(api_key="vsnp_live_...")
        for agent in client.agents.list(status="active"):
            print(agent.name)

    Without arguments the key is taken from `VOISNAP_API_KEY` and the address from `VOISNAP_BASE_URL`. `base_url` is the platform's address
    without `/api/v1`; a sandbox key alone selects the sandbox. Each call may take `timeout` seconds and is tried `max_retries` times more.
    Every method raises `VoisnapError`. `http_client` brings connections of your own (proxies, certificates).
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        access_token: str | None = None,
        refresh_token: str | None = None,
        base_url: str | None = None,
        timeout: float = TIMEOUT,
        max_retries: int = RETRIES,
        http_client: httpx.Client | None = None,
    ) -> None:
        credential = Credential.chosen(api_key, access_token, refresh_token)
        url = base_url_of(base_url, credential.token)
        self._begin(Sender(url, credential, timeout=timeout, retries=max_retries, client=http_client))

    def _begin(self, sender: Sender) -> None:
        super().__init__(sender)
        self._sender = sender
        self._tokens, self._token_lock = _HubTokens(), threading.Lock()
        self.realtime = Realtime(sender.base_url, self.get_access_token)

    @classmethod
    def login(cls, email: str, password: str, *, base_url: str | None = None, **options: Any) -> Self:
        """A client that acts as a person and stays logged in. `options` are those of the constructor.

        Raises AuthenticationError; SecondFactorNeeded, whose token goes with a code to `client.auth.mfa.verify` of any client, and what
        that answers to `VoisnapClient(access_token=…, refresh_token=…)`.
        """
        sender = Sender(
            base_url_of(base_url, ""),
            None,
            timeout=options.get("timeout", TIMEOUT),
            retries=options.get("max_retries", RETRIES),
            client=options.get("http_client"),
        )
        client = cls.__new__(cls)
        client._begin(sender)
        try:
            sender.credential = _logged_in(client.auth.login(email=email, password=password))
        except BaseException:
            sender.close()
            raise
        return client

    @property
    def base_url(self) -> str:
        """The platform's address."""
        return self._sender.base_url

    def get_access_token(
        self, *, agent_id: str | None = None, session_id: str | None = None, ttl_seconds: int | None = None
    ) -> str:
        """A token for the hubs, bound to an agent or a session when one is named; kept and made anew before it runs out."""
        binding = (agent_id, session_id, ttl_seconds)
        with self._token_lock:
            return self._tokens.get(binding) or self._tokens.keep(binding, self.auth.hub_token(**_binding(*binding)))

    def close(self) -> None:
        """Close the connections."""
        self.realtime.close()
        self._sender.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class AsyncVoisnapClient(AsyncResources):
    """The API, for asyncio; otherwise as `VoisnapClient`. Use it in an `async with` block, in one event loop.

    async with AsyncVoisnapClient() as client:
        async for agent in client.agents.list(status="active"):
            print(agent.name)
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        access_token: str | None = None,
        refresh_token: str | None = None,
        base_url: str | None = None,
        timeout: float = TIMEOUT,
        max_retries: int = RETRIES,
        http_client: httpx.AsyncClient | None = None,
    ) -> None:
        credential = Credential.chosen(api_key, access_token, refresh_token)
        url = base_url_of(base_url, credential.token)
        self._begin(AsyncSender(url, credential, timeout=timeout, retries=max_retries, client=http_client))

    def _begin(self, sender: AsyncSender) -> None:
        super().__init__(sender)
        self._sender = sender
        self._tokens, self._token_lock = _HubTokens(), asyncio.Lock()
        self.realtime = AsyncRealtime(sender.base_url, self.get_access_token)

    @classmethod
    async def login(cls, email: str, password: str, *, base_url: str | None = None, **options: Any) -> Self:
        """A client that acts as a person and stays logged in; otherwise as `VoisnapClient.login`."""
        sender = AsyncSender(
            base_url_of(base_url, ""),
            None,
            timeout=options.get("timeout", TIMEOUT),
            retries=options.get("max_retries", RETRIES),
            client=options.get("http_client"),
        )
        client = cls.__new__(cls)
        client._begin(sender)
        try:
            sender.credential = _logged_in(await client.auth.login(email=email, password=password))
        except BaseException:
            await sender.close()
            raise
        return client

    @property
    def base_url(self) -> str:
        """The platform's address."""
        return self._sender.base_url

    async def get_access_token(
        self, *, agent_id: str | None = None, session_id: str | None = None, ttl_seconds: int | None = None
    ) -> str:
        """A token for the hubs, bound to an agent or a session when one is named; kept and made anew before it runs out."""
        binding = (agent_id, session_id, ttl_seconds)
        async with self._token_lock:
            kept = self._tokens.get(binding)
            return kept or self._tokens.keep(binding, await self.auth.hub_token(**_binding(*binding)))

    async def close(self) -> None:
        """Close the connections."""
        await self._sender.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()


def _binding(agent_id: str | None, session_id: str | None, ttl_seconds: int | None) -> dict[str, Any]:
    values = {"agent_id": agent_id, "session_id": session_id, "ttl_seconds": ttl_seconds}
    return {name: value for name, value in values.items() if value is not None}


def _logged_in(answer: Any) -> Credential:
    if not isinstance(answer, models.Login):
        raise SecondFactorNeeded(answer.mfa_token, tuple(answer.methods))
    return Credential(answer.access_token, refresh_token=answer.refresh_token, expires_in=float(answer.expires_in))
