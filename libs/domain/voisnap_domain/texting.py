"""Written messages as every service talks of them: what becomes of one, why one fails, and how a long text is cut for its network.

Short messages are counted as their networks bill them: in segments of 7-bit (GSM 03.38) or 16-bit (UCS-2) characters.
"""

import re
from enum import StrEnum
from functools import cache
from importlib import import_module
from typing import Any

import msgspec


class MessageState(StrEnum):
    """What becomes of a message of ours, in the order of its course; `FAILED` and `UNDELIVERABLE` are ends."""

    QUEUED = "queued"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"
    """The network did not take it, or gave it up."""
    UNDELIVERABLE = "undeliverable"
    """The network tried, and the other side cannot be reached."""


_ORDER = {
    state: place
    for place, states in enumerate(
        (
            (MessageState.QUEUED,),
            (MessageState.SENT,),
            (MessageState.FAILED, MessageState.UNDELIVERABLE),
            (MessageState.DELIVERED,),
            (MessageState.READ,),
        )
    )
    for state in states
}


def is_later(state: MessageState, than: MessageState) -> bool:
    """Whether a state says more than another one: callbacks come twice and in any order. A delivery outweighs a failure, which networks
    report of a single try."""
    return _ORDER[state] > _ORDER[than]


class MessageFailure(StrEnum):
    """Why a message was not sent or did not arrive."""

    OPTED_OUT = "opted_out"
    """The other side wants none."""
    UNREACHABLE = "unreachable"
    """No such address, no device that takes messages, or we are blocked there."""
    OUTSIDE_WINDOW = "outside_window"
    """The other side wrote too long ago: only a template may be sent."""
    TEMPLATE = "template"
    """The template is missing, paused or does not fit its values."""
    RATE_LIMITED = "rate_limited"
    FILTERED = "filtered"
    """The network took it for spam, or forbids its kind."""
    CONTENT = "content"
    """Too long, empty, or of a kind that the network does not carry."""
    SENDER = "sender"
    """Our own address may not send."""
    ACCOUNT = "account"
    """The account is locked, out of money or not allowed to."""
    EXPIRED = "expired"
    """It could not be delivered for too long."""
    UNKNOWN = "unknown"


class MediaKind(StrEnum):
    """What came with a message, or instead of a text."""

    VOICE = "voice"
    """A voice note: to be transcribed."""
    AUDIO = "audio"
    IMAGE = "image"
    VIDEO = "video"
    DOCUMENT = "document"
    STICKER = "sticker"
    LOCATION = "location"
    CONTACT = "contact"
    REACTION = "reaction"
    OTHER = "other"


class Consent(StrEnum):
    """What a keyword, or the network itself, says of the other side's wish."""

    STOP = "stop"
    START = "start"
    HELP = "help"


class LengthUnit(StrEnum):
    """How a network counts the length of a text."""

    CODE_POINTS = "code_points"
    UTF16 = "utf16"
    SEGMENTS = "segments"


class TextLimit(msgspec.Struct, frozen=True, kw_only=True):
    """The longest text that a network takes in one message."""

    most: int
    unit: LengthUnit = LengthUnit.CODE_POINTS


class SmsLength(msgspec.Struct, frozen=True):
    """How a short message is billed."""

    segments: int
    is_gsm: bool


_GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""GSM 03.38 default alphabet, 3GPP TS 23.038 §6.2.1."""
_GSM_EXTENDED = frozenset("\f^{}\\[~]|€")
"""Two septets each (§6.2.1.1)."""
_PLAIN = str.maketrans(
    {
        "‘": "'",
        "’": "'",
        "‚": "'",
        "“": '"',
        "”": '"',
        "„": '"',
        "«": '"',
        "»": '"',
        "–": "-",
        "—": "-",
        "‐": "-",
        "‑": "-",
        "−": "-",
        "…": "...",
        "•": "-",
        "\u00a0": " ",
        "\u2009": " ",
        "\u202f": " ",
        "\u200b": "",
        "\t": " ",
        "`": "'",
        "´": "'",
    }
)
_LINK = re.compile(r"(?:https?://|www\.)[^\s。！？、，「」『』（）【】]+", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?…]['\")\]»”’]*\s+|[。！？][」』）]*|\n+")
_SPACE = re.compile(r"\s+")


def sms_length(text: str) -> SmsLength:
    """How many segments a text takes: 160 septets or 70 16-bit units in one, 153 or 67 a piece in several, where no character is cut in
    two (3GPP TS 23.040 §9.2.3.24.1)."""
    is_gsm = all(character in _GSM or character in _GSM_EXTENDED for character in text)
    if is_gsm:
        sizes = [2 if character in _GSM_EXTENDED else 1 for character in text]
        alone, each = 160, 153
    else:
        sizes = [2 if ord(character) > 0xFFFF else 1 for character in text]
        alone, each = 70, 67
    if sum(sizes) <= alone:
        return SmsLength(1, is_gsm)
    segments, room = 1, each
    for size in sizes:
        if size > room:
            segments, room = segments + 1, each
        room -= size
    return SmsLength(segments, is_gsm)


def plain(text: str) -> str:
    """The text with typographic marks in their plain spelling, where that alone lets it travel in 7-bit characters; else as it is."""
    spelled = text.translate(_PLAIN)
    return spelled if sms_length(spelled).is_gsm else text


def length(text: str, unit: LengthUnit) -> int:
    """How long a text is on a network."""
    match unit:
        case LengthUnit.CODE_POINTS:
            return len(text)
        case LengthUnit.UTF16:
            return len(text) + sum(ord(character) > 0xFFFF for character in text)
        case LengthUnit.SEGMENTS:
            return sms_length(text).segments


def pieces(text: str, limit: TextLimit) -> tuple[str, ...]:
    """The text in messages that fit the limit: cut after sentences where it can be, else between words, never inside a link or a character
    that readers see as one, unless one alone is longer than a message. Nothing for a text without anything to read."""
    rest, found = text.strip(), list[str]()
    while rest:
        if length(rest, limit.unit) <= limit.most:
            return (*found, rest)
        at = _cut(rest, limit)
        piece = rest[:at].rstrip()
        if piece:
            found.append(piece)
        rest = rest[at:].lstrip()
    return tuple(found)


def _cut(text: str, limit: TextLimit) -> int:
    """Where the first message of a text that is too long ends."""
    fits = _longest_prefix(text, limit)
    word = _last_border(_SPACE, text, fits)
    for border in (_last_border(_SENTENCE_END, text, fits), word):
        # A message that is nearly empty is worse than what is cut in two instead.
        if border > fits // 3:
            return border
    for link in _LINK.finditer(text, 0, fits + 4096):
        if 0 < link.start() < fits < link.end():
            return link.start()
    borders = [found.end() for found in _grapheme().finditer(text[: fits + 64]) if found.end() <= fits]
    return borders[-1] if borders else fits


def _longest_prefix(text: str, limit: TextLimit) -> int:
    """How many characters of a text fit, at least one."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if length(text[:middle].rstrip(), limit.unit) <= limit.most:
            low = middle
        else:
            high = middle - 1
    return low


def _last_border(pattern: re.Pattern[str], text: str, fits: int) -> int:
    """The last place where a pattern ends before `fits` (white space may go beyond); 0 for none. No pattern of ours ends inside a link."""
    best = 0
    for found in pattern.finditer(text):
        if len(text[: found.end()].rstrip()) > fits:
            break
        best = found.end()
    return best


@cache
def _grapheme() -> Any:
    """What readers see as one character (UAX #29). Loaded for texts without a space alone: the library takes 11 MB and 50 ms."""
    return import_module("regex").compile(r"\X")
