"""What was measured and found before: SQLite in the state folder of the environment, ``health.sqlite``."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from ..view import Grade
from .changes import Known

if TYPE_CHECKING:
    from ..context import Context
    from .registry import Finding
    from .report import Report

DAY = 86400.0
SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (id INTEGER PRIMARY KEY, at REAL, grade TEXT, seconds REAL, checks TEXT);
CREATE INDEX IF NOT EXISTS runs_at ON runs (at);
CREATE TABLE IF NOT EXISTS findings (run INTEGER REFERENCES runs ON DELETE CASCADE, fingerprint TEXT, check_id TEXT,
    grade TEXT, object TEXT, database TEXT, host TEXT, value REAL, threshold REAL, text TEXT,
    fix TEXT, undo TEXT);
CREATE INDEX IF NOT EXISTS findings_run ON findings (run);
CREATE INDEX IF NOT EXISTS findings_fingerprint ON findings (fingerprint);
CREATE TABLE IF NOT EXISTS series (at REAL, check_id TEXT, object TEXT, database TEXT, host TEXT, value REAL);
CREATE INDEX IF NOT EXISTS series_of ON series (check_id, object, database, host, at);
CREATE TABLE IF NOT EXISTS samples (at REAL, host TEXT, database TEXT, check_id TEXT, counters TEXT);
CREATE INDEX IF NOT EXISTS samples_at ON samples (at);
"""
THINNED = ((DAY / 12, 60.0), (2 * DAY, 3600.0), (30 * DAY, DAY))
"""Of the runs of the same checks that are older than the first, one in the second is kept."""
SAMPLED = 2 * DAY
KEPT = 400 * DAY
COLUMNS = "fingerprint, check_id, grade, object, database, host, value, threshold, text, fix, undo"
PATIENCE = 2.0  # seconds that one writer waits for another
EVERY = 50  # runs between two thinnings
Place = tuple[str, str, str]
"""Host, database, check."""


class Past(Struct, frozen=True):
    """A run of the past: *at* in epoch seconds, *checks* the ids that it ran."""

    id: int
    at: float
    grade: str
    seconds: float
    checks: frozenset[str]


