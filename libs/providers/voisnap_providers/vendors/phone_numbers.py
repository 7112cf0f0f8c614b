"""Telephone numbers as carriers spell them, read as E.164 with `+`."""

import re

_NUMBER = re.compile(r"\+[1-9][0-9]{1,14}|[1-9][0-9]{6,14}", re.ASCII)
"""With a `+` even the shortest number is meant to be international; without one (Vonage) seven digits are the least of any country."""
_DECORATION = str.maketrans("", "", " -.()")
_KEYPAD = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "22233344455566677778889999")
_WITHHELD = frozenset(
    word.translate(_KEYPAD) for word in ("ANONYMOUS", "RESTRICTED", "UNAVAILABLE", "UNKNOWN", "BLOCKED", "PRIVATE")
)
"""Carriers spell a withheld number on the keypad of a telephone: +266696687 is ANONYMOUS."""
_SIP = re.compile(r"sips?:([^@;>]*)(?:@[^>]*)?", re.IGNORECASE)


def e164(text: str | None) -> str | None:
    """A number in E.164 with `+`, from one with or without it, from a SIP address whose user is one, and with the usual decoration.
    None for everything else, a withheld number and the name of a client among it."""
    bare = (text or "").strip()
    if sip := _SIP.match(bare.lstrip("<")):
        bare = sip[1]
    bare = bare.translate(_DECORATION)
    if not _NUMBER.fullmatch(bare) or bare.removeprefix("+") in _WITHHELD:
        return None
    return bare if bare.startswith("+") else f"+{bare}"
