"""What came with a message, by its media type (RFC 6838)."""

from voisnap_domain.texting import MediaKind

_WHOLE = {
    "text/vcard": MediaKind.CONTACT,
    "text/x-vcard": MediaKind.CONTACT,
    "text/directory": MediaKind.CONTACT,
}
_KINDS = {"image": MediaKind.IMAGE, "video": MediaKind.VIDEO, "audio": MediaKind.VOICE}


def kind_of(content_type: str) -> MediaKind:
    """The kind of a multimedia message's part. Sound that a telephone sends is spoken into it."""
    bare = content_type.partition(";")[0].strip().lower()
    if bare in _WHOLE:
        return _WHOLE[bare]
    return _KINDS.get(bare.partition("/")[0], MediaKind.DOCUMENT if bare else MediaKind.OTHER)
