"""Logging: human lines with ``--verbose``, an object a line with ``PGCOHESION_LOG=json``."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any

from ..redact import redact
from .text import clean

ROOT, DRIVER = "pgcohesion", "psycopg"
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "taskName"}


class Log(logging.LoggerAdapter[logging.Logger]):
    """A logger of events with fields: ``log.info("role created", role="app")``."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Move the fields into the record."""
        known = {name: kwargs.pop(name) for name in ("exc_info", "stacklevel") if name in kwargs}
        return msg, {**known, "extra": {"fields": {**(self.extra or {}), **kwargs}}}


class _Human(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{k}={v}" for k, v in getattr(record, "fields", {}).items() if k != "run_id")
        clock = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        text = clean(f"{clock} {record.levelname.lower()} {record.getMessage()} {fields}".rstrip())
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return redact(text)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        value: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            value["traceback"] = self.formatException(record.exc_info)
        return redact(json.dumps(value, ensure_ascii=False, default=str))


def configure(*, verbose: bool, **fields: object) -> Log:
    """Set up logging of the library to stderr and return a logger that carries *fields*."""
    logger = logging.getLogger(ROOT)
    as_json = os.environ.get("PGCOHESION_LOG") == "json"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if as_json else _Human())
    logger.handlers[:] = [handler]
    drivers = logging.getLogger(DRIVER)
    if not drivers.handlers:  # or Python prints what it says of an error that it raises, too
        drivers.addHandler(logging.NullHandler())
    logger.propagate = False
    logger.setLevel(logging.DEBUG if verbose else logging.INFO if as_json else logging.WARNING)
    return Log(logger, fields)
