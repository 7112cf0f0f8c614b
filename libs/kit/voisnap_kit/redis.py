"""Redis or Valkey: one bounded connection pool with time-outs, and typed Lua scripts. Knows no key."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, Self, cast

from .extras import without

with without("opentelemetry.sdk.metrics"):  # measures of its own, which are off: 30 ms
    from redis import asyncio as redis_asyncio
    from redis.asyncio.retry import Retry
    from redis.backoff import ExponentialWithJitterBackoff
    from redis.driver_info import DriverInfo
    from redis.exceptions import ConnectionError as RedisConnectionError
    from redis.exceptions import NoScriptError, RedisError
    from redis.exceptions import TimeoutError as RedisTimeoutError

__all__ = ["Redis", "RedisError", "Script"]

_DRIVER = DriverInfo()
"""What connections tell of themselves. Without it each new one looks up the library's version on disk, 15 ms in which the loop stands still."""


_MOST_JOINED = 256
"""Runs of a script that share one round trip."""


class Redis:
    """A client whose every command has a time-out and a few retries with backoff. `client` is the redis-py object; answers are bytes."""

    def __init__(self, client: redis_asyncio.Redis) -> None:
        self.client = client
        self.rounds: dict[Script, _Rounds] = {}

    @classmethod
    async def open(cls, url: str, *, max_connections: int = 64, timeout: float = 2.0) -> Self:
        """A pool on `url`; does not need the server to be up yet. `timeout` in seconds holds for connect and for each command."""
        pool = redis_asyncio.BlockingConnectionPool.from_url(
            url,
            max_connections=max_connections,
            timeout=timeout,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            health_check_interval=15,
            driver_info=_DRIVER,
            retry=Retry(ExponentialWithJitterBackoff(base=0.02, cap=0.5), retries=3),
            retry_on_error=[RedisConnectionError, RedisTimeoutError],
        )
        return cls(redis_asyncio.Redis.from_pool(pool))

    async def ping(self) -> None:
        """Raise RedisError when the server does not answer; a readiness check."""
        await cast(Awaitable[bool], self.client.ping())

    async def close(self) -> None:
        await self.client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class Script:
    """A Lua script that is sent once and called by its hash; a server that forgot it (restart, fail-over) gets it again."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._sha: str | None = None

    async def __call__(self, redis: Redis, *, keys: tuple[str, ...], args: tuple[Any, ...] = ()) -> Any:
        """Run it. The caller knows the answer's type. Do not give it a script that is unsafe to repeat: a lost answer is retried."""
        if self._sha is None:
            self._sha = cast(str, await redis.client.script_load(self.source))
        try:
            return await cast(Awaitable[Any], redis.client.evalsha(self._sha, len(keys), *keys, *args))
        except NoScriptError:
            return await cast(Awaitable[Any], redis.client.eval(self.source, len(keys), *keys, *args))

    async def joined(self, redis: Redis, *, keys: tuple[str, ...], args: tuple[Any, ...] = ()) -> Any:
        """Like a call; all who ask while a round trip is under way share the next one, which costs hardly more than one of them alone."""
        rounds = redis.rounds.get(self)
        if rounds is None:
            rounds = redis.rounds[self] = _Rounds(redis, self)
        return await rounds.answer(keys, args)

    async def each(self, redis: Redis, runs: Sequence[tuple[tuple[str, ...], tuple[Any, ...]]]) -> tuple[Any, ...]:
        """Run it for many (keys, args) in one round trip; each run is atomic, all of them together are not."""
        if not runs:
            return ()
        answers = await self._pipelined(redis, runs)
        if any(isinstance(answer, NoScriptError) for answer in answers):  # the server forgot it
            self._sha = None
            answers = await self._pipelined(redis, runs)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return tuple(answers)

    async def _pipelined(self, redis: Redis, runs: Sequence[tuple[tuple[str, ...], tuple[Any, ...]]]) -> list[Any]:
        if self._sha is None:
            self._sha = cast(str, await redis.client.script_load(self.source))
        async with redis.client.pipeline(transaction=False) as pipeline:
            for keys, args in runs:
                pipeline.evalsha(self._sha, len(keys), *keys, *args)
            return await pipeline.execute(raise_on_error=False)


class _Rounds:
    """The runs of one script that wait for the next round trip; at most one is under way."""

    def __init__(self, redis: Redis, script: Script) -> None:
        self._redis = redis
        self._script = script
        self._waiting: list[tuple[tuple[str, ...], tuple[Any, ...], asyncio.Future[Any]]] = []
        self._task: asyncio.Task[None] | None = None

    async def answer(self, keys: tuple[str, ...], args: tuple[Any, ...]) -> Any:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((keys, args, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        while self._waiting:
            runs, self._waiting = self._waiting[:_MOST_JOINED], self._waiting[_MOST_JOINED:]
            try:
                answers = await self._script.each(self._redis, [(keys, args) for keys, args, _ in runs])
            except Exception as error:
                for _, _, future in runs:
                    if not future.done():
                        future.set_exception(error)
            except BaseException:
                for _, _, future in (*runs, *self._waiting):
                    future.cancel()
                self._waiting.clear()
                raise
            else:
                for (_, _, future), answer in zip(runs, answers, strict=True):
                    if not future.done():
                        future.set_result(answer)
