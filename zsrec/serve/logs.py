"""The service's log: one JSON object a line, without histories, titles, texts or keys.

What is written is named field by field; nothing that a caller sent is among it but the user's id, and that only as
a keyed hash. Messages of errors may quote a request, so errors are logged by their type and place.
"""

from __future__ import annotations

import json
import logging
import traceback
from datetime import UTC, datetime

_LOGGER = logging.getLogger("zsrec.serve")
_TALKATIVE = ("openai", "httpx", "httpx2", "httpcore", "httpcore2")


class JsonLines(logging.Formatter):
    """Formats the service's own records; of foreign ones (uvicorn's) the message without any traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        fields = getattr(record, "fields", None)
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage() if fields is not None else "uvicorn",
            **(fields if fields is not None else _foreign(record)),
        }
        return json.dumps(line)


def log(event: str, *, level: int = logging.INFO, **fields: str | float | bool | None) -> None:
    """Writes one line; fields that are None are left out."""
    known = {name: value for name, value in fields.items() if value is not None}
    _LOGGER.log(level, event, extra={"fields": known})


def log_failure(event: str, error: BaseException, **fields: str | float | bool | None) -> None:
    """Writes what went wrong and where, without the error's message."""
    place = traceback.extract_tb(error.__traceback__)[-1:]
    where = f"{place[0].filename}:{place[0].lineno}" if place else None
    log(event, level=logging.ERROR, error=type(error).__name__, where=where, **fields)


def config(*, debug: bool = False) -> dict[str, object]:
    """For `logging.config.dictConfig`: everything to standard error, nothing from libraries that quote.

    Args:
        debug: Whether what the service and its server note for debugging is written, too; it quotes nobody either.
    """
    level = "DEBUG" if debug else "INFO"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JsonLines}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            "zsrec.serve": {"level": level},
            "uvicorn": {"level": level},
            "uvicorn.access": {"level": "CRITICAL"},  # it would write query strings
            **{name: {"level": "WARNING"} for name in _TALKATIVE},
        },
    }


def _foreign(record: logging.LogRecord) -> dict[str, str]:
    kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
    fields = {"logger": record.name, "message": record.getMessage().partition("\n")[0][:300]}
    return fields | ({"error": kind} if kind else {})