class History:
    """The past of an environment. Several processes may read and write it at once.

    *connection* is in autocommit mode; raises sqlite3.Error where the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        self.connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        _log_ahead(self.connection)
        self.connection.execute("PRAGMA synchronous = NORMAL")
        self.connection.execute("PRAGMA foreign_keys = ON")
        self.ensure(SCHEMA)

    def ensure(self, schema: str) -> None:
        """Make tables that are missing: ``CREATE ... IF NOT EXISTS`` statements, with ``;`` between them."""
        for statement in schema.split(";"):
            if statement.strip():
                self.connection.execute(statement)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write all or nothing; another writer waits for us for two seconds."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield self.connection
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    def record(self, report: Report, samples: Mapping[Place, Mapping[str, Any]] | None = None) -> None:
        """Keep a run: its findings, the numbers of all of its checks, and *samples* of counters."""
        checks = sorted({finding.check for finding in report.results})
        with self.transaction() as connection:
            run = connection.execute(
                "INSERT INTO runs (at, grade, seconds, checks) VALUES (?, ?, ?, ?)",
                (report.at, str(report.grade), report.seconds, json.dumps(checks)),
            ).lastrowid
            connection.executemany(
                f"INSERT INTO findings ({COLUMNS}, run) VALUES ({', '.join('?' * (len(COLUMNS.split()) + 1))})",  # noqa: S608
                ((*_row(finding), run) for finding in report.results if finding.grade is not Grade.OK),
            )
            connection.executemany(
                "INSERT INTO series VALUES (?, ?, ?, ?, ?, ?)",
                (
                    (report.at, f.check, f.object, f.database, f.host, f.value)
                    for f in report.results
                    if f.value is not None
                ),
            )
            connection.executemany(
                "INSERT INTO samples VALUES (?, ?, ?, ?, ?)",
                ((report.at, *place, json.dumps(counters)) for place, counters in (samples or {}).items()),
            )
            if run is not None and run % EVERY == 0:
                self._thin(connection, report.at)

    @staticmethod
    def _thin(connection: sqlite3.Connection, now: float) -> None:
        for age, step in THINNED:
            connection.execute(
                "DELETE FROM runs WHERE at < ?1 AND id NOT IN"
                " (SELECT min(id) FROM runs WHERE at < ?1 GROUP BY checks, CAST(at / ?2 AS INTEGER))",
                (now - age, step),
            )
        connection.execute("DELETE FROM runs WHERE at < ?", (now - KEPT,))
        connection.execute(
            "DELETE FROM series WHERE at < ? AND at NOT IN (SELECT at FROM runs)", (now - THINNED[0][0],)
        )
        connection.execute("DELETE FROM samples WHERE at < ?", (now - SAMPLED,))

    # --- reading ------------------------------------------------------------------------------------------

    def runs(self, since: float = 0.0) -> list[Past]:
        """Return the runs since a moment, the newest last."""
        rows = self.connection.execute(
            "SELECT id, at, grade, seconds, checks FROM runs WHERE at >= ? ORDER BY at, id", (since,)
        )
        return [_past(row) for row in rows]

    def last(self, before: float, checks: Iterable[str]) -> Past | None:
        """Return the newest run before a moment that ran all of *checks*."""
        wanted = set(checks)
        rows = self.connection.execute(
            "SELECT id, at, grade, seconds, checks FROM runs WHERE at < ? ORDER BY at DESC", (before,)
        )
        found = (_past(row) for row in rows)
        return next((past for past in found if wanted <= past.checks), None)

    def findings(self, run: int) -> list[Known]:
        """Return what a run found that was not ok."""
        rows = self.connection.execute(
            f"SELECT {COLUMNS} FROM findings WHERE run = ?",  # noqa: S608  (a constant)
            (run,),
        )
        return [_known(row) for row in rows]

    def finding(self, fingerprint: str) -> tuple[float, float, Known] | None:
        """Return a finding as it was seen last: when it was first seen, when last, and what it said."""
        row = self.connection.execute(
            f"SELECT min(at) OVER (), at, {COLUMNS}"  # noqa: S608  (a constant)
            " FROM findings JOIN (SELECT id, at FROM runs) ON id = run"
            " WHERE fingerprint = ? ORDER BY at DESC LIMIT 1",
            (fingerprint,),
        ).fetchone()
        return (row[0], row[1], _known(row[2:])) if row else None

    def series(
        self,
        check: str,
        *,
        object: str = "",  # noqa: A002  (what a finding calls it)
        database: str = "",
        host: str = "",
        since: float = 0.0,
    ) -> list[tuple[float, float]]:
        """Return (epoch seconds, value) of what a check measured of an object, the oldest first."""
        rows = self.connection.execute(
            "SELECT at, value FROM series WHERE check_id = ? AND object = ? AND database = ? AND host = ? AND at >= ?"
            " ORDER BY at",
            (check, object, database, host, since),
        )
        return [(at, value) for at, value in rows]

    def earlier(self, now: float, window: float) -> dict[Place, tuple[float, dict[str, Any]]]:
        """Return, of each place, when its oldest sample within *window* seconds was taken, and the sample."""
        rows = self.connection.execute(
            "SELECT host, database, check_id, min(at), counters FROM samples WHERE at BETWEEN ? AND ?"
            " GROUP BY host, database, check_id",
            (now - window, now),
        )
        return {(host, database, check): (at, json.loads(counters)) for host, database, check, at, counters in rows}

    def close(self) -> None:
        """Close the file."""
        self.connection.close()


def _log_ahead(connection: sqlite3.Connection) -> None:
    """Keep a write-ahead log. SQLite itself waits for nobody who has only just begun the file."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY  # whatever its kind
            if not busy or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def _row(finding: Finding) -> tuple[Any, ...]:
    of = finding
    return (
        of.fingerprint,
        of.check,
        str(of.grade),
        of.object,
        of.database,
        of.host,
        of.value,
        of.threshold,
        of.text,
        of.fix,
        of.undo,
    )


def _known(row: tuple[Any, ...]) -> Known:
    return Known(row[0], row[1], Grade(row[2]), *row[3:])


def _past(row: tuple[Any, ...]) -> Past:
    return Past(row[0], row[1], row[2], row[3], _ids(row[4]))


@lru_cache(maxsize=64)  # thousands of runs, a handful of profiles
def _ids(text: str) -> frozenset[str]:
    return frozenset(json.loads(text))


def of(ctx: Context) -> History:
    """Open the history of an environment. Raises sqlite3.Error or OSError where it cannot be kept."""
    return History(ctx.state / "health.sqlite")


@contextmanager
def kept(ctx: Context) -> Iterator[History | None]:
    """Give the history, or None with a note in the log where it cannot be kept: no run fails for its sake."""
    try:
        history = of(ctx)
    except (sqlite3.Error, OSError) as error:
        ctx.log.warning("no history", why=str(error))
        yield None
        return
    try:
        yield history
    finally:
        history.close()
