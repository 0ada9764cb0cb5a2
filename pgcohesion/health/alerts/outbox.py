"""Cases and messages that wait, in the history: written together, sent afterwards, and again until they arrive."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import Struct, convert, to_builtins

from ..history import History
from .deciding import Case
from .message import Message

SCHEMA = """CREATE TABLE IF NOT EXISTS alert_cases (fingerprint TEXT PRIMARY KEY, said TEXT);
CREATE TABLE IF NOT EXISTS alert_outbox (id INTEGER PRIMARY KEY, route TEXT, at REAL, message TEXT, tries INTEGER,
    next REAL, claimed REAL, error TEXT, sent REAL);
CREATE INDEX IF NOT EXISTS alert_waiting ON alert_outbox (route, id) WHERE sent IS NULL;
CREATE TABLE IF NOT EXISTS alert_mutes (until REAL, reason TEXT, who TEXT)"""
LEASE = 120.0  # seconds in which a run that has taken a message must have sent it
FIRST, MOST = 15.0, 3600.0  # seconds between two tries
KEPT = 14 * 86400.0  # of what was sent


class Waiting(Struct, frozen=True):
    """A message that has not arrived. *at* and *next* in epoch seconds."""

    id: int
    route: str
    at: float
    message: Message
    tries: int
    error: str


class Outbox:
    """The cases and messages of an environment."""

    def __init__(self, history: History) -> None:
        self._history = history
        history.ensure(SCHEMA)

    def step(self, decide: Callable[[dict[str, Case]], tuple[dict[str, Case], Sequence[tuple[str, Message]]]]) -> int:
        """Let *decide* make of the cases the cases after and messages by route, and write both or neither.

        Returns how many messages were written.
        """
        with self._history.transaction() as connection:
            rows = connection.execute("SELECT fingerprint, said FROM alert_cases").fetchall()
            before = {mark: convert(json.loads(said), Case) for mark, said in rows}
            after, messages = decide(before)
            connection.execute("DELETE FROM alert_cases")
            connection.executemany(
                "INSERT INTO alert_cases VALUES (?, ?)",
                ((mark, json.dumps(to_builtins(case))) for mark, case in after.items()),
            )
            connection.executemany(
                "INSERT INTO alert_outbox (route, at, message, tries, next) VALUES (?, ?, ?, 0, ?)",
                ((route, one.at, json.dumps(to_builtins(one)), one.at) for route, one in messages),
            )
        return len(messages)

    def take(self, route: str, now: float) -> Waiting | None:
        """Return the oldest message of a route, ours to send; None when it is not due or somebody else sends it."""
        with self._history.transaction() as connection:
            row = connection.execute(
                "SELECT id, route, at, message, tries, coalesce(error, ''), next, claimed FROM alert_outbox"
                " WHERE route = ? AND sent IS NULL ORDER BY id LIMIT 1",
                (route,),
            ).fetchone()
            # What lies further ahead was noted by a clock that has been set back since.
            if row is None or 0 < row[6] - now <= MOST or 0 <= now - (row[7] or 0.0) < LEASE:
                return None
            connection.execute("UPDATE alert_outbox SET claimed = ? WHERE id = ?", (now, row[0]))
        return Waiting(row[0], row[1], row[2], convert(json.loads(row[3]), Message), row[4], row[5])

    def sent(self, one: Waiting, now: float) -> None:
        """Note that a message has arrived."""
        connection = self._history.connection
        connection.execute("UPDATE alert_outbox SET sent = ?, claimed = NULL WHERE id = ?", (now, one.id))
        connection.execute("DELETE FROM alert_outbox WHERE sent < ?", (now - KEPT,))

    def failed(self, one: Waiting, now: float, error: str) -> None:
        """Note that it has not, and when to try again."""
        pause = min(MOST, FIRST * 2.0**one.tries)
        self._history.connection.execute(
            "UPDATE alert_outbox SET tries = tries + 1, next = ?, error = ?, claimed = NULL WHERE id = ?",
            (now + pause, error, one.id),
        )

    def waiting(self) -> list[dict[str, Any]]:
        """Return, of each route, how many messages wait, since when, what went wrong, and when the first is due."""
        rows = self._history.connection.execute(
            "SELECT route, count(*), min(at), max(tries), max(error), (SELECT f.next FROM alert_outbox f"
            " WHERE f.route = w.route AND f.sent IS NULL ORDER BY f.id LIMIT 1)"
            " FROM alert_outbox w WHERE sent IS NULL GROUP BY route"
        )
        names = ("route", "count", "since", "tries", "error", "next")
        return [dict(zip(names, row, strict=True)) for row in rows]

    # --- mutes --------------------------------------------------------------------------------------------

    def mute(self, until: float, reason: str, who: str) -> None:
        """Tell nobody anything until a moment."""
        self._history.connection.execute("DELETE FROM alert_mutes")
        self._history.connection.execute("INSERT INTO alert_mutes VALUES (?, ?, ?)", (until, reason, who))

    def muted(self, now: float) -> tuple[float, str, str] | None:
        """Return until when, why and by whom nothing is told now."""
        rows: Iterable[tuple[float, str, str]] = self._history.connection.execute(
            "SELECT until, reason, who FROM alert_mutes WHERE until > ?", (now,)
        )
        return next(iter(rows), None)
