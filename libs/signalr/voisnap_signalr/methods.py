"""The table of a hub's callable methods: what each takes, and what it answers."""

import inspect
import re
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

import msgspec

from .messages import HubCodec
from .payloads import Decoder, decoder_of

if TYPE_CHECKING:
    from .hub import Hub

_QUOTED = re.compile(r"['\"].*['\"]", re.DOTALL)
_TARGET = "__voisnap_hub_target__"
_STREAMS = (AsyncIterator, AsyncIterable, AsyncGenerator)


def mark(function: Any, target: str, *, immediate: bool = False) -> Any:
    """Let clients call `function` as `target`. Raises `TypeError` unless it is `async def`, or `def` for an immediate one."""
    waits = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    if waits == immediate or not inspect.isfunction(function):
        raise TypeError(f"Hub method '{target}' must be '{'def' if immediate else 'async def'}'.")
    setattr(function, _TARGET, target)
    return function


class HubMethod:
    """One callable target.

    A method that yields, or whose result is annotated as an async iterator, answers with a stream. A parameter that is
    annotated as an async iterable takes a stream of the client.
    """

    def __init__(self, target: str, function: Callable[..., Any]) -> None:
        hints = get_type_hints(function, include_extras=True)
        result = hints.get("return", Any)
        self.target = target
        self.call = function
        """The function itself: takes the hub, then the arguments; gives an async generator if `is_generator`."""
        self.is_generator = inspect.isasyncgenfunction(function)
        self.is_streaming = self.is_generator or _is_stream(result)
        self.is_immediate = not (self.is_generator or inspect.iscoroutinefunction(function))
        """A plain function: it runs at once and waits for nothing."""
        self.has_result = result is not type(None)
        self._names: list[str] = []
        self._kinds: list[Any] = []
        self._required = 0
        self._uploads: list[tuple[str, Any]] = []
        for parameter in list(inspect.signature(function).parameters.values())[1:]:
            if parameter.kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD:
                raise TypeError(f"Hub method '{target}': parameter '{parameter.name}' must be positional.")
            kind = hints.get(parameter.name, Any)
            is_stream = _is_stream(kind)
            if is_stream:
                kind = next(iter(get_args(kind)), Any)
            _check_decodable(target, parameter.name, kind)
            if is_stream:
                self._uploads.append((parameter.name, kind))
                continue
            self._names.append(parameter.name)
            self._kinds.append(kind)
            self._required += parameter.default is inspect.Parameter.empty
        if self.is_immediate and (self._uploads or self.is_streaming):
            raise TypeError(f"Hub method '{target}' has a stream, so it must be 'async def'.")
        self._decoders: dict[str, tuple[Decoder, ...]] = {}
        self._item_decoders: dict[str, tuple[Decoder, ...]] = {}

    @property
    def upload_count(self) -> int:
        """How many streams the client must send along."""
        return len(self._uploads)

    def bind(self, arguments: Sequence[msgspec.Raw], codec: HubCodec) -> list[Any]:
        """Decode the arguments by the method's annotations; the client's streams are not among them.

        Parameters with a default may be left out. Raises `ValueError`, whose text quotes no argument.
        """
        if not self._required <= len(arguments) <= len(self._kinds):
            raise ValueError(f"{len(arguments)} arguments for {len(self._kinds)} parameters")
        decoders = self._decoders.get(codec.name)
        if decoders is None:
            decoders = self._decoders[codec.name] = tuple(
                _as_it_is if kind is msgspec.Raw else decoder_of(kind, codec) for kind in self._kinds
            )
        try:
            return [decode(raw) for decode, raw in zip(decoders, arguments, strict=False)]
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            # The decoder quotes what it did not understand, and that may be somebody's words.
            raise ValueError(_QUOTED.sub("'…'", str(error))) from None

    def item_decoders(self, codec: HubCodec) -> tuple[Decoder, ...]:
        """What decodes the items of each of the client's streams, in their order."""
        decoders = self._item_decoders.get(codec.name)
        if decoders is None:
            decoders = self._item_decoders[codec.name] = tuple(decoder_of(kind, codec) for _, kind in self._uploads)
        return decoders

    def named(self, arguments: Sequence[Any], uploads: Sequence[AsyncIterable[Any]]) -> dict[str, Any]:
        """Arguments and the client's streams by the names of their parameters."""
        plain = dict(zip(self._names, arguments, strict=False))
        return plain | {name: upload for (name, _), upload in zip(self._uploads, uploads, strict=True)}


class HubMethods:
    """The targets of a hub class, found in any case."""

    def __init__(self, hub_type: type["Hub"]) -> None:
        self._by_target: dict[str, HubMethod] = {}
        self._by_folded: dict[str, HubMethod] = {}
        for name, function in inspect.getmembers(hub_type, inspect.isfunction):
            target = getattr(function, _TARGET, None)
            if target is None:
                continue
            if target.casefold() in self._by_folded:
                raise TypeError(f"{hub_type.__name__} has two hub methods named '{target}' ({name}).")
            self._by_target[target] = self._by_folded[target.casefold()] = HubMethod(target, function)

    def find(self, target: str) -> HubMethod | None:
        return self._by_target.get(target) or self._by_folded.get(target.casefold())


def _as_it_is(raw: msgspec.Raw) -> msgspec.Raw:
    return raw


def _is_stream(kind: Any) -> bool:
    return (get_origin(kind) or kind) in _STREAMS


def _check_decodable(target: str, name: str, kind: Any) -> None:
    try:
        msgspec.json.Decoder(kind)
    except TypeError as error:
        raise TypeError(f"Hub method '{target}': parameter '{name}' cannot be decoded: {error}") from None
