"""What sessions do: idle, in long queries and transactions, keep vacuum back, wait for a standby."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from ...view import Grade, count, span
from ..altering import alter_system
from ..registry import Finding, Limits, check_of
from ..sessions import NEEDS, SEES_ALL, cancelling, ending, rolling_back, shown, who

FORGOTTEN, LONG = 10.0, 300.0  # seconds: told, though they need not be wrong yet
NOTED = 0.10
MODES = (
    "",
    "ACCESS SHARE",
    "ROW SHARE",
    "ROW EXCLUSIVE",
    "SHARE UPDATE EXCLUSIVE",
    "SHARE",
    "SHARE ROW EXCLUSIVE",
    "EXCLUSIVE",
    "ACCESS EXCLUSIVE",
)


ALL_TRANSACTIONS = (
    "SELECT pid, usename, application_name, state, xact_start FROM pg_stat_activity"
    " WHERE xact_start IS NOT NULL ORDER BY xact_start;"
)
ALL_IDLE = (
    "SELECT usename, application_name, count(*), min(state_change) FROM pg_stat_activity"
    " WHERE state = 'idle' GROUP BY 1, 2 ORDER BY 3 DESC;"
)


@check_of(
    """SELECT a.pid, to_json(a.backend_start) #>> '{}' AS started, to_json(a.xact_start) #>> '{}' AS begun,
              coalesce(a.usename, '') AS role, coalesce(a.application_name, '') AS application,
              extract(epoch FROM clock_timestamp() - a.state_change)::float AS age,
              coalesce(l.relations, 0) AS relations, coalesce(l.strongest, 0) AS strongest,
              coalesce(l.advisory, 0) AS advisory,
              coalesce(greatest(age(a.backend_xid), age(a.backend_xmin)), -1) AS behind
         FROM pg_stat_activity a
         LEFT JOIN (SELECT pid, count(DISTINCT relation) FILTER (WHERE locktype = 'relation') AS relations,
                           count(*) FILTER (WHERE locktype = 'advisory') AS advisory,
                           max(array_position(ARRAY['AccessShareLock', 'RowShareLock', 'RowExclusiveLock',
                               'ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
                               'AccessExclusiveLock'], mode)) FILTER (WHERE locktype = 'relation') AS strongest
                      FROM pg_locks WHERE granted GROUP BY pid) l USING (pid)
        WHERE a.backend_type = 'client backend' AND a.state = 'idle in transaction' AND a.pid <> pg_backend_pid()
        ORDER BY age DESC""",
    warn=300,
    fail=3600,
    cost="quick",
    guard=SEES_ALL,
    needs=NEEDS,
)
def idle_in_transaction(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Sessions idle in a transaction: they hold locks and keep vacuum from its work (limits in seconds).

    The client has forgotten to commit, or waits for something else in the middle of its work. One that holds neither a
    lock nor a snapshot is never more than a warning. idle_in_transaction_session_timeout ends such sessions by itself.
    """
    found = []
    for row in rows:
        holds = []
        if row.relations:
            holds.append(f"locks on {count(row.relations, 'relation')} (up to {MODES[row.strongest]})")
        if row.advisory:
            holds.append(count(row.advisory, "advisory lock"))
        if row.behind >= 0:
            holds.append(f"the rows of {row.behind:,} transactions back from vacuum")
        text = f"{who(row)} is idle in a transaction for {span(row.age)}; it holds {' and '.join(holds) or 'nothing'}"
        fix = _careful(row) + ending(row, "state = 'idle in transaction'")
        of_it = limits.of_object(str(row.pid))
        if not holds:
            of_it = Limits(of_it.warn, None)
        found.append(of_it.finding(row.age, text, fix=fix, object=str(row.pid), note=FORGOTTEN))
    return _bad(found) or Finding(Grade.OK, "no session idles in a transaction", value=_longest(rows))


