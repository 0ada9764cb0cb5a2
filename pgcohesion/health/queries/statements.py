"""What pg_stat_statements has counted: read, kept, and compared with what it had before.

https://www.postgresql.org/docs/current/pgstatstatements.html
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from math import sqrt
from typing import TYPE_CHECKING, Any

from msgspec import Struct, json
from msgspec.structs import replace
from psycopg.sql import SQL, Identifier

from ...errors import ServerError, Unreachable
from ..history import History
from .texts import tidy

if TYPE_CHECKING:
    from ...connections import Database

MOST = 1000  # statements of a snapshot, by time: the others cost less than each of them
WHERE = """SELECT n.nspname AS schema, current_setting('block_size')::float AS block,
       pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS all,
       ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = v.oid AND attnum > 0) AS columns,
       EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid AND c.relname = 'pg_stat_statements_info') AS info
  FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
  JOIN pg_class v ON v.relnamespace = n.oid AND v.relname = 'pg_stat_statements'
 WHERE e.extname = 'pg_stat_statements'"""
READ = """SELECT s.queryid::text AS id, d.datname AS database, coalesce(r.rolname, '') AS role,
       {toplevel} AS toplevel, left(s.query, 8000) AS text, extract(epoch FROM {since})::float AS since,
       s.calls::float AS calls, s.rows::float AS rows, s.total_exec_time AS ms,
       s.calls * (s.stddev_exec_time ^ 2 + s.mean_exec_time ^ 2) AS squares,
       s.shared_blks_read::float AS read, s.temp_blks_written::float AS temp, s.wal_bytes::float AS wal,
       s.{read_time} + s.{write_time} AS io_ms
  FROM {schema}.pg_stat_statements s
  JOIN pg_database d ON d.oid = s.dbid LEFT JOIN pg_roles r ON r.oid = s.userid
 WHERE s.queryid IS NOT NULL AND d.datname !~ '^pgcohesion_bench_\\d+$'
 ORDER BY s.total_exec_time DESC LIMIT %s"""
INFO = (
    "SELECT extract(epoch FROM stats_reset)::float AS reset, dealloc::float AS evicted FROM {}.pg_stat_statements_info"
)
FULL = """SELECT d.datname AS database, coalesce(r.rolname, '') AS role, s.query AS text
  FROM {schema}.pg_stat_statements s
  JOIN pg_database d ON d.oid = s.dbid LEFT JOIN pg_roles r ON r.oid = s.userid
 WHERE s.queryid::text = %s ORDER BY s.total_exec_time DESC LIMIT 1"""
NOT_LOADED = "55000"
COUNTERS = ("calls", "rows", "ms", "squares", "read", "temp", "wal", "io_ms")


class Statement(Struct, frozen=True):
    """What a statement has cost: *ms* of execution, blocks *read* and *temp* (written), bytes of *wal*.

    *squares*: the sum of the squares of its times. *since*: when it was first counted (epoch; None before 17).
    *toplevel*: clients sent it, no function did.
    """

    id: str
    database: str
    role: str
    toplevel: bool
    text: str
    since: float | None
    calls: float
    rows: float
    ms: float
    squares: float
    read: float
    temp: float
    wal: float
    io_ms: float

    @property
    def key(self) -> str:
        """What tells it from others."""
        return " ".join((self.id, "" if self.toplevel else "nested", self.database, self.role))

    @property
    def counters(self) -> list[float]:
        """The numbers, in the order of COUNTERS."""
        return [getattr(self, name) for name in COUNTERS]

    @property
    def mean(self) -> float:
        """Milliseconds of one call."""
        return self.ms / self.calls if self.calls else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return plain values; the id is a text, for it does not fit a JSON number."""
        return {
            "id": self.id,
            "database": self.database,
            "role": self.role,
            "toplevel": self.toplevel,
            "statement": self.text,
            **{name: round(getattr(self, name), 3) for name in COUNTERS if name != "squares"},
            "mean_ms": round(self.mean, 3),
        }


class Snapshot(Struct, frozen=True):
    """All statements at a moment; *reset* is when counting began, *evicted* how many had to go for others.

    *all*: whether those of other roles are seen, too. *block*: bytes.
    """

    at: float
    reset: float | None
    evicted: float
    statements: tuple[Statement, ...]
    all: bool = True
    block: float = 8192

    @property
    def floor(self) -> float:
        """The most, in ms, that a statement can have cost which is not in it."""
        return self.statements[-1].ms if len(self.statements) >= MOST else 0.0


class Earlier(Struct, frozen=True):
    """A kept snapshot: counters by key, in the order of COUNTERS."""

    at: float
    reset: float | None
    evicted: float
    floor: float
    counters: dict[str, list[float]]


