"""What may be done about a finding, and what must be true for it: facts in, a statement or a refusal out.

The statement asks for everything that matters again, in the instant in which it acts: a session that has moved on since
it was looked at is left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, LiteralString

from msgspec import Struct
from psycopg.sql import SQL, Composed, Identifier
from psycopg.sql import Literal as Value

from ...config.model import Heal
from ...view import size, span
from ..registry import Finding

Class = Literal["automatic", "opt-in"]
SPARED = ("pg_dump", "pg_dumpall", "pg_restore", "pg_basebackup", "pg_repack", "vacuumdb", "reindexdb", "psql")
"""Applications that wait in a transaction for good reasons, or at which a person sits."""
YOUNG_HORIZON = 10_000  # transactions: what vacuum cannot remove for it is no matter


PATIENT: LiteralString = "SET lock_timeout = 0; SET statement_timeout = '1h'"
"""What works CONCURRENTLY stops nobody while it waits, and given up halfway leaves an index that is not valid."""


class Act(Struct, frozen=True):
    """What to do: *statement* returns a row ``done`` where its guards are part of it (*guarded*).

    *within* is a session's settings that bound it; *undo* brings back what was.
    """

    what: str
    statement: Composed
    undo: str = ""
    guarded: bool = False
    within: LiteralString = "SET lock_timeout = '1s'; SET statement_timeout = '10min'"


class Remedy(Struct, frozen=True):
    """A way to mend what *checks* find. *facts* is SQL over ``%(object)s``; *decide* answers with why not, in words.

    *window*: only in the maintenance window. *native* is the setting that keeps the trouble from coming back.
    """

    name: str
    checks: tuple[str, ...]
    kind: Class
    facts: str
    decide: Callable[[Finding, Any, Heal], Act | str]
    window: bool = False
    native: str = ""
    cluster: bool = False


# --- tables and indexes -----------------------------------------------------------------------------------------------

RELATION = """SELECT c.oid::int8 AS oid, n.nspname AS schema, c.relname AS name, c.relkind::text AS kind,
       c.relpages * current_setting('block_size')::float AS bytes, pg_is_in_recovery() AS standby,
       EXISTS (SELECT FROM pg_locks k JOIN pg_stat_activity a USING (pid)
                WHERE k.relation = c.oid AND a.datname = current_database()
                  AND k.mode = 'ShareUpdateExclusiveLock') AS busy,
       greatest((SELECT max(age(backend_xmin)) FROM pg_stat_activity WHERE pid <> pg_backend_pid()),
                (SELECT max(greatest(age(xmin), age(catalog_xmin))) FROM pg_replication_slots),
                (SELECT max(age(transaction)) FROM pg_prepared_xacts), 0) AS held,
       (SELECT max(extract(epoch FROM clock_timestamp() - xact_start)) FROM pg_stat_activity
         WHERE xact_start IS NOT NULL AND pid <> pg_backend_pid())::float AS longest,
       coalesce((SELECT i.indisvalid FROM pg_index i WHERE i.indexrelid = c.oid), true) AS valid,
       EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = c.oid) AS building,
       EXISTS (SELECT FROM pg_constraint o WHERE o.conindid = c.oid) AS backs
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = to_regclass(%(object)s)"""


def _name(row: Any) -> Identifier:
    return Identifier(row.schema, row.name)


def _common(row: Any, rules: Heal) -> str:
    if row.standby:
        return "this is a standby"
    if row.busy:
        return "autovacuum or somebody else works on it"
    if row.bytes > rules.largest:
        return f"it has {size(row.bytes)}, more than `largest` allows ({size(rules.largest)})"
    return ""


def _analyze(finding: Finding, row: Any, rules: Heal) -> Act | str:
    return _common(row, rules) or Act(f"analyze {finding.object}", SQL("ANALYZE {}").format(_name(row)))


def _vacuum(finding: Finding, row: Any, rules: Heal) -> Act | str:
    if row.held >= YOUNG_HORIZON:
        return f"it would remove nothing: {row.held:,} transactions are held back (xmin_horizon)"
    return _common(row, rules) or Act(f"vacuum {finding.object}", SQL("VACUUM (ANALYZE) {}").format(_name(row)))


def _reset_autovacuum(finding: Finding, row: Any, rules: Heal) -> Act | str:
    if row.standby:
        return "this is a standby"
    option: LiteralString = "toast.autovacuum_enabled" if "toast." in finding.text else "autovacuum_enabled"
    return Act(
        f"let autovacuum see {finding.object}",
        SQL("ALTER TABLE {} RESET ({})").format(_name(row), SQL(option)),
        undo=finding.undo,
    )


def _rebuild(finding: Finding, row: Any, rules: Heal) -> Act | str:
    if row.valid:
        return "it is valid by now"
    if row.building:
        return "it is being built"
    if row.kind != "i":
        return "it is the index of a partitioned table: attach an index of each partition"
    leftover = row.name.rstrip("0123456789").endswith(("_ccnew", "_ccold"))
    if leftover and row.backs:
        return "it holds a constraint"
    if leftover:
        return _concurrently(
            "DROP INDEX CONCURRENTLY {}", f"drop what a rebuild has left, {finding.object}", row, rules
        )
    return _reindex(finding, row, rules)


def _reindex(finding: Finding, row: Any, rules: Heal) -> Act | str:
    return _concurrently("REINDEX INDEX CONCURRENTLY {}", f"rebuild index {finding.object}", row, rules)


def _concurrently(statement: LiteralString, what: str, row: Any, rules: Heal) -> Act | str:
    if (row.longest or 0) > LONG:
        return f"a transaction runs for {span(row.longest)}: it would wait for that"
    return _common(row, rules) or Act(what, SQL(statement).format(_name(row)), within=PATIENT)


LONG = 600.0

# --- sessions ---------------------------------------------------------------------------------------------------------

SESSION = """SELECT a.pid, a.backend_start, a.xact_start, a.query_start, a.state, a.backend_type AS type,
       coalesce(a.application_name, '') AS application, coalesce(r.rolname, '') AS role,
       coalesce(r.rolsuper, true) AS super,
       coalesce(extract(epoch FROM clock_timestamp() - a.state_change), 0)::float AS age,
       a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL AS pins,
       EXISTS (SELECT FROM pg_stat_activity w
                WHERE w.wait_event_type = 'Lock' AND a.pid = ANY (pg_blocking_pids(w.pid))) AS blocks,
       coalesce(a.query, '') AS query
  FROM pg_stat_activity a LEFT JOIN pg_roles r ON r.oid = a.usesysid WHERE a.pid = %(object)s::int"""
SAME = SQL(
    """SELECT {act}(a.pid) AS done FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
 WHERE a.pid = {pid} AND a.backend_start = {started} AND a.backend_type = 'client backend'
   AND a.pid <> pg_backend_pid() AND NOT r.rolsuper AND NOT a.application_name = ANY ({spared})"""
)
IDLE = SQL(
    """ AND a.xact_start = {begun} AND a.state = 'idle in transaction'
   AND clock_timestamp() - a.state_change > make_interval(secs => {age})
   AND (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL OR EXISTS (
        SELECT FROM pg_stat_activity w WHERE w.wait_event_type = 'Lock' AND a.pid = ANY (pg_blocking_pids(w.pid))))"""
)
RUNNING = SQL(" AND a.query_start = {asked} AND a.state = 'active' AND a.wait_event_type = 'Lock'")


def _spared(row: Any, rules: Heal) -> str:
    if row.type != "client backend":
        return f"it is a {row.type}"
    if row.super:
        return f"{row.role or 'its role'} is a superuser"
    if row.application in (*SPARED, *rules.spare):
        return f"{row.application} is spared"
    return ""


def _same(function: LiteralString, row: Any, rules: Heal) -> Composed:
    return SAME.format(
        act=SQL(function),
        pid=Value(row.pid),
        started=Value(row.backend_start),
        spared=Value([*SPARED, *rules.spare]),
    )


def _end(finding: Finding, row: Any, rules: Heal) -> Act | str:
    if row.state != "idle in transaction":
        return f"it is {row.state or 'of no state'}, not idle in a transaction"
    if row.age < rules.idle_age:
        return f"it has been idle for {span(row.age)} only (`idle_age` is {span(rules.idle_age)})"
    if not (row.pins or row.blocks):
        return "it holds nothing that anybody waits for"
    spared = _spared(row, rules)
    if spared:
        return spared
    statement = _same("pg_terminate_backend", row, rules) + IDLE.format(
        begun=Value(row.xact_start), age=Value(rules.idle_age)
    )
    return Act(
        f"end process {row.pid} of {row.role}, idle in a transaction for {span(row.age)}", statement, guarded=True
    )


def _end_root(finding: Finding, row: Any, rules: Heal) -> Act | str:
    if row.state == "active":
        return "it is at work: whether its work may be lost is for a person to say"
    return _end(finding, row, rules)


def _cancel_ddl(finding: Finding, row: Any, rules: Heal) -> Act | str:
    spared = _spared(row, rules) if row.application != "psql" else ""
    if spared:
        return spared
    statement = _same("pg_cancel_backend", row, rules) + RUNNING.format(asked=Value(row.query_start))
    return Act(f"cancel the DDL of process {row.pid} of {row.role}, which waits", statement, guarded=True)


HEAD = """(SELECT pid FROM pg_locks WHERE relation = to_regclass(%(object)s) AND mode = 'AccessExclusiveLock'
    AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  ORDER BY waitstart LIMIT 1)"""
WAITING_DDL = SESSION.replace("%(object)s::int", HEAD)

# --- replication, prepared transactions ------------------------------------------------------------------------------

REPLAY = (
    "SELECT pg_is_in_recovery() AS standby, CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() END AS paused"
)


def _resume(finding: Finding, row: Any, rules: Heal) -> Act | str:
    if not row.standby or not row.paused:
        return "replay is not paused"
    statement = SQL("SELECT pg_wal_replay_resume()").format()
    return Act("resume replay", statement, undo="SELECT pg_wal_replay_pause();")


PREPARED = """SELECT gid, quote_literal(gid) AS quoted, database, extract(epoch FROM now() - prepared)::float AS age
  FROM pg_prepared_xacts WHERE gid = %(object)s"""


def _rollback(finding: Finding, row: Any, rules: Heal) -> Act | str:
    from fnmatch import fnmatchcase

    if not any(fnmatchcase(row.gid, pattern) for pattern in rules.prepared):
        return "`[health.heal] prepared` does not name it: its transaction manager may still need it"
    if row.age < rules.idle_age:
        return f"it was prepared {span(row.age)} ago only"
    return Act(f"roll back prepared transaction {row.gid}", SQL("ROLLBACK PREPARED {}").format(Value(row.gid)))


SLOT = """SELECT slot_name::text AS name, slot_type AS type, active,
       EXISTS (SELECT FROM pg_stat_replication r WHERE r.application_name = slot_name) AS known
  FROM pg_replication_slots WHERE slot_name = %(object)s"""


def _drop_slot(finding: Finding, row: Any, rules: Heal) -> Act | str:
    from fnmatch import fnmatchcase

    if row.type == "logical":
        return "it is a logical slot: its subscriber could not go on. Never by itself"
    if row.active:
        return "it is being read"
    if row.known:
        return "a standby of its name is connected"
    if not any(fnmatchcase(row.name, pattern) for pattern in rules.slots):
        return "`[health.heal] slots` does not name it; max_slot_wal_keep_size bounds all of them"
    statement = SQL(
        "SELECT true AS done, pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
        " WHERE slot_name = {} AND NOT active AND slot_type = 'physical'"
    ).format(Value(row.name))
    undo = f"SELECT pg_create_physical_replication_slot('{row.name}');"
    return Act(f"drop slot {row.name}", statement, undo=undo, guarded=True)


REMEDIES = (
    Remedy("analyze", ("never_analyzed", "stale_statistics"), "automatic", RELATION, _analyze),
    Remedy("vacuum", ("dead_rows", "overdue_vacuums"), "opt-in", RELATION, _vacuum),
    Remedy("reset_autovacuum", ("autovacuum_off_tables",), "opt-in", RELATION, _reset_autovacuum),
    Remedy("rebuild_index", ("invalid_indexes",), "opt-in", RELATION, _rebuild),
    Remedy("reindex", ("index_bloat",), "opt-in", RELATION, _reindex, window=True),
    Remedy(
        "end_idle",
        ("idle_in_transaction", "aborted_transactions"),
        "opt-in",
        SESSION,
        _end,
        native='roles.NAME.settings.idle_in_transaction_session_timeout = "10min"',
        cluster=True,
    ),
    Remedy(
        "end_root",
        ("blocked_sessions",),
        "opt-in",
        SESSION,
        _end_root,
        native='roles.NAME.settings.idle_in_transaction_session_timeout = "10min"',
        cluster=True,
    ),
    Remedy(
        "cancel_ddl",
        ("waiting_ddl",),
        "opt-in",
        WAITING_DDL,
        _cancel_ddl,
        native='roles.NAME.settings.lock_timeout = "5s", for the role that runs migrations',
    ),
    Remedy("resume_replay", ("replay_paused",), "opt-in", REPLAY, _resume, cluster=True),
    Remedy("rollback_prepared", ("prepared_transactions",), "opt-in", PREPARED, _rollback),
    Remedy(
        "drop_slot",
        ("inactive_slots", "slot_xmin", "lost_slots"),
        "opt-in",
        SLOT,
        _drop_slot,
        native='settings.max_slot_wal_keep_size = "50GB"',
        cluster=True,
    ),
)
BY_CHECK = {check: remedy for remedy in REMEDIES for check in remedy.checks}
NEVER = {
    "unused_indexes": "an index that looks unused may be needed at the end of the month",
    "duplicate_indexes": "what is dropped is for a person to say",
    "prefix_indexes": "what is dropped is for a person to say",
    "table_bloat": "VACUUM FULL locks everyone out",
    "catalog_bloat": "VACUUM FULL locks everyone out",
    "wraparound": "a freeze of the whole database is planned work",
    "durability": "settings are the environment's file",
    "checksum_failures": "damage is restored from a backup, never hidden",
}
"""Checks whose mending is only ever described, and why."""
