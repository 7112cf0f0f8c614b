"""`/api/v1/recordings/…?token=`: the audio behind a signed link."""

from pathlib import PurePosixPath
from typing import Any

from litestar import Request, Response, get, head
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, SkipValidation
from litestar.response import Stream
from voisnap_domain.errors import NotFound
from voisnap_kit.work import utc_now
from voisnap_providers.ports.blobs import Blobs

from voisnap_api.gate import PUBLIC
from voisnap_api.messaging.media_types import CONTENT_TYPES, UNKNOWN

from .links import PATH, RecordingLinks
from .ranges import Unsatisfiable, parse

_INLINE = frozenset({"audio", "image", "video"})
"""What a page may show by itself; everything else is for saving, whoever sent it."""

InjectedLinks = NamedDependency[SkipValidation[RecordingLinks]]
InjectedBlobs = NamedDependency[SkipValidation[Blobs]]


@get(PATH + "/{address:path}", opt={**PUBLIC, "uncompressed": True, "any_answer": True}, include_in_schema=False)
async def download(
    address: FromPath[str],
    token: FromQuery[str],
    links: InjectedLinks,
    blobs: InjectedBlobs,
    request: Request[Any, Any, Any],
) -> Response[Any]:
    """The recording, whole or in part."""
    key, size, headers = await _found(address, token, links, blobs)
    try:
        part = parse(request.headers.get("range"), size)
    except Unsatisfiable:
        return Response(b"", status_code=416, headers={**headers, "Content-Range": f"bytes */{size}"})
    media_type = headers.pop("Content-Type")
    if part is None:
        headers["Content-Length"] = str(size)
        return Stream(blobs.read(key), media_type=media_type, headers=headers)
    headers |= {"Content-Length": str(part.length), "Content-Range": part.content_range}
    body = blobs.read(key, start=part.start, end=part.end)
    return Stream(body, status_code=206, media_type=media_type, headers=headers)


@head(PATH + "/{address:path}", opt={**PUBLIC, "uncompressed": True, "any_answer": True}, include_in_schema=False)
async def look(
    address: FromPath[str], token: FromQuery[str], links: InjectedLinks, blobs: InjectedBlobs
) -> Response[None]:
    """What a download would bring."""
    _, size, headers = await _found(address, token, links, blobs)
    return Response(None, status_code=200, headers={**headers, "Content-Length": str(size)})


async def _found(address: str, token: str, links: RecordingLinks, blobs: Blobs) -> tuple[str, int, dict[str, str]]:
    key = links.key_of(address, token, at=utc_now())
    info = await blobs.head(key)
    if info is None:
        raise NotFound("recording", address, detail="This recording has been deleted.", code="recording-not-available")
    name = PurePosixPath(key)
    content_type = CONTENT_TYPES.get(name.suffix.lstrip("."), UNKNOWN.content_type)
    shown = "inline" if content_type.partition("/")[0] in _INLINE else "attachment"
    headers = {
        "Content-Type": content_type,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=3600",
        "Content-Disposition": f'{shown}; filename="{name.name}"',
        "X-Content-Type-Options": "nosniff",
    }
    return key, info.size_bytes, headers
