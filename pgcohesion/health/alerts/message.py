"""What is told, in words and as a document."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from ...redact import redact
from ...view import count, span
from .deciding import Event

SCHEMA_VERSION = 1
WORDS = {"trouble": "", "worse": "worse: ", "reminder": "still: ", "recovery": "over: "}


class Message(Struct, frozen=True):
    """One message of a run to a route. *key* is the same whenever it is sent again."""

    key: str
    env: str
    at: float
    title: str
    body: str
    document: dict[str, Any]


def message(key: str, env: str, at: float, events: Sequence[Event]) -> Message:
    """Return one message of several events."""
    title = redact(f"{env}: {_summary(events)}")
    body = redact("\n\n".join(_words(one, env) for one in events))
    return Message(key, env, at, title, body, _document(key, env, at, title, events))


def trial(key: str, env: str, at: float, route: str) -> Message:
    """Return a message that says that it is a test."""
    title = f"{env}: a test of route {route}"
    return Message(
        key, env, at, title, "This is a test; nothing is wrong.", _document(key, env, at, title, [], test=True)
    )


def _summary(events: Sequence[Event]) -> str:
    bad = [one for one in events if one.kind != "recovery"]
    over = len(events) - len(bad)
    if len(events) == 1:
        (one,) = events
        word = WORDS[one.kind] or f"{one.case.grade}: "
        return f"{word}{one.case.check}{f' of {one.case.object}' if one.case.object else ''}"
    parts = [count(len(bad), "trouble")] if bad else []
    return ", ".join([*parts, *([f"{over} over"] if over else [])])


def _words(event: Event, env: str) -> str:
    case = event.case
    where = " ".join(filter(None, (case.host, case.database)))
    lines = [f"{WORDS[event.kind]}{case.grade} {case.check}{f' ({where})' if where else ''}: {case.text}"]
    if event.kind == "recovery":
        return f"{lines[0]}\nit lasted {span(event.lasted)}"
    since = datetime.fromtimestamp(case.first, UTC)
    lines += [f"since {since:%Y-%m-%d %H:%M} UTC, {span(event.lasted)}"]
    if case.threshold is not None and case.value is not None:
        lines += [f"value {case.value:g}, limit {case.threshold:g}"]
    lines += [f"why: {case.why}"] if case.why else []
    lines += [f"fix: {line}" if n == 0 else f"     {line}" for n, line in enumerate(case.fix.splitlines())]
    return "\n".join([*lines, f"inv health.explain {case.fingerprint} --env={env}"])


def _document(
    key: str, env: str, at: float, title: str, events: Sequence[Event], *, test: bool = False
) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "key": key,
        "env": env,
        "time": datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "title": title,
        "test": test,
        "events": [
            {
                "kind": one.kind,
                "grade": str(one.case.grade),
                "check": one.case.check,
                "area": one.case.area,
                "object": one.case.object,
                "database": one.case.database,
                "host": one.case.host,
                "text": redact(one.case.text),
                "why": one.case.why,
                "fix": redact(one.case.fix),
                "value": one.case.value,
                "threshold": one.case.threshold,
                "fingerprint": one.case.fingerprint,
                "first_seen": datetime.fromtimestamp(one.case.first, UTC).isoformat(timespec="seconds"),
                "seconds": round(one.lasted, 1),
            }
            for one in events
        ],
    }
