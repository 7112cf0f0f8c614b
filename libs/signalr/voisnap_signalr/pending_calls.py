"""Calls of the server that wait for the client's result."""

import asyncio
from typing import Any

import msgspec

from .hub import ClientError
from .messages import Completion
from .payloads import Decoder

_MAX_PENDING = 1000


class PendingCalls:
    """What the server has asked one client and has no answer to yet."""

    def __init__(self) -> None:
        self._calls: dict[str, tuple[asyncio.Future[Any], Decoder]] = {}
        self._last_number = 0

    def __contains__(self, invocation_id: str) -> bool:
        return invocation_id in self._calls

    def begin(self, decode: Decoder) -> tuple[str, asyncio.Future[Any]]:
        """An id for a new call and the future of its result. Raises `RuntimeError` when too many wait already."""
        if len(self._calls) >= _MAX_PENDING:
            raise RuntimeError(f"{_MAX_PENDING} calls wait for an answer of this client already.")
        self._last_number += 1
        invocation_id = f"s{self._last_number}"
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._calls[invocation_id] = answer, decode
        return invocation_id, answer

    def forget(self, invocation_id: str) -> None:
        """Nobody waits for this answer any more."""
        self._calls.pop(invocation_id, None)

    def answer(self, completion: Completion) -> None:
        """The client's answer; one that nobody waits for is dropped."""
        answer, decode = self._calls.pop(completion.invocation_id, (None, None))
        if answer is None or decode is None or answer.done():
            return
        if completion.error is not None:
            answer.set_exception(ClientError(completion.error))
            return
        try:
            # A client without a result means null.
            answer.set_result(decode(completion.result) if completion.has_result else None)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            answer.set_exception(ValueError(f"The client's result is of another type: {error}"))

    def abandon(self) -> None:
        """The connection has ended: nothing will be answered."""
        calls, self._calls = self._calls, {}
        for answer, _ in calls.values():
            if not answer.done():
                answer.set_exception(ConnectionError("The connection has ended."))
                # Whoever asked may have gone; that nobody looks at the error is fine.
                answer.exception()
