"""Decoding of what clients send, by type; property names count in any case of letters, as .NET reads them.

.NET clients that speak MessagePack send their names as they are declared (`FirstName`), and some people write theirs so
by hand. Names that are right are decoded as ever; only others cost a second pass.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import inspect

from .messages import HubCodec, TransferFormat

Decoder = Callable[[msgspec.Raw], Any]

_Rename = Callable[[Any], Any]
"""Gives a decoded value with the right names: the very same one if they are right already."""

_BINARY_BUILTINS = (bytes, bytearray, datetime)


def decoder_of(kind: Any, codec: HubCodec) -> Decoder:
    """What decodes payloads of type `kind`; it raises `msgspec.MsgspecError`, `RecursionError` or `UnicodeDecodeError`."""
    exact = codec.payload_decoder(kind)
    rename = _renaming(inspect.type_info(kind), {})
    if rename is None:
        return exact
    anything = codec.payload_decoder(Any)
    builtins = _BINARY_BUILTINS if codec.transfer_format is TransferFormat.BINARY else ()

    def decode(raw: msgspec.Raw) -> Any:
        written = anything(raw)
        renamed = rename(written)
        if renamed is written:
            return exact(raw)
        return msgspec.convert(renamed, kind, builtin_types=builtins, str_keys=True)

    return decode


def _renaming(info: inspect.Type, known: dict[type, _Rename]) -> _Rename | None:
    """How to rename inside a value of this type; None when there are no names in it."""
    match info:
        case inspect.StructType(cls=cls, array_like=False):
            return known.get(cls) or _renaming_of_struct(info, known)
        case inspect.ListType() | inspect.VarTupleType():
            return _renaming_of_items(_renaming(info.item_type, known))
        case inspect.DictType():
            return _renaming_of_values(_renaming(info.value_type, known))
        case inspect.UnionType():
            renamings = [rename for each in info.types if (rename := _renaming(each, known)) is not None]
            # Of several structs the tag would have to choose, and its name may be the wrong one.
            return renamings[0] if len(renamings) == 1 else None
        case _:
            return None


def _renaming_of_struct(info: inspect.StructType, known: dict[type, _Rename]) -> _Rename:
    names: dict[str, str] = {}
    inner: dict[str, _Rename] = {}

    def rename(value: Any) -> Any:
        return _rename_keys(value, names, inner) if isinstance(value, dict) else value

    # Known before its fields are looked at: a struct may hold itself.
    known[info.cls] = rename
    for field in info.fields:
        names[field.encode_name.casefold()] = field.encode_name
        renaming = _renaming(field.type, known)
        if renaming is not None:
            inner[field.encode_name] = renaming
    return rename


def _rename_keys(value: dict[Any, Any], names: Mapping[str, str], inner: Mapping[str, _Rename]) -> dict[Any, Any]:
    renamed: dict[Any, Any] = {}
    has_changed = False
    for key, item in value.items():
        name = names.get(key.casefold(), key) if isinstance(key, str) else key
        if name != key and (name in value or name in renamed):
            # The right name is there too, and counts.
            name = key
        rename = inner.get(name)
        renamed[name] = item if rename is None else rename(item)
        has_changed = has_changed or name != key or renamed[name] is not item
    return renamed if has_changed else value


def _renaming_of_items(rename: _Rename | None) -> _Rename | None:
    if rename is None:
        return None

    def rename_all(value: Any) -> Any:
        if not isinstance(value, list):
            return value
        renamed = [rename(item) for item in value]
        is_same = all(new is old for new, old in zip(renamed, value, strict=True))
        return value if is_same else renamed

    return rename_all


def _renaming_of_values(rename: _Rename | None) -> _Rename | None:
    if rename is None:
        return None

    def rename_all(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        renamed = {key: rename(item) for key, item in value.items()}
        return renamed if any(renamed[key] is not item for key, item in value.items()) else value

    return rename_all