# --- reading ----------------------------------------------------------------------------------------------------------


def places(db: Database) -> Iterator[tuple[str, Any]]:
    """Yield the databases, the main one first, in which the counters can be read, and how."""
    for name in dict.fromkeys((db.default, "postgres")):
        try:
            yield from ((name, row) for row in db.execute(WHERE, database=name))
        except Unreachable:
            if name == db.default:
                raise


def read(db: Database) -> Snapshot | None:
    """Return what the server has counted; None where pg_stat_statements is not at work. Raises ServerError."""
    for name, where in places(db):
        schema, columns = Identifier(where.schema), set(where.columns)
        try:
            info = db.execute(SQL(INFO).format(schema), database=name)[0] if where.info else None
            rows = db.execute(_read(schema, columns), [MOST], database=name)
        except ServerError as error:
            if error.sqlstate == NOT_LOADED:
                return None
            raise
        statements = tuple(Statement(**{**row._asdict(), "text": tidy(row.text)}) for row in rows)
        reset, evicted = (info.reset, info.evicted) if info else (None, 0.0)
        return Snapshot(time.time(), reset, evicted, statements, where.all, where.block)
    return None


def _read(schema: Identifier, columns: set[str]) -> Any:
    """Return the statement for a version of the extension: it may be older than its server."""
    prefix = "shared_" if "shared_blk_read_time" in columns else ""
    return SQL(READ).format(
        schema=schema,
        toplevel=SQL("s.toplevel" if "toplevel" in columns else "true"),
        since=SQL("s.stats_since" if "stats_since" in columns else "NULL::timestamptz"),
        read_time=Identifier(f"{prefix}blk_read_time"),
        write_time=Identifier(f"{prefix}blk_write_time"),
    )


def full(db: Database, queryid: str) -> tuple[str, str, str] | None:
    """Return database, role and uncut text of a statement; None for one that is not known. Raises ServerError."""
    for name, where in places(db):
        for row in db.execute(SQL(FULL).format(schema=Identifier(where.schema)), [queryid], database=name):
            return row.database, row.role, row.text
    return None


# --- keeping ----------------------------------------------------------------------------------------------------------

SCHEMA = """CREATE TABLE IF NOT EXISTS statement_snapshots (id INTEGER PRIMARY KEY, at REAL, reset REAL, evicted REAL,
    floor REAL, counters BLOB);
CREATE TABLE IF NOT EXISTS statements_seen (key TEXT PRIMARY KEY, first REAL, last REAL)"""
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
THINNED = ((5 * MINUTE, MINUTE), (2 * HOUR, HOUR), (2 * DAY, DAY))
"""Of the snapshots that are older than the first, one in the second is kept."""
KEPT = 60 * DAY
SEEN = 20_000  # keys that are remembered, those that were seen last


def keep(history: History, snapshot: Snapshot) -> None:
    """Keep a snapshot for later comparisons, and thin those before it."""
    history.ensure(SCHEMA)
    now = snapshot.at
    counters = zlib.compress(json.encode({one.key: one.counters for one in snapshot.statements}))
    with history.transaction() as connection:
        connection.execute(
            "INSERT INTO statement_snapshots (at, reset, evicted, floor, counters) VALUES (?, ?, ?, ?, ?)",
            (now, snapshot.reset, snapshot.evicted, snapshot.floor, counters),
        )
        connection.executemany(
            "INSERT INTO statements_seen VALUES (?1, ?2, ?2) ON CONFLICT (key) DO UPDATE SET last = ?2",
            [(one.key, now) for one in snapshot.statements],
        )
        for age, step in THINNED:
            connection.execute(
                "DELETE FROM statement_snapshots WHERE at < ?1 AND id NOT IN (SELECT min(id) FROM statement_snapshots"
                " WHERE at < ?1 GROUP BY reset, CAST(at / ?2 AS INTEGER))",
                (now - age, step),
            )
        connection.execute("DELETE FROM statement_snapshots WHERE at < ?", (now - KEPT,))
        connection.execute(
            "DELETE FROM statements_seen WHERE last < ?"
            " OR key IN (SELECT key FROM statements_seen ORDER BY last DESC LIMIT -1 OFFSET ?)",
            (now - KEPT, SEEN),
        )


def kept_at(history: History) -> float:
    """Return when the newest snapshot was kept; 0 without one."""
    history.ensure(SCHEMA)
    ((at,),) = history.connection.execute("SELECT coalesce(max(at), 0) FROM statement_snapshots")
    return float(at)