@check_of(
    """SELECT pid, to_json(backend_start) #>> '{}' AS started, to_json(xact_start) #>> '{}' AS begun,
              coalesce(usename, '') AS role, coalesce(application_name, '') AS application,
              extract(epoch FROM clock_timestamp() - state_change)::float AS age
         FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND state = 'idle in transaction (aborted)' AND pid <> pg_backend_pid()
        ORDER BY age DESC""",
    warn=300,
    cost="quick",
    guard=SEES_ALL,
    needs=NEEDS,
)
def aborted_transactions(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Sessions idle in a transaction that has failed: their client has not noticed (limits in seconds).

    The locks are gone, but so is the work: every further statement fails until the client says ROLLBACK, and the slot
    stays taken. The client needs a rollback where it handles errors.
    """
    found = [
        limits.finding(
            row.age,
            f"{who(row)} has not rolled back a failed transaction for {span(row.age)}",
            fix=ending(row, "state = 'idle in transaction (aborted)'"),
            object=str(row.pid),
            note=FORGOTTEN,
        )
        for row in rows
    ]
    return _bad(found) or Finding(Grade.OK, "no failed transaction is left open", value=_longest(rows))


@check_of(
    """SELECT a.pid, to_json(a.backend_start) #>> '{}' AS started, to_json(a.query_start) #>> '{}' AS asked,
              coalesce(a.usename, '') AS role, coalesce(a.application_name, '') AS application,
              extract(epoch FROM clock_timestamp() - a.query_start)::float AS age
         FROM pg_stat_activity a
        WHERE a.backend_type = 'client backend' AND a.state = 'active' AND a.query_start IS NOT NULL
          AND a.pid <> pg_backend_pid()
          AND a.wait_event_type IS DISTINCT FROM 'Lock' AND a.wait_event IS DISTINCT FROM 'SyncRep'
          AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum p WHERE p.pid = a.pid)
          AND NOT EXISTS (SELECT FROM pg_stat_progress_analyze p WHERE p.pid = a.pid)
          AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.pid = a.pid)
          AND NOT EXISTS (SELECT FROM pg_stat_progress_cluster p WHERE p.pid = a.pid)
          AND NOT EXISTS (SELECT FROM pg_stat_progress_copy p WHERE p.pid = a.pid)
        ORDER BY age DESC""",
    warn=900,
    fail=4 * 3600,
    cost="quick",
    guard=SEES_ALL,
    needs=NEEDS,
)
def long_queries(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Queries that run for long (limits in seconds).

    They take memory and disk from the others, and their client may have gone long since. VACUUM, ANALYZE, COPY and the
    building of indexes take the time they need and do not count; who waits for a lock or a standby is named elsewhere.
    statement_timeout of a role ends such queries by itself.
    """
    found = [
        limits.finding(
            row.age,
            f"{who(row)} runs a query for {span(row.age)}",
            fix=cancelling(row),
            object=str(row.pid),
            note=LONG,
        )
        for row in rows
    ]
    return _bad(found) or Finding(Grade.OK, "no query runs for long", value=_longest(rows))


