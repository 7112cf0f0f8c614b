"""A dialogue for vendors who insist on an order: the system's texts apart, user and assistant in turns, the user first and last, and the calls
of tools answered at once, each exactly once.

A call is not like that: the agent speaks first, callers speak twice, a result arrives after the caller went on, another vendor made the
calls before a fallback.
"""

from collections.abc import Sequence

import msgspec

from voisnap_providers.ports.llm import LlmRequest, Message, Role, ToolCall

OPENING = "(The conversation begins.)"
"""Said for the user, where the assistant speaks first."""
ONWARD = "(Please go on.)"
"""Said for the user, where the assistant has spoken last."""
UNANSWERED = "(No result: the call was broken off.)"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool gave for `call`."""

    call: ToolCall
    content: str


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """All that one side says before the other does. Calls end an assistant's exchange; their results begin the user's, in the calls' order.
    `is_current`: it belongs to the reply being made, after the user's last words."""

    is_users: bool
    texts: tuple[str, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    results: tuple[Result, ...] = ()
    is_current: bool = False


class Alternation(msgspec.Struct, frozen=True, kw_only=True):
    """`prompt` is the first system text, the same in every request of a call; `more` are the others, which may change."""

    prompt: str
    more: tuple[str, ...]
    exchanges: tuple[Exchange, ...]


def alternation_of(messages: Sequence[Message], passages: Sequence[str] = ()) -> Alternation:
    """Order a dialogue. Empty texts and results of unknown calls are left out; a call without a result gets one that says so."""
    system = [message.content for message in messages if message.role is Role.SYSTEM and message.content.strip()]
    if passages:
        system.append("What you know that may help:\n\n" + "\n\n".join(passages))
    starts_with_prompt = bool(messages) and messages[0].role is Role.SYSTEM and bool(messages[0].content.strip())
    prompt, more = (system[0], system[1:]) if starts_with_prompt else ("", system)
    return Alternation(prompt=prompt, more=tuple(more), exchanges=_ends_by_user(_merged(messages)))


def alternation_for(request: LlmRequest) -> Alternation:
    """The dialogue of a request, with the passages of its knowledge."""
    return alternation_of(request.messages, request.passages)


def _merged(messages: Sequence[Message]) -> list[Exchange]:
    results = {message.tool_call_id: message.content for message in messages if message.role is Role.TOOL}
    merged: list[Exchange] = []
    for message in messages:
        if message.role not in (Role.USER, Role.ASSISTANT):
            continue
        texts = (message.content,) if message.content.strip() else ()
        if not texts and not message.tool_calls:
            continue
        _append(merged, Exchange(is_users=message.role is Role.USER, texts=texts, calls=message.tool_calls))
        if message.tool_calls:
            given = tuple(
                Result(call=call, content=results.get(call.call_id, UNANSWERED)) for call in message.tool_calls
            )
            _append(merged, Exchange(is_users=True, results=given))
    return merged


def _append(merged: list[Exchange], exchange: Exchange) -> None:
    last = merged[-1] if merged else None
    if last is None or last.is_users != exchange.is_users:
        merged.append(exchange)
        return
    merged[-1] = Exchange(
        is_users=last.is_users,
        texts=last.texts + exchange.texts,
        calls=last.calls + exchange.calls,
        results=last.results + exchange.results,
    )


def _ends_by_user(merged: list[Exchange]) -> tuple[Exchange, ...]:
    if not merged or not merged[0].is_users:
        merged.insert(0, Exchange(is_users=True, texts=(OPENING,)))
    if not merged[-1].is_users:
        merged.append(Exchange(is_users=True, texts=(ONWARD,)))
    last_words = max(at for at, exchange in enumerate(merged) if exchange.is_users and exchange.texts)
    return tuple(msgspec.structs.replace(exchange, is_current=at > last_words) for at, exchange in enumerate(merged))
