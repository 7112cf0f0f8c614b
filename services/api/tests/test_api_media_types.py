"""A file is what its bytes say, whatever its name or its network calls it."""

import io
import zipfile

import pytest
from voisnap_api.messaging.media_types import CONTENT_TYPES, UNKNOWN, fits, type_of
from voisnap_domain.texting import MediaKind

pytestmark = pytest.mark.unit


def word_file() -> bytes:
    """As Word writes it: an archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", "<w/>")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"\xff\xd8\xff\xe0 JFIF", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"RIFF\x01\x02\x03\x04WEBPVP8 ", "image/webp"),
        (b"RIFF\n\n\n\nWAVEfmt ", "audio/wav"),
        (b"\x00\x00\x00\x18ftypheic", "image/heic"),
        (b"\x00\x00\x00\x18ftypisom", "video/mp4"),
        (b"\x00\x00\x00\x18ftyp3gp5", "video/3gpp"),
        (b"OggS\x00\x02", "audio/ogg"),
        (b"#!AMR\n", "audio/amr"),
        (b"ID3\x04", "audio/mpeg"),
        (b"%PDF-1.7", "application/pdf"),
        (word_file(), "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        (b"PK\x03\x04 whatever", "application/zip"),
        (b"\xef\xbb\xbfBEGIN:VCARD\r\nN:Ada", "text/vcard"),
        ("Grüße".encode(), "text/plain"),
        (b"<svg onload='alert(1)'/>", "text/plain"),
        (b"<!DOCTYPE html>", "text/plain"),
        (b"MZ\x90\x00", "application/octet-stream"),
        (b"\xfe\xfe\xfe", "application/octet-stream"),
        (b"", "application/octet-stream"),
    ],
)
def test_a_file_is_known_by_its_beginning(content, content_type):
    found = type_of(content)
    assert found.content_type == content_type
    if found != UNKNOWN:
        assert CONTENT_TYPES[found.extension].partition(";")[0] == content_type


def test_nothing_that_a_browser_runs_is_ever_called_so():
    assert not {"text/html", "image/svg+xml", "application/javascript", "text/xml"} & set(CONTENT_TYPES.values())


def test_an_image_is_an_image_and_a_document_whatever_it_likes():
    page, picture, film = type_of(b"<html>"), type_of(b"GIF89a"), type_of(b"\x00\x00\x00\x18ftypmp42")
    assert not fits(MediaKind.IMAGE, page)
    assert not fits(MediaKind.VOICE, picture)
    assert fits(MediaKind.VOICE, film), "some telephones put sound into it"
    assert fits(MediaKind.STICKER, film)
    assert fits(MediaKind.DOCUMENT, page)
    assert not fits(MediaKind.IMAGE, UNKNOWN)
