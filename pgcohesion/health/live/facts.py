"""What a live view reads of a server: one trip, nothing that waits, nothing that grows with the number of relations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from msgspec import Struct
from psycopg.adapt import Buffer, Loader
from psycopg.rows import tuple_row
from psycopg.sql import SQL, Identifier, Literal

from ..asking import Answer, ask
from .words import tidy

MOST = 200  # sessions that are shown, and waiters whose blockers are asked for
COUNTERS = """SELECT extract(epoch FROM clock_timestamp())::float8, current_setting('server_version'),
    extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float8, pg_is_in_recovery(),
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
    - coalesce(current_setting('reserved_connections', true)::int, 0),
    s.total::int, s.active::int, s.idle::int, s.in_transaction::int, s.waiting::int, s.hidden::int, d.*,
    pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,
                    '0/0')::float8,
    CASE WHEN pg_is_in_recovery()
         THEN pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) END::float8,
    extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8
  FROM (SELECT count(*) AS total, count(*) FILTER (WHERE state = 'active' AND pid <> pg_backend_pid()) AS active,
               count(*) FILTER (WHERE state = 'idle') AS idle,
               count(*) FILTER (WHERE state LIKE 'idle in%') AS in_transaction,
               count(*) FILTER (WHERE wait_event_type = 'Lock') AS waiting,
               count(*) FILTER (WHERE backend_type IS NULL) AS hidden
          FROM pg_stat_activity WHERE backend_type = 'client backend' OR backend_type IS NULL AND datid <> 0) s,
       (SELECT sum(xact_commit)::float8, sum(xact_rollback)::float8, sum(blks_hit)::float8, sum(blks_read)::float8,
               sum(temp_bytes)::float8, sum(deadlocks)::float8 FROM pg_stat_database) d"""
SESSIONS = f"""SELECT pid, coalesce(usename::text, ''), coalesce(datname::text, ''), coalesce(application_name, ''),
    coalesce(client_addr::text, ''), coalesce(backend_type, ''), coalesce(state, ''),
    coalesce(wait_event_type || ':' || wait_event, ''), extract(epoch FROM clock_timestamp() - xact_start)::float8,
    extract(epoch FROM clock_timestamp() - CASE state WHEN 'active' THEN query_start ELSE state_change END)::float8,
    left(query, 500)
  FROM pg_stat_activity
 WHERE pid <> pg_backend_pid() AND (backend_type = 'client backend' OR state = 'active' OR xact_start IS NOT NULL
                                    OR backend_type IS NULL AND datid <> 0)
 ORDER BY coalesce(state, 'idle') = 'idle', coalesce(xact_start, state_change), pid LIMIT {MOST}"""  # noqa: S608
# Nobody waits, most of the time: then the condition is false before pg_locks is read.
LOCKS = f"""WITH waiting AS MATERIALIZED (
       SELECT pid, pg_blocking_pids(pid) AS blockers FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' ORDER BY query_start LIMIT {MOST}),
     involved AS (
       SELECT pid, blockers FROM waiting
        UNION ALL
       SELECT DISTINCT one, '{{}}'::int[] FROM waiting, unnest(blockers) AS one
        WHERE one NOT IN (SELECT pid FROM waiting)),
     asked AS (
       SELECT DISTINCT ON (pid) pid, mode, locktype, waitstart,
              CASE WHEN database IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
                   THEN relation::regclass::text ELSE relation::text END AS relation
         FROM pg_locks WHERE NOT granted ORDER BY pid, waitstart)
SELECT i.pid, i.blockers, coalesce(a.usename::text, ''), coalesce(a.datname::text, ''),
       coalesce(a.application_name, ''), coalesce(a.state, ''),
       extract(epoch FROM clock_timestamp() - coalesce(k.waitstart, a.query_start))::float8,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8,
       coalesce(k.mode, ''), coalesce(k.locktype, ''), coalesce(k.relation, ''), left(a.query, 500)
  FROM involved i LEFT JOIN pg_stat_activity a ON a.pid = i.pid LEFT JOIN asked k ON k.pid = i.pid
 WHERE EXISTS (SELECT FROM waiting)"""  # noqa: S608
PROGRESS = """SELECT p.pid, p.command, CASE WHEN p.datname = current_database() AND p.relation <> 0
            THEN p.relation::regclass::text ELSE concat_ws(' ', p.datname, nullif(p.relation, 0)) END,
       p.phase, p.done::float8, p.total::float8
  FROM (SELECT pid, 'vacuum' AS command, datname, relid AS relation, phase,
               CASE phase WHEN 'vacuuming heap' THEN heap_blks_vacuumed ELSE heap_blks_scanned END AS done,
               heap_blks_total AS total FROM pg_stat_progress_vacuum
        UNION ALL
        SELECT pid, 'analyze', datname, relid, phase, sample_blks_scanned, sample_blks_total
          FROM pg_stat_progress_analyze
        UNION ALL
        SELECT pid, lower(command), datname, relid, phase,
               CASE WHEN blocks_total > 0 THEN blocks_done ELSE tuples_done END,
               CASE WHEN blocks_total > 0 THEN blocks_total ELSE tuples_total END FROM pg_stat_progress_create_index
        UNION ALL
        SELECT pid, lower(command), datname, relid, phase, heap_blks_scanned, heap_blks_total
          FROM pg_stat_progress_cluster
        UNION ALL
        SELECT pid, lower(command), datname, relid, type, bytes_processed, bytes_total FROM pg_stat_progress_copy
        UNION ALL
        SELECT pid, 'base backup', NULL, 0, phase, backup_streamed, coalesce(backup_total, 0)
          FROM pg_stat_progress_basebackup) p
 ORDER BY p.pid"""
STANDBYS = """SELECT coalesce(application_name, ''), coalesce(client_addr::text, ''), coalesce(state, ''),
       coalesce(sync_state, ''),
       pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END,
                       replay_lsn)::float8,
       extract(epoch FROM replay_lag)::float8
  FROM pg_stat_replication ORDER BY 5 DESC NULLS LAST, 1"""
SLOTS = """SELECT slot_name::text, slot_type, active, coalesce(wal_status, ''),
       pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END,
                       restart_lsn)::float8
  FROM pg_replication_slots ORDER BY 5 DESC NULLS LAST, 1"""
CHECKPOINTS = """SELECT extract(epoch FROM clock_timestamp() - checkpoint_time)::float8,
       (SELECT num_timed FROM pg_stat_checkpointer)::float8, (SELECT num_requested FROM pg_stat_checkpointer)::float8
  FROM pg_control_checkpoint()"""
CHECKPOINTS_BEFORE_17 = CHECKPOINTS.replace("num_timed", "checkpoints_timed").replace(
    "num_requested", "checkpoints_req"
).replace("pg_stat_checkpointer", "pg_stat_bgwriter")  # fmt: skip
HELD = SQL("""SELECT a.query, l.mode, l.locktype, l.granted,
       CASE WHEN l.database IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
            THEN l.relation::regclass::text ELSE l.relation::text END
  FROM pg_stat_activity a LEFT JOIN pg_locks l ON l.pid = a.pid AND l.locktype <> 'virtualxid'
 WHERE a.pid = {pid} ORDER BY l.granted, l.relation NULLS LAST, l.mode LIMIT 100""")
STATEMENTS_SCHEMA = """SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
 WHERE e.extname = 'pg_stat_statements' AND e.extversion::numeric >= 1.08"""
# Only numbers travel each time; the texts, which lie in a file of the server, are read once for those that are shown.
STATEMENTS = SQL("""SELECT queryid, sum(calls)::float8, sum(total_exec_time)::float8, sum(rows)::float8
  FROM {schema}.pg_stat_statements(false) WHERE queryid IS NOT NULL GROUP BY queryid""")
STATEMENT_TEXTS = SQL("""SELECT queryid, min(left(query, 2000)) FROM {schema}.pg_stat_statements(true)
 WHERE queryid = ANY ({ids}) GROUP BY queryid""")


class Session(Struct, frozen=True):
    """A session: *seconds* in its state (a query: since its start), *transaction* seconds old."""

    pid: int
    role: str
    database: str
    application: str
    client: str
    kind: str
    state: str
    wait: str
    transaction: float | None
    seconds: float | None
    query: str


class Node(Struct, frozen=True):
    """A session in a queue for locks: *waits* seconds for *mode* on *relation*; without *blockers* it is a root.

    The pid 0 stands for a prepared transaction.
    """

    pid: int
    blockers: tuple[int, ...]
    role: str
    database: str
    application: str
    state: str
    waits: float | None
    transaction: float | None
    mode: str
    locktype: str
    relation: str
    query: str


class Progress(Struct, frozen=True):
    """A command that says how far it is; *total* 0: it does not know."""

    pid: int
    command: str
    relation: str
    phase: str
    done: float
    total: float

    @property
    def share(self) -> float | None:
        """Between 0 and 1."""
        return min(self.done / self.total, 1.0) if self.total else None


class Standby(Struct, frozen=True):
    """A standby as the primary sees it; its *lag* is in bytes and, while it has one, in *seconds*."""

    name: str
    client: str
    state: str
    sync: str
    lag: float | None
    seconds: float | None


class Slot(Struct, frozen=True):
    """A replication slot and the bytes of WAL that it keeps."""

    name: str
    kind: str
    active: bool
    status: str
    kept: float | None


class Checkpoints(Struct, frozen=True):
    """Seconds since the last one, and how many there were since the counters began."""

    age: float | None
    timed: float
    requested: float


class Held(Struct, frozen=True):
    """A session in full: its query, and its locks as (mode, type, relation, granted)."""

    pid: int
    query: str
    locks: tuple[tuple[str, str, str, bool], ...]


class Counters(Struct, frozen=True):
    """Numbers of the whole server *at* its own time; those from *commits* on only grow.

    *slots* are those that are not reserved; *hidden* sessions are those whose state our role may not see.
    """

    at: float
    version: str
    uptime: float
    standby: bool
    slots: int
    total: int
    active: int
    idle: int
    in_transaction: int
    waiting: int
    hidden: int
    commits: float | None
    rollbacks: float | None
    hits: float | None
    reads: float | None
    temp: float | None
    deadlocks: float | None
    wal: float | None
    replay_bytes: float | None
    replay_seconds: float | None


class Facts(Struct, frozen=True):
    """One look. *refused* has the words of the server about what it did not answer."""

    counters: Counters
    sessions: tuple[Session, ...] = ()
    nodes: tuple[Node, ...] = ()
    progress: tuple[Progress, ...] = ()
    standbys: tuple[Standby, ...] = ()
    slots: tuple[Slot, ...] = ()
    checkpoints: Checkpoints | None = None
    held: Held | None = None
    refused: dict[str, str] = {}


class Statement(Struct, frozen=True):
    """Counters of a statement of pg_stat_statements; *time* in milliseconds."""

    id: int
    calls: float
    time: float
    rows: float


class Lenient(Loader):
    """Texts of sessions of other databases come in their encodings: what cannot be read is marked, not an error."""

    def load(self, data: Buffer) -> str:
        """Return the text."""
        return bytes(data).decode("utf-8", "replace")


def live(version: int) -> dict[str, str]:
    """Return the statements of each refresh for a server of this major version, by the field of Facts."""
    return {
        "counters": COUNTERS,
        "sessions": SESSIONS,
        "nodes": LOCKS,
        "progress": PROGRESS,
        "standbys": STANDBYS,
        "slots": SLOTS,
        "checkpoints": CHECKPOINTS if version >= 17 else CHECKPOINTS_BEFORE_17,
    }


def prepare(connection: psycopg.Connection[Any]) -> None:
    """Make a new connection fit for :func:`read`."""
    connection.row_factory = tuple_row
    for name in ("text", "name", "varchar"):
        connection.adapters.register_loader(name, Lenient)


def read(
    connection: psycopg.Connection[Any], timeout: float, *, without: Sequence[str] = (), pid: int | None = None
) -> Facts:
    """Return the facts of one trip, but for those named in *without*; of the session *pid* also what it holds.

    *timeout* in seconds is for each statement. Raises psycopg.Error when the connection breaks or the counters are
    refused, DeadlineExceeded.
    """
    queries = {
        name: text for name, text in live(connection.info.server_version // 10000).items() if name not in without
    }
    if pid is not None:
        queries["held"] = HELD.format(pid=Literal(pid)).as_string(connection)
    answers = dict(zip(queries, ask(connection, list(queries.values()), timeout), strict=True))
    if isinstance(answers["counters"], psycopg.Error):
        raise answers["counters"]
    return _facts(answers, pid)


def _facts(answers: Mapping[str, Answer], pid: int | None) -> Facts:
    rows = {name: answer for name, answer in answers.items() if not isinstance(answer, psycopg.Error)}
    return Facts(
        counters=Counters(*rows["counters"][0]),
        sessions=tuple(_session(row) for row in rows.get("sessions", ())),
        nodes=tuple(_node(row) for row in rows.get("nodes", ())),
        progress=tuple(Progress(row[0], row[1], tidy(row[2]), *row[3:]) for row in rows.get("progress", ())),
        standbys=tuple(Standby(tidy(row[0]), *row[1:]) for row in rows.get("standbys", ())),
        slots=tuple(Slot(*row) for row in rows.get("slots", ())),
        checkpoints=next((Checkpoints(*row) for row in rows.get("checkpoints", ())), None),
        held=_held(rows.get("held", ()), pid),
        refused={
            name: tidy(answer.diag.message_primary or str(answer))
            for name, answer in answers.items()
            if isinstance(answer, psycopg.Error)
        },
    )


def _session(row: Any) -> Session:
    pid, role, database, application, client, kind, state, wait, transaction, seconds, query = row
    names = (tidy(role), tidy(database), tidy(application))
    return Session(pid, *names, client, kind, state, wait, transaction, seconds, tidy(query))


def _node(row: Any) -> Node:
    pid, blockers, role, database, application, state, waits, transaction, mode, locktype, relation, query = row
    names = (tidy(role), tidy(database), tidy(application))
    waits = waits if blockers else None
    return Node(
        pid, tuple(blockers), *names, state, waits, transaction, mode, locktype, tidy(relation), tidy(query)
    )  # fmt: skip


def _held(rows: Sequence[Any], pid: int | None) -> Held | None:
    if pid is None or not rows:
        return None
    locks = tuple((row[1], row[2], tidy(row[4]), row[3]) for row in rows if row[1])
    return Held(pid, rows[0][0] or "", locks)


# --- pg_stat_statements --------------------------------------------------------------------------------------


def statements_schema(connection: psycopg.Connection[Any], timeout: float) -> str | None:
    """Return the schema that pg_stat_statements lies in; None where it is not in this database."""
    (answer,) = ask(connection, [STATEMENTS_SCHEMA], timeout)
    return None if isinstance(answer, psycopg.Error) or not answer else str(answer[0][0])


def statements(connection: psycopg.Connection[Any], schema: str, timeout: float) -> list[Statement] | str:
    """Return the counters of all statements, or the words of the server that refused."""
    query = STATEMENTS.format(schema=Identifier(schema)).as_string(connection)
    (answer,) = ask(connection, [query], timeout)
    if isinstance(answer, psycopg.Error):
        return tidy(answer.diag.message_primary or str(answer))
    return [Statement(*row) for row in answer]


def statement_texts(
    connection: psycopg.Connection[Any], schema: str, ids: Sequence[int], timeout: float
) -> dict[int, str]:
    """Return the texts of some statements."""
    query = STATEMENT_TEXTS.format(schema=Identifier(schema), ids=Literal(list(ids))).as_string(connection)
    (answer,) = ask(connection, [query], timeout)
    return {} if isinstance(answer, psycopg.Error) else {id_: text for id_, text in answer}  # noqa: C416
