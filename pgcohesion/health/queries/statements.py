"""What pg_stat_statements has counted: read, kept, and compared with what it had before.

https://www.postgresql.org/docs/current/pgstatstatements.html
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from psycopg.sql import SQL, Identifier

from ..history import History

if TYPE_CHECKING:
    from ...connections import Database

KEPT = 200  # statements of a snapshot: the others are together one
WHERE = """SELECT n.nspname AS schema, current_setting('server_version_num')::int / 10000 AS version,
       EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid AND c.relname = 'pg_stat_statements_info') AS info
  FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements'"""
READ = """SELECT s.queryid::text AS id, coalesce(d.datname, '') AS database, coalesce(r.rolname, '') AS role,
       left(s.query, 4000) AS text, s.calls::float AS calls, s.rows::float AS rows, s.total_exec_time AS ms,
       s.shared_blks_read::float AS read, s.shared_blks_hit::float AS hit,
       s.temp_blks_written::float AS temp, s.wal_bytes::float AS wal,
       s.{read_time} + s.{write_time} AS io_ms
  FROM {schema}.pg_stat_statements s
  LEFT JOIN pg_database d ON d.oid = s.dbid LEFT JOIN pg_roles r ON r.oid = s.userid
 WHERE s.queryid IS NOT NULL ORDER BY s.total_exec_time DESC LIMIT 1000"""
INFO = (
    "SELECT extract(epoch FROM stats_reset)::float AS reset, dealloc::float AS evicted FROM {}.pg_stat_statements_info"
)
SCHEMA = """CREATE TABLE IF NOT EXISTS query_snapshots (id INTEGER PRIMARY KEY, at REAL, reset REAL, evicted REAL,
    counters TEXT);
CREATE TABLE IF NOT EXISTS query_texts (key TEXT PRIMARY KEY, text TEXT, first REAL)"""
DAY = 86400.0
COUNTERS = ("calls", "rows", "ms", "read", "hit", "temp", "wal", "io_ms")


class Statement(Struct, frozen=True):
    """What a statement has cost: *ms* of execution, blocks *read*, *hit* and *temp* (written), bytes of *wal*."""

    id: str
    database: str
    role: str
    text: str
    calls: float
    rows: float
    ms: float
    read: float
    hit: float
    temp: float
    wal: float
    io_ms: float

    @property
    def key(self) -> str:
        """What tells it from others."""
        return f"{self.id} {self.database} {self.role}"

    @property
    def mean(self) -> float:
        """Milliseconds of one call."""
        return self.ms / self.calls if self.calls else 0.0

    def since(self, before: Mapping[str, float] | None) -> Statement | None:
        """Return what it has gained; None when it was not called. Counters that fell were reset."""
        from msgspec.structs import replace

        if before is None or any(getattr(self, name) < before[name] for name in ("calls", "ms")):
            return self if self.calls else None
        gained = {name: getattr(self, name) - before[name] for name in COUNTERS}
        return replace(self, **gained) if gained["calls"] > 0 else None


class Snapshot(Struct, frozen=True):
    """All statements at a moment; *reset* is when counting began, *evicted* how many had to go for others."""

    at: float
    reset: float | None
    evicted: float
    statements: tuple[Statement, ...]


def read(db: Database) -> Snapshot | None:
    """Return what the server has counted; None where pg_stat_statements is not there. Raises ServerError."""
    rows = db.execute(WHERE)
    if not rows:
        return None
    (where,) = rows
    schema = Identifier(where.schema)
    prefix = "shared_" if where.version >= 17 else ""
    columns = {"read_time": Identifier(f"{prefix}blk_read_time"), "write_time": Identifier(f"{prefix}blk_write_time")}
    found = db.execute(SQL(READ).format(schema=schema, **columns))
    info = db.execute(SQL(INFO).format(schema))[0] if where.info else None
    statements = tuple(Statement(*row) for row in found if row.text != "<insufficient privilege>")
    return Snapshot(time.time(), info and info.reset, info.evicted if info else 0.0, statements)


