"""What a client asks for in the query of its connection."""

from collections.abc import Mapping
from typing import Any

import msgspec

from .refusals import INVALID_REQUEST, Refusal

MAX_METADATA_BYTES = 16_384
"""The API has the same limit for metadata in bodies."""

MAX_USER_NAME = 200


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """The query of a hub that opens sessions; what is missing or empty is None."""

    agent_id: str | None = None
    session_id: str | None = None
    resume_token: str | None = None
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)
    language: str | None = None
    version: str | None = None

    @property
    def resumes(self) -> bool:
        """Whether the client wants a session back."""
        return self.session_id is not None or self.resume_token is not None


def parameters_of(query: Mapping[str, str]) -> Parameters:
    """Read a query. Raises Refusal for metadata that is no JSON object or too large."""
    metadata = _metadata(query.get("metadata", ""))
    user_name = query.get("userName", "").strip()
    if user_name:
        metadata.setdefault("userName", user_name[:MAX_USER_NAME])
    return Parameters(
        agent_id=_text(query, "agentId"),
        session_id=_text(query, "sessionId"),
        resume_token=_text(query, "resumeToken"),
        metadata=metadata,
        language=_text(query, "language"),
        version=_text(query, "version"),
    )


def _text(query: Mapping[str, str], name: str) -> str | None:
    return query.get(name, "").strip()[:200] or None


def _metadata(text: str) -> dict[str, Any]:
    if not text:
        return {}
    if len(text.encode("utf-8", "surrogatepass")) > MAX_METADATA_BYTES:
        raise Refusal(INVALID_REQUEST, f"The metadata parameter must be at most {MAX_METADATA_BYTES} bytes of JSON.")
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        raise Refusal(INVALID_REQUEST, "The metadata parameter must be a JSON object, URL-encoded.") from None
