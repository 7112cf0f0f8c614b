"""What a file is by its content: what networks say of it is what somebody told them."""

import re
from collections.abc import Sequence

import msgspec
from voisnap_domain.texting import MediaKind


class FileType(msgspec.Struct, frozen=True):
    """A media type (RFC 6838) and the ending of its files."""

    content_type: str
    extension: str

    @property
    def family(self) -> str:
        """`image`, `audio`, `video`, `text` or `application`."""
        return self.content_type.partition("/")[0]


UNKNOWN = FileType("application/octet-stream", "bin")
TEXT = FileType("text/plain", "txt")
_VCARD = FileType("text/vcard", "vcf")

_SIGNATURES: Sequence[tuple[bytes, FileType]] = (
    (rb"\xff\xd8\xff", FileType("image/jpeg", "jpg")),
    (rb"\x89PNG\r\n\x1a\n", FileType("image/png", "png")),
    (rb"GIF8[79]a", FileType("image/gif", "gif")),
    (rb"RIFF....WEBP", FileType("image/webp", "webp")),
    (rb"RIFF....WAVE", FileType("audio/wav", "wav")),
    (rb"....ftyp(?:heic|heix|mif1|msf1)", FileType("image/heic", "heic")),
    (rb"....ftypM4A", FileType("audio/mp4", "m4a")),
    (rb"....ftyp3g", FileType("video/3gpp", "3gp")),
    (rb"....ftypqt", FileType("video/quicktime", "mov")),
    (rb"....ftyp", FileType("video/mp4", "mp4")),
    (rb"\x1aE\xdf\xa3", FileType("video/webm", "webm")),
    (rb"OggS", FileType("audio/ogg", "ogg")),
    (rb"ID3|\xff[\xe2\xe3\xf2\xf3\xfa\xfb]", FileType("audio/mpeg", "mp3")),
    (rb"\xff[\xf0\xf1\xf8\xf9]", FileType("audio/aac", "aac")),
    (rb"#!AMR", FileType("audio/amr", "amr")),
    (rb"fLaC", FileType("audio/flac", "flac")),
    (rb"%PDF-", FileType("application/pdf", "pdf")),
    (rb"PK\x03\x04", FileType("application/zip", "zip")),
)
_KNOWN = tuple((re.compile(pattern, re.DOTALL), found) for pattern, found in _SIGNATURES)
_OFFICE = (
    (b"word/", FileType("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx")),
    (b"xl/", FileType("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx")),
    (b"ppt/", FileType("application/vnd.openxmlformats-officedocument.presentationml.presentation", "pptx")),
)
_LOOK = 8192

_FAMILIES = {
    MediaKind.IMAGE: ("image",),
    MediaKind.STICKER: ("image", "video"),
    MediaKind.VIDEO: ("video", "image"),
    MediaKind.VOICE: ("audio", "video"),
    MediaKind.AUDIO: ("audio", "video"),
}
"""What a kind may be: some telephones put sound into a video's container, and networks call an animation a video."""

CONTENT_TYPES = {one.extension: one.content_type for _, one in (*_SIGNATURES, *_OFFICE)} | {
    "txt": "text/plain; charset=utf-8",
    "vcf": "text/vcard; charset=utf-8",
}
"""By the ending."""


def type_of(content: bytes) -> FileType:
    """What a file is; `UNKNOWN` for what no reader should open by itself."""
    head = content[:_LOOK]
    for pattern, found in _KNOWN:
        if pattern.match(head):
            if found.extension == "zip":
                return next((office for mark, office in _OFFICE if mark in head), found)
            return found
    if not content or b"\0" in content:
        return UNKNOWN
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return UNKNOWN
    return _VCARD if text.lstrip("\ufeff").startswith("BEGIN:VCARD") else TEXT


def fits(kind: MediaKind, found: FileType) -> bool:
    """Whether a file can be what a network calls it."""
    families = _FAMILIES.get(kind)
    return families is None or found.family in families
