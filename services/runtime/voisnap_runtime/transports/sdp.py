"""The part of SDP that a voice call needs: read an offer, write an answer. Pure text work."""

import msgspec

MAX_SDP = 64 * 1024
"""Characters; a browser's offer has about 3,000."""

_MEDIA_LIMIT = 16
_CANDIDATE_LIMIT = 64


class BadOffer(ValueError):
    """The offer cannot be answered; the text says why and is meant for the caller's developer."""


class Codec(msgspec.Struct, frozen=True, kw_only=True):
    """One way to carry sound."""

    name: str
    """Lower case: opus, pcmu, pcma, telephone-event."""
    payload_type: int
    clock_rate: int
    channels: int = 1


class Fingerprint(msgspec.Struct, frozen=True, kw_only=True):
    """Hash of a certificate."""

    algorithm: str
    value: str


class AudioOffer(msgspec.Struct, frozen=True, kw_only=True):
    """What the other side offers for its first usable audio section."""

    index: int
    mid: str
    direction: str
    codecs: tuple[Codec, ...]
    ice_username: str
    ice_password: str
    ice_lite: bool
    fingerprints: tuple[Fingerprint, ...]
    setup: str
    candidates: tuple[str, ...]
    """Candidate lines without `a=candidate:`."""


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """Any section of the offer, so that the answer can list it too."""

    kind: str
    profile: str
    formats: str
    mid: str


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A whole offer."""

    audio: AudioOffer
    sections: tuple[Section, ...]
    bundled: bool


_SUPPORTED = (("opus", 48000), ("pcmu", 8000), ("pcma", 8000))
_NAMES = {"pcmu": "PCMU", "pcma": "PCMA"}
_STATIC = {
    0: Codec(name="pcmu", payload_type=0, clock_rate=8000),
    8: Codec(name="pcma", payload_type=8, clock_rate=8000),
}


def parse_offer(sdp: str) -> Offer:
    """Read an offer. Raises `BadOffer` when there is nothing we can talk with."""
    if len(sdp) > MAX_SDP:
        raise BadOffer("The SDP is too long.")
    lines = [line.strip() for line in sdp.replace("\r", "\n").split("\n") if line.strip()]
    if not lines or not lines[0].startswith("v="):
        raise BadOffer("The SDP must start with v=0.")
    session, groups = _groups(lines)
    sections = tuple(_section(group) for group in groups)
    for index, group in enumerate(groups):
        audio = _audio(index, session, group)
        if audio is not None:
            bundled = any(line.startswith("a=group:BUNDLE") for line in session)
            return Offer(audio=audio, sections=sections, bundled=bundled)
    raise BadOffer("The offer has no audio section.")


def _groups(lines: list[str]) -> tuple[list[str], list[list[str]]]:
    session: list[str] = []
    groups: list[list[str]] = []
    for line in lines:
        if line.startswith("m="):
            if len(groups) == _MEDIA_LIMIT:
                raise BadOffer("The offer has too many media sections.")
            groups.append([line])
        else:
            (groups[-1] if groups else session).append(line)
    return session, groups


def _section(group: list[str]) -> Section:
    words = group[0][2:].split()
    if len(words) < 4:
        raise BadOffer(f"The line {group[0]!r} is not a media section.")
    return Section(kind=words[0], profile=words[2], formats=" ".join(words[3:]), mid=_value(group, "mid") or "")


def _audio(index: int, session: list[str], group: list[str]) -> AudioOffer | None:
    words = group[0][2:].split()
    if words[0] != "audio" or words[1] == "0":
        return None
    if "SAVP" not in words[2]:
        raise BadOffer("The audio section must use SRTP with DTLS (UDP/TLS/RTP/SAVPF).")
    if "a=rtcp-mux" not in group:
        raise BadOffer("The audio section must allow rtcp-mux.")
    username = _value(group, "ice-ufrag") or _value(session, "ice-ufrag")
    password = _value(group, "ice-pwd") or _value(session, "ice-pwd")
    if not username or not password:
        raise BadOffer("The offer has no ICE username or password.")
    fingerprints = _fingerprints(group) or _fingerprints(session)
    if not fingerprints:
        raise BadOffer("The offer has no DTLS fingerprint.")
    codecs = _codecs(group, words[3:])
    if not any((codec.name, codec.clock_rate) in _SUPPORTED for codec in codecs):
        raise BadOffer("The offer has no codec in common with us: Opus, PCMU or PCMA.")
    direction = next((line[2:] for line in group if line[2:] in _REVERSED), None)
    direction = direction or next((line[2:] for line in session if line[2:] in _REVERSED), "sendrecv")
    candidates = [line[len("a=candidate:") :] for line in group if line.startswith("a=candidate:")]
    return AudioOffer(
        index=index,
        mid=_value(group, "mid") or str(index),
        direction=direction,
        codecs=codecs,
        ice_username=username,
        ice_password=password,
        ice_lite="a=ice-lite" in session,
        fingerprints=fingerprints,
        setup=_value(group, "setup") or _value(session, "setup") or "actpass",
        candidates=tuple(candidates[:_CANDIDATE_LIMIT]),
    )


def _value(lines: list[str], name: str) -> str | None:
    prefix = f"a={name}:"
    return next((line[len(prefix) :].strip() for line in lines if line.startswith(prefix)), None)


def _fingerprints(lines: list[str]) -> tuple[Fingerprint, ...]:
    found = [line[len("a=fingerprint:") :].split() for line in lines if line.startswith("a=fingerprint:")]
    return tuple(Fingerprint(algorithm=words[0].lower(), value=words[1]) for words in found if len(words) == 2)


def _codecs(group: list[str], formats: list[str]) -> tuple[Codec, ...]:
    described: dict[int, Codec] = {}
    for line in group:
        if line.startswith("a=rtpmap:"):
            codec = _rtpmap(line[len("a=rtpmap:") :])
            described[codec.payload_type] = codec
    numbers = [int(number) for number in formats if number.isdecimal()]
    known = [described.get(number) or _STATIC.get(number) for number in numbers]
    return tuple(codec for codec in known if codec is not None)


def _rtpmap(text: str) -> Codec:
    try:
        number, encoding = text.split(None, 1)
        name, rate, *channels = encoding.strip().split("/")
        return Codec(
            name=name.lower(),
            payload_type=int(number),
            clock_rate=int(rate),
            channels=int(channels[0]) if channels else 1,
        )
    except ValueError as error:
        raise BadOffer(f"The line 'a=rtpmap:{text}' cannot be read.") from error


_REVERSED = {"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}


def chosen_codecs(offer: AudioOffer) -> tuple[Codec, ...]:
    """What we accept, the one we send with first: Opus, else PCMU, else PCMA; then the keys that go with them."""
    accepted = [
        next(codec for codec in offer.codecs if (codec.name, codec.clock_rate) == wanted)
        for wanted in _SUPPORTED
        if any((codec.name, codec.clock_rate) == wanted for codec in offer.codecs)
    ]
    rates = {codec.clock_rate for codec in accepted}
    keys = [codec for codec in offer.codecs if codec.name == "telephone-event" and codec.clock_rate in rates]
    return tuple(accepted + keys)


class Answering(msgspec.Struct, frozen=True, kw_only=True):
    """Our side of the answer."""

    session_id: int
    version: int
    """Grows with every answer of a session."""
    ice_username: str
    ice_password: str
    fingerprints: tuple[Fingerprint, ...]
    setup: str
    candidates: tuple[str, ...]
    """Candidate lines without `candidate:`."""
    ssrc: int
    cname: str


def answer_direction(offered: str) -> str:
    """Our direction: we send if they receive, and receive if they send."""
    return _REVERSED[offered]


def write_answer(offer: Offer, answering: Answering) -> str:
    """The answer: the first audio section accepted, everything else refused."""
    lines = [
        "v=0",
        f"o=- {answering.session_id} {answering.version} IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=extmap-allow-mixed",
        "a=msid-semantic: WMS voisnap",
    ]
    if offer.bundled:
        lines.append(f"a=group:BUNDLE {offer.audio.mid}")
    for index, section in enumerate(offer.sections):
        lines += _accepted(offer.audio, answering) if index == offer.audio.index else _refused(section)
    return "\r\n".join(lines) + "\r\n"


def _refused(section: Section) -> list[str]:
    lines = [f"m={section.kind} 0 {section.profile} {section.formats}", "c=IN IP4 0.0.0.0", "a=inactive"]
    return [*lines, f"a=mid:{section.mid}"] if section.mid else lines


def _accepted(audio: AudioOffer, answering: Answering) -> list[str]:
    codecs = chosen_codecs(audio)
    lines = [
        f"m=audio 9 UDP/TLS/RTP/SAVPF {' '.join(str(codec.payload_type) for codec in codecs)}",
        "c=IN IP4 0.0.0.0",
        "a=rtcp:9 IN IP4 0.0.0.0",
        f"a=ice-ufrag:{answering.ice_username}",
        f"a=ice-pwd:{answering.ice_password}",
        "a=ice-options:trickle",
    ]
    lines += [f"a=fingerprint:{item.algorithm} {item.value}" for item in answering.fingerprints]
    direction = answer_direction(audio.direction)
    lines += [f"a=setup:{answering.setup}", f"a=mid:{audio.mid}", f"a={direction}", "a=rtcp-mux"]
    for codec in codecs:
        channels = f"/{codec.channels}" if codec.channels > 1 else ""
        lines.append(f"a=rtpmap:{codec.payload_type} {_NAMES.get(codec.name, codec.name)}/{codec.clock_rate}{channels}")
        if codec.name == "opus":
            lines.append(f"a=fmtp:{codec.payload_type} minptime=10;useinbandfec=1;maxaveragebitrate=32000")
        elif codec.name == "telephone-event":
            lines.append(f"a=fmtp:{codec.payload_type} 0-15")
    lines += ["a=ptime:20"]
    if direction in ("sendrecv", "sendonly"):
        lines += ["a=msid:voisnap agent", f"a=ssrc:{answering.ssrc} cname:{answering.cname}"]
    return lines + [f"a=candidate:{candidate}" for candidate in answering.candidates]
