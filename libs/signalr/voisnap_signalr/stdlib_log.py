"""Events on the standard library's logging."""

import logging
from typing import Any


class StdlibLog:
    """Writes events to a standard logger; what an application without structlog gets."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def debug(self, event: str, **values: Any) -> None:
        self._write(logging.DEBUG, event, values)

    def info(self, event: str, **values: Any) -> None:
        self._write(logging.INFO, event, values)

    def warning(self, event: str, **values: Any) -> None:
        self._write(logging.WARNING, event, values)

    def error(self, event: str, **values: Any) -> None:
        self._write(logging.ERROR, event, values)

    def _write(self, level: int, event: str, values: dict[str, Any]) -> None:
        exc_info = values.pop("exc_info", None)
        self._logger.log(level, "%s %s", event, values, exc_info=exc_info)