def earlier(history: History, reset: float | None, since: float = 0.0) -> list[Earlier]:
    """Return the kept snapshots of the same counting since a moment, the oldest first."""
    history.ensure(SCHEMA)
    rows = history.connection.execute(
        "SELECT at, reset, evicted, floor, counters FROM statement_snapshots WHERE at >= ? AND reset IS ? ORDER BY at",
        (since, reset),
    )
    decode = json.Decoder(dict[str, list[float]]).decode
    return [
        Earlier(at, reset, evicted, floor, decode(zlib.decompress(packed)))
        for at, reset, evicted, floor, packed in rows
    ]


def seen(history: History) -> dict[str, float]:
    """Return when each statement was first seen, by key."""
    history.ensure(SCHEMA)
    return dict(history.connection.execute("SELECT key, first FROM statements_seen").fetchall())


# --- comparing --------------------------------------------------------------------------------------------------------


def since(one: Statement, before: Earlier | None) -> Statement | None:
    """Return what a statement has gained since *before* (None: ever); None when nothing, or nobody knows."""
    old = before.counters.get(one.key) if before else None
    if before is None or (one.since is not None and one.since > before.at):
        return one if one.calls else None
    if old is None:  # it may have been there, below the others
        return one if one.calls and one.ms > before.floor else None
    if any(new < was for name, new, was in zip(COUNTERS, one.counters, old, strict=True) if name in ("calls", "ms")):
        return one if one.calls else None  # it was reset, or had to go and came back
    gained = {name: max(0.0, new - was) for name, new, was in zip(COUNTERS, one.counters, old, strict=True)}
    return replace(one, **gained) if gained["calls"] else None


class Pace(Struct, frozen=True):
    """How long calls took, in ms: their number, *mean* and *variance*."""

    calls: float
    mean: float
    variance: float

    @classmethod
    def of(cls, counters: Mapping[str, float]) -> Pace:
        """Return that of counters with calls."""
        mean = counters["ms"] / counters["calls"]
        return cls(counters["calls"], mean, max(0.0, counters["squares"] / counters["calls"] - mean**2))


class Regressed(Struct, frozen=True):
    """A statement that takes longer since a moment than it ever did: *was* and *statement.mean* in ms."""

    statement: Statement
    was: float
    since: float

    @property
    def factor(self) -> float:
        """How many times as long."""
        return self.statement.mean / self.was


LEAST_FACTOR, LEAST_CALLS, LEAST_MS = 1.5, 5, 10.0
SIGMAS = 4.0  # hundreds of statements are tested at once


def regressed(now: Snapshot, past: Sequence[Earlier], window: float) -> list[Regressed]:
    """Return the statements that have become slower within the *window* (since epoch seconds).

    Of all snapshots of the window the one counts since which a statement's mean has grown most over that of each
    interval before. It must be half as much again, by more than the spread of the calls explains (Welch's test).
    *past* is of the same counting, the oldest first.
    """
    found = [one for one in (_regressed(statement, past, window) for statement in now.statements) if one]
    return sorted(found, key=lambda one: (one.statement.mean - one.was) * one.statement.calls, reverse=True)


def _regressed(one: Statement, past: Sequence[Earlier], window: float) -> Regressed | None:
    worst: Pace | None = None  # of the intervals so far
    best: Regressed | None = None
    old: list[float] | None = None
    for moment in past:
        counters = moment.counters.get(one.key)
        if counters is None or (one.since is not None and one.since > moment.at):
            continue
        pace = _pace(old, counters)
        if pace and (worst is None or pace.mean > worst.mean):
            worst = pace
        old = counters
        gained = since(one, moment) if moment.at >= window and worst else None
        if gained and worst and _slower(worst, gained) and (best is None or gained.mean / worst.mean > best.factor):
            best = Regressed(gained, worst.mean, moment.at)
    return best


def _pace(old: Sequence[float] | None, new: Sequence[float]) -> Pace | None:
    """Return the pace between two snapshots, or before the first; None without calls."""
    before = old if old and all(n >= o for n, o in zip(new[:1], old[:1], strict=True)) else [0.0] * len(COUNTERS)
    gained = {name: n - o for name, n, o in zip(COUNTERS, new, before, strict=True)}
    return Pace.of(gained) if gained["calls"] >= 1 and gained["ms"] > 0 else None


def _slower(was: Pace, one: Statement) -> bool:
    if one.calls < LEAST_CALLS or one.ms < LEAST_MS or one.mean < LEAST_FACTOR * was.mean:
        return False
    now = Pace.of({name: getattr(one, name) for name in ("calls", "ms", "squares")})
    spread = sqrt(now.variance / now.calls + was.variance / was.calls)
    return now.mean - was.mean > SIGMAS * spread