@check_of(
    """SELECT pid, to_json(backend_start) #>> '{}' AS started, to_json(xact_start) #>> '{}' AS begun,
              coalesce(usename, '') AS role, coalesce(application_name, '') AS application,
              extract(epoch FROM clock_timestamp() - xact_start)::float AS age,
              EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.pid = a.pid) AS builds
         FROM pg_stat_activity a
        WHERE backend_type = 'client backend' AND xact_start IS NOT NULL AND pid <> pg_backend_pid()
          AND (state = 'active'
               OR state = 'idle in transaction' AND state_change > clock_timestamp() - interval '5 min')
          AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum p WHERE p.pid = a.pid)
        ORDER BY age DESC""",
    warn=3600,
    fail=6 * 3600,
    cost="quick",
    guard=SEES_ALL,
    needs=NEEDS,
)
def long_transactions(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Transactions that run for long: dead rows pile up behind them (limits in seconds).

    They are at work, perhaps in many short statements; sessions that have gone to sleep in a transaction are another
    check. Work in smaller pieces, each committed; transaction_timeout (from PostgreSQL 17) ends them by itself.
    """
    found = [
        limits.finding(
            row.age,
            f"{who(row)} {'builds an index' if row.builds else 'runs a transaction'} for {span(row.age)}",
            fix=_careful(row) + ending(row),
            object=str(row.pid),
            note=LONG,
        )
        for row in rows
    ]
    return _bad(found) or Finding(Grade.OK, "no transaction runs for long", value=_longest(rows))


def _careful(row: Any) -> str:
    """Return a comment on what is better not ended; with --jobs a dump's first session idles, the others work."""
    if row.application == "pg_dump":
        return "-- a dump: let it finish, if it, or another session of it, is at work\n"
    return "-- let it finish, if it can: what it has built is lost\n" if getattr(row, "builds", False) else ""


def _bad(found: list[Finding]) -> list[Finding]:
    bad = [finding for finding in found if finding.grade is not Grade.OK]
    return shown(sorted(bad, key=lambda one: one.grade is not Grade.FAIL), ALL_TRANSACTIONS)


def _longest(rows: list[Any]) -> float:
    return max((row.age for row in rows), default=0.0)


@check_of(
    """SELECT coalesce(usename, '') AS role, coalesce(application_name, '') AS application,
              quote_literal(coalesce(usename, '')) AS role_text,
              quote_literal(coalesce(application_name, '')) AS application_text,
              current_setting('max_connections')::int AS slots,
              extract(epoch FROM clock_timestamp() - state_change)::float AS age
         FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND state = 'idle' AND pid <> pg_backend_pid()
        ORDER BY age DESC""",
    warn=3600,
    cost="quick",
    guard=SEES_ALL,
    needs=NEEDS,
)
def idle_sessions(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Sessions that do nothing for long, by application (limits in seconds).

    Each holds a slot and memory. A pool that is too large, or that never shrinks, leaves them. They are only noted
    until those of one application hold a tenth of the slots.
    """
    groups: dict[str, list[Any]] = {}
    for row in rows:
        name = f"{row.role} ({row.application or 'no name'})"
        if limits.of_object(name).grade(row.age) is not Grade.OK:
            groups.setdefault(name, []).append(row)
    found = []
    for name, idle in sorted(groups.items(), key=lambda item: -len(item[1])):
        row, own = idle[0], limits.of_object(name)
        limit = min(one for one in (own.warn, own.fail) if one is not None)
        fix = (
            "-- make the pool smaller first; that a session was ended is noticed at its next use:\n"
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity\n"
            f" WHERE usename = {row.role_text} AND application_name = {row.application_text}\n"
            "   AND backend_type = 'client backend' AND pid <> pg_backend_pid()\n"
            f"   AND state = 'idle' AND state_change < clock_timestamp() - interval '{limit:g} s';"
        )
        text = f"{len(idle)} of {row.slots} slots are held by idle sessions of {name}, the longest for {span(row.age)}"
        one = limits.finding(row.age, text, fix=fix, object=name)
        found.append(one if len(idle) >= row.slots * NOTED else replace(one, grade=Grade.INFO))
    return shown(found, ALL_IDLE) or Finding(Grade.OK, "no session is idle for long", value=0)


# Every snapshot is as old as the oldest transaction that runs, or ran when it was taken: who has only just begun holds
# back nothing of its own, where another is about as old.
@check_of(
    """WITH running AS MATERIALIZED (
           SELECT pid, backend_xid AS xid FROM pg_stat_activity WHERE backend_xid IS NOT NULL
            UNION ALL
           SELECT 0, transaction FROM pg_prepared_xacts)
       SELECT * FROM (
       SELECT CASE backend_type WHEN 'client backend' THEN 'session' WHEN 'walsender' THEN 'standby'
                   ELSE 'process' END AS kind,
              pid, to_json(backend_start) #>> '{}' AS started, to_json(xact_start) #>> '{}' AS begun,
              coalesce(usename, '') AS role, coalesce(application_name, '') AS application,
              coalesce(datname, '') AS database, coalesce(state, backend_type) AS state,
              CASE backend_type WHEN 'walsender' THEN application_name ELSE pid::text END AS name, '' AS quoted,
              greatest(age(backend_xid), age(backend_xmin)) AS age
         FROM pg_stat_activity a
        WHERE coalesce(backend_xid, backend_xmin) IS NOT NULL AND pid <> pg_backend_pid()
          AND backend_type <> 'parallel worker'
          AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum p WHERE p.pid = a.pid)
          AND NOT (backend_type <> 'walsender' AND backend_xid IS DISTINCT FROM backend_xmin
                   AND coalesce(xact_start > clock_timestamp() - interval '1 min', true)
                   AND EXISTS (SELECT FROM running r WHERE age(r.xid) > age(a.backend_xmin) / 2 AND r.pid <> a.pid))
        UNION ALL
       SELECT 'prepared', 0, '', '', owner, '', database, '', gid, quote_literal(gid), age(transaction)
         FROM pg_prepared_xacts
        UNION ALL
       SELECT CASE WHEN active THEN 'read slot' ELSE 'slot' END, coalesce(active_pid, 0), '', '', '', '',
              coalesce(database, ''), slot_type, slot_name, quote_literal(slot_name),
              greatest(age(xmin), age(catalog_xmin))
         FROM pg_replication_slots
        WHERE coalesce(xmin, catalog_xmin) IS NOT NULL AND coalesce(wal_status, '') <> 'lost') h
        ORDER BY age DESC, begun LIMIT 100""",
    warn=10_000_000,
    fail=100_000_000,
    cost="quick",
    guard=SEES_ALL,
    needs=NEEDS,
)
def xmin_horizon(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Who keeps vacuum from removing dead rows: a session, a prepared transaction, a slot, a standby (in transactions).

    No row that died after the oldest of them began can be removed in its database, whatever vacuum does: tables grow,
    and the transaction ids are used up. Mend the first, then look who is next.
    """
    found: list[Finding] = []
    for row in rows:
        first = "" if found else ", the oldest"
        text = f"{_HOLDERS[row.kind].format(row=row)} holds back vacuum by {row.age:,} transactions{first}"
        found.append(limits.finding(row.age, text, fix=_release(row), object=row.name, note=100_000))
    return _bad(found) or Finding(Grade.OK, "nothing holds vacuum back", value=_longest(rows))


_HOLDERS = {
    "session": "process {row.pid} of {row.role} ({row.state} in {row.database})",
    "standby": "hot_standby_feedback of standby {row.application} (walsender {row.pid})",
    "process": "the server's own process {row.pid} ({row.state} in {row.database})",
    "prepared": "prepared transaction {row.name} of {row.role} in {row.database}",
    "slot": "slot {row.name} ({row.state}), which nobody reads,",
    "read slot": "slot {row.name} ({row.state}), read by process {row.pid},",
}
_OLDEST = (
    "SELECT pid, usename, state, xact_start FROM pg_stat_activity\n"
    " WHERE backend_xmin IS NOT NULL ORDER BY age(backend_xmin) DESC;"
)


def _release(row: Any) -> str:
    if row.kind == "session":
        return _careful(row) + ending(row)
    if row.kind == "prepared":
        return rolling_back(row.quoted, row.database)
    if row.kind == "slot":
        return (
            "-- start its reader again; only if that has gone for good:\n"
            f"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots\n"
            f" WHERE slot_name = {row.quoted} AND NOT active;"
        )
    if row.kind == "process":
        return f"-- let it finish, do not end it; what it does:\nSELECT * FROM pg_stat_activity WHERE pid = {row.pid};"
    if row.kind == "read slot" and row.state == "logical":
        return (
            "-- its reader has confirmed nothing for long: see the log there, and\n"
            f"SELECT * FROM pg_replication_slots WHERE slot_name = {row.quoted};"
        )
    return f"-- on the standby, end or shorten the oldest of its queries:\n{_OLDEST}"


@check_of(
    """SELECT p.gid AS name, quote_literal(p.gid) AS quoted, p.owner AS role, p.database,
              extract(epoch FROM clock_timestamp() - p.prepared)::float AS age, count(DISTINCT l.relation) AS relations
         FROM pg_prepared_xacts p
         LEFT JOIN pg_locks x ON x.pid IS NULL AND x.granted AND x.transactionid = p.transaction
         LEFT JOIN pg_locks l ON l.pid IS NULL AND l.virtualtransaction = x.virtualtransaction
        GROUP BY p.gid, p.owner, p.database, p.prepared ORDER BY age DESC""",
    warn=300,
    fail=3600,
    cost="quick",
)
def prepared_transactions(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Prepared transactions that nobody ends: they hold locks and vacuum even over a restart (limits in seconds).

    Their transaction manager has lost them, or is down. Ask it first: COMMIT PREPARED keeps what they did, ROLLBACK
    PREPARED loses it, and neither can be taken back.
    """
    found = [
        limits.finding(
            row.age,
            f"{row.name} of {row.role} in {row.database} was prepared {span(row.age)} ago, "
            f"and locks {row.relations} relations",
            fix=rolling_back(row.quoted, row.database),
            object=row.name,
            note=FORGOTTEN,
        )
        for row in rows
    ]
    return _bad(found) or Finding(Grade.OK, "no prepared transaction is left", value=_longest(rows))


@check_of(
    """SELECT pg_notification_queue_usage()::float AS share, coalesce(a.pid, 0) AS pid, a.started, a.begun,
              coalesce(a.role, '') AS role, coalesce(a.application, '') AS application,
              extract(epoch FROM clock_timestamp() - a.xact_start)::float AS age
         FROM (SELECT) one
         LEFT JOIN (SELECT pid, usename AS role, application_name AS application, xact_start,
                           to_json(backend_start) #>> '{}' AS started, to_json(xact_start) #>> '{}' AS begun
                      FROM pg_stat_activity
                     WHERE backend_type = 'client backend' AND xact_start IS NOT NULL AND pid <> pg_backend_pid()
                     ORDER BY state = 'active', xact_start LIMIT 1) a ON true""",
    warn=0.05,
    fail=0.50,
    cost="quick",
    guard=SEES_ALL,
    needs=NEEDS,
)
def notification_queue(rows: list[Any], limits: Limits) -> Finding:
    """Notifications that a listener does not take: when their queue is full, NOTIFY fails (limits as a share of it).

    A session that has said LISTEN and stays in a transaction keeps all that came since. It must commit, then listen.
    """
    (row,) = rows
    text = f"{row.share:.1%} of the queue of notifications is used"
    if not row.pid:
        fix = "-- nobody is in a transaction now: a listener is slow, or stands still\n" + ALL_IDLE
    else:
        text += f"; the oldest transaction is that of {who(row)}, open for {span(row.age)}"
        fix = f"-- if it listens; the server's log names who does, too\n{_careful(row)}{ending(row)}"
    return limits.finding(row.share, text, fix=fix, note=0.01)


@check_of(
    """SELECT count(*) AS waiting,
              coalesce(max(extract(epoch FROM clock_timestamp() - a.query_start)), 0)::float AS age,
              current_setting('synchronous_standby_names') AS name,
              CASE WHEN pg_is_in_recovery() OR current_setting('synchronous_standby_names') = '' THEN 0
                   ELSE coalesce(substring(current_setting('synchronous_standby_names')
                                           from '(?i)^\\s*(?:(?:any|first)\\s+)?(\\d+)\\s*\\(')::int, 1) END AS wanted,
              (SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')) AS standbys
         FROM pg_stat_activity a WHERE a.wait_event = 'SyncRep'""",
    warn=10,
    fail=60,
    cost="quick",
    guard=SEES_ALL,
    needs=NEEDS,
)
def standby_waits(rows: list[Any], limits: Limits) -> Finding:
    """Commits that wait for a synchronous standby (limits in seconds).

    Without the standbys that synchronous_standby_names asks for, no commit returns: the application stands still.
    """
    (row,) = rows
    if not row.waiting and row.standbys >= row.wanted:
        return limits.finding(0, "no commit waits for a standby")
    fix = (
        "-- start the standby again; or, if that takes too long, go on with what is committed on one host only:\n"
        + alter_system("synchronous_standby_names = ''")
    )
    asked = f"{row.name} is asked for, {row.standbys} are connected"
    if not row.waiting:
        return Finding(Grade.WARN, f"the next commit will wait for a standby: {asked}", fix, row.name)
    text = f"{count(row.waiting, 'commit')} waiting for a synchronous standby, the longest for {span(row.age)}: {asked}"
    found = limits.finding(row.age, text, fix=fix, object=row.name, note=1)
    if row.standbys < row.wanted and found.grade is not Grade.FAIL:  # none of them will return by itself
        return Finding(Grade.WARN, text, fix, row.name, row.age)
    return found
