"""What was healed, when, by whom: the budget and the breaker are read from it, and so is the audit."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from ...view import Answer, Line, View, count, moment
from ..history import History

SCHEMA = """CREATE TABLE IF NOT EXISTS heals (id INTEGER PRIMARY KEY, at REAL, who TEXT, check_id TEXT, object TEXT,
    database TEXT, before TEXT, command TEXT, undo TEXT, result TEXT);
CREATE INDEX IF NOT EXISTS heals_at ON heals (at)"""
HOUR = 3600.0
BREAKS = 2  # failures in a row after which nothing is tried any more
OPEN = 24 * HOUR
STARTED, DONE, MOVED_ON, RESET = "started", "done", "moved on", "reset"


class Healed(Struct, frozen=True):
    """One attempt; *result* is started (and then it was killed), done, moved on, or what went wrong."""

    at: float
    who: str
    check: str
    object: str
    database: str
    before: str
    command: str
    undo: str
    result: str


class Record:
    """The attempts of an environment, in its history."""

    def __init__(self, history: History) -> None:
        self._history = history
        history.ensure(SCHEMA)

    def start(self, healed: Healed) -> int:
        """Write an attempt before it is made, and return its number."""
        connection = self._history.connection
        number = connection.execute(
            "INSERT INTO heals (at, who, check_id, object, database, before, command, undo, result)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                healed.at,
                healed.who,
                healed.check,
                healed.object,
                healed.database,
                healed.before,
                healed.command,
                healed.undo,
                healed.result,
            ),
        ).lastrowid
        assert number is not None
        return number

    def end(self, number: int, result: str) -> None:
        """Write how an attempt ended."""
        self._history.connection.execute("UPDATE heals SET result = ? WHERE id = ?", (result, number))

    def reset(self, now: float, who: str) -> None:
        """Close the breaker again."""
        self.start(Healed(now, who, "", "", "", "", "", "", RESET))

    def all(self, limit: int = 50) -> list[Healed]:
        """Return the last attempts, the newest last."""
        rows = self._history.connection.execute(
            "SELECT at, who, check_id, object, database, before, command, undo, result FROM heals"
            " ORDER BY id DESC LIMIT ?",
            (limit,),
        )
        return [Healed(*row) for row in rows][::-1]

    def closed_because(self, now: float, per_hour: int) -> str:
        """Return why nothing may be tried now, or an empty text."""
        ((recent,),) = self._history.connection.execute(
            "SELECT count(*) FROM heals WHERE at > ? AND result NOT IN (?, ?)", (now - HOUR, MOVED_ON, RESET)
        )
        if recent >= per_hour:
            return f"{count(recent, 'action')} in the last hour are all that `per_hour` allows"
        last = self._history.connection.execute(
            "SELECT at, result FROM heals WHERE result <> ? ORDER BY id DESC LIMIT ?", (MOVED_ON, BREAKS)
        )
        failed = [at for at, result in last if result not in (DONE, RESET) and now - at < OPEN]
        if len(failed) == BREAKS:
            return f"the last {BREAKS} actions failed; inv health.heal --reset, when you know why"
        return ""


class Audit(Answer, frozen=True):
    """The attempts, for ``inv health.heal --history``."""

    healed: tuple[Healed, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return a value an attempt."""
        from msgspec import to_builtins

        return {"healed": to_builtins(self.healed)}

    def view(self) -> View:
        """Return a line an attempt, with what was done and its undo below."""
        return View(tuple(map(_line, self.healed)), count(len(self.healed), "attempt"))


def _line(one: Healed) -> Line:
    when = moment(datetime.fromtimestamp(one.at, UTC))
    about = (when, one.check, one.database, one.object, "; ".join(one.result.splitlines()))
    undo = (f"{'undo:' if n == 0 else '':<5} {line}" for n, line in enumerate(one.undo.splitlines()))
    return Line(": ".join(filter(None, about)), mark=">", details=(*one.command.splitlines(), *undo))
