"""Structured logs. An event is `noun.verb_past` with values as keys; personal data stands under `pii.*` keys only and is hidden by default."""

import logging
import os
import re
import sys
from collections.abc import Mapping
from typing import Any

from opentelemetry import trace as otel

from .extras import without

with without("rich"):  # draws tracebacks on consoles, of which ours are plain: 75 ms
    import structlog

REDACTED = "<redacted>"

_TOKEN_IN_TEXT = re.compile(
    r"(?i)((?:access_token|session_?token|refresh_?token|x-api-key)[\"']?\s*[=:]\s*[\"']?|authorization[\"']?\s*[=:]\s*[\"']?(?:bearer |basic )?|bearer )"
    r"([A-Za-z0-9._~+/=%-]{6,})"
)
_CREDENTIAL = re.compile(
    r"(\b(?:vsnp_(?:live|sb)|wrtc_(?:tok|res)|rt)_|[?&]token=|://[^\s:/@]+:)([A-Za-z0-9._~%+=-]{6,})"
)
"""Credentials that show themselves: keys and tokens of ours, signed links, passwords in addresses."""

_TOKEN_KEYS = frozenset(
    {"access_token", "session_token", "sessiontoken", "refresh_token", "authorization", "password", "secret"}
)

_UVICORN_REJECTED = "ASGI callable returned without completing handshake"
"""uvicorn's error line for a WebSocket that the application refused with an HTTP status, which is no error."""


def configure(service: str, level: str = "INFO", fmt: str = "json", *, show_pii: bool | None = None) -> None:
    """Route structlog and the standard library's logging to stderr in one format (`json` or `console`).

    Values under `pii.*` are shown only if `show_pii`, which defaults to the variable LOG_PII=true.
    """
    visible = os.environ.get("LOG_PII", "").lower() == "true" if show_pii is None else show_pii
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_service(service),
        _add_trace,
        structlog.processors.format_exc_info,
        redactor(show_pii=visible),
    ]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if fmt == "console"
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.add_logger_name,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    _tame_libraries()


def get(name: str) -> structlog.stdlib.BoundLogger:
    """A logger; bind values of a request with `structlog.contextvars`."""
    return structlog.stdlib.get_logger(name)


def request_id() -> str | None:
    """The id of the HTTP request in work; None outside of one."""
    return structlog.contextvars.get_contextvars().get("request_id")


def redactor(*, show_pii: bool) -> structlog.typing.Processor:
    """The processor that hides `pii.*` values and masks credentials in every text."""

    def redact(_logger: Any, _method: str, event: structlog.typing.EventDict) -> Mapping[str, Any]:
        return {key: _redact_value(key, value, show_pii) for key, value in event.items()}

    return redact


def _redact_value(key: str, value: Any, show_pii: bool) -> Any:
    if key.startswith("pii.") and not show_pii:
        return REDACTED
    if key.lower() in _TOKEN_KEYS:
        return REDACTED
    if isinstance(value, str):
        return mask_credentials(value)
    if isinstance(value, dict):
        return {k: _redact_value(str(k), v, show_pii) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_redact_value("", v, show_pii) for v in value]
    return value


def mask_credentials(text: str) -> str:
    """The text with access tokens, session tokens, keys, signed links, passwords in addresses and Authorization values replaced."""
    return _CREDENTIAL.sub(rf"\1{REDACTED}", _TOKEN_IN_TEXT.sub(rf"\1{REDACTED}", text))


def _add_service(service: str) -> structlog.typing.Processor:
    def add(_logger: Any, _method: str, event: structlog.typing.EventDict) -> Mapping[str, Any]:
        event.setdefault("service", service)
        return event

    return add


def _add_trace(_logger: Any, _method: str, event: structlog.typing.EventDict) -> Mapping[str, Any]:
    context = otel.get_current_span().get_span_context()
    if context.is_valid:
        event.setdefault("trace_id", f"{context.trace_id:032x}")
    return event


_TALKATIVE = (
    *(
        "httpx",
        "httpcore",
        "httpx2",
        "httpcore2",
        "websockets",
        "aiohttp",
        "botocore",
        "aiobotocore",
        "google",
        "urllib3",
    ),
    *("openai", "anthropic", "cohere", "asyncio", "uvicorn.error"),
)
"""Below a warning, some of them write addresses that customers named, signed ones, headers with keys, or prompts."""


class _DropRejectedSockets(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return _UVICORN_REJECTED not in record.getMessage()


def _tame_libraries() -> None:
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "litestar"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = name != "uvicorn.access"
    uvicorn_error = logging.getLogger("uvicorn.error")
    if not any(isinstance(f, _DropRejectedSockets) for f in uvicorn_error.filters):
        uvicorn_error.addFilter(_DropRejectedSockets())
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("nats").setLevel(logging.CRITICAL)  # kit.bus reports what matters itself
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