def keep(history: History, snapshot: Snapshot) -> None:
    """Keep the most expensive statements for later comparisons; older snapshots are thinned to one a day."""
    history.ensure(SCHEMA)
    most = snapshot.statements[:KEPT]
    counters = {one.key: {name: getattr(one, name) for name in COUNTERS} for one in most}
    with history.transaction() as connection:
        connection.execute(
            "INSERT INTO query_snapshots (at, reset, evicted, counters) VALUES (?, ?, ?, ?)",
            (snapshot.at, snapshot.reset, snapshot.evicted, json.dumps(counters)),
        )
        connection.executemany(
            "INSERT OR IGNORE INTO query_texts VALUES (?, ?, ?)", [(one.key, one.text, snapshot.at) for one in most]
        )
        connection.execute(
            "DELETE FROM query_snapshots WHERE at < ?1 AND id NOT IN"
            " (SELECT min(id) FROM query_snapshots GROUP BY CAST(at / 86400 AS INTEGER))",
            (snapshot.at - 2 * DAY,),
        )
        connection.execute("DELETE FROM query_snapshots WHERE at < ?", (snapshot.at - 60 * DAY,))


class Earlier(Struct, frozen=True):
    """A kept snapshot: counters by key."""

    at: float
    reset: float | None
    evicted: float
    counters: dict[str, dict[str, float]]


def earlier(history: History, since: float) -> list[Earlier]:
    """Return the kept snapshots since a moment, the oldest first."""
    history.ensure(SCHEMA)
    rows = history.connection.execute(
        "SELECT at, reset, evicted, counters FROM query_snapshots WHERE at >= ? ORDER BY at", (since,)
    )
    return [Earlier(at, reset, evicted, json.loads(counters)) for at, reset, evicted, counters in rows]


def known(history: History) -> dict[str, float]:
    """Return when each statement was first seen, by key."""
    history.ensure(SCHEMA)
    return dict(history.connection.execute("SELECT key, first FROM query_texts").fetchall())


def gained(now: Snapshot, before: Earlier | None) -> list[Statement]:
    """Return what each statement has cost since *before*, or since counting began."""
    old = before.counters if before and before.reset == now.reset else {}
    found = (one.since(old.get(one.key)) for one in now.statements)
    return [one for one in found if one]


class Regressed(Struct, frozen=True):
    """A statement whose calls take longer than they did: mean milliseconds *was* and now."""

    statement: Statement
    was: float

    @property
    def factor(self) -> float:
        """How many times as long."""
        return self.statement.mean / self.was


def regressed(now: Iterable[Statement], past: Sequence[Earlier], least: float = 1.5) -> list[Regressed]:
    """Return the statements that take *least* times as long as in the snapshots before, with enough calls to tell.

    Their mean must lie above that of every interval of the past, not only above the average.
    """
    found = []
    for one in now:
        means = _means(one.key, past)
        if one.calls >= 5 and one.ms >= 10 and means and one.mean >= least * max(means):
            found.append(Regressed(one, max(means)))
    return sorted(found, key=lambda one: (one.statement.mean - one.was) * one.statement.calls, reverse=True)


def _means(key: str, past: Sequence[Earlier]) -> list[float]:
    """Return the mean of a statement in each interval between two snapshots, and before the first."""
    counters = [one.counters[key] for one in past if key in one.counters]
    first = [counters[0]["ms"] / counters[0]["calls"]] if counters and counters[0]["calls"] else []
    return first + [
        (b["ms"] - a["ms"]) / (b["calls"] - a["calls"]) for a, b in pairwise(counters) if b["calls"] > a["calls"]
    ]


def as_dict(one: Statement) -> dict[str, Any]:
    """Return plain values; the id is a text, for it does not fit a JSON number."""
    from msgspec import to_builtins

    value: dict[str, Any] = to_builtins(one)
    return {**value, "mean_ms": round(one.mean, 3)}
