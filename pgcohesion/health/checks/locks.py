"""Who waits for a lock, for whom, and how many locks there can be."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ...view import Grade, span
from ..registry import Finding, Limits, check_of
from ..sessions import NEEDS, SEES_ALL, cancelling, ending, rolling_back, shown, who

SEEN = 1.0  # seconds: who waits for longer is told, though it need not be wrong
WAITING = (
    "SELECT pid, pg_blocking_pids(pid), usename, application_name, query_start FROM pg_stat_activity\n"
    " WHERE wait_event_type = 'Lock' ORDER BY query_start;"
)


@check_of(
    """WITH asked AS MATERIALIZED (SELECT pid, min(waitstart) AS since, bool_or(mode = 'AccessExclusiveLock'
                                          AND locktype = 'relation') AS strong,
                                          bool_and(locktype = 'virtualxid') AS patient
                                     FROM pg_locks WHERE NOT granted GROUP BY pid),
            waiting AS MATERIALIZED (SELECT pid, query_start, pg_blocking_pids(pid) AS blockers
                                       FROM pg_stat_activity WHERE wait_event_type = 'Lock')
       SELECT w.pid, extract(epoch FROM clock_timestamp() - coalesce(q.since, w.query_start))::float AS waits,
              b.blocker, coalesce(r.usename, '') AS role, coalesce(r.application_name, '') AS application,
              coalesce(r.state, '') AS state, coalesce(r.backend_type, '') AS kind,
              to_json(r.backend_start) #>> '{}' AS started, to_json(r.xact_start) #>> '{}' AS begun,
              to_json(r.query_start) #>> '{}' AS asked, coalesce(k.strong, false) AS strong,
              coalesce(q.patient, false) AS patient,
              p.gid, quote_literal(p.gid) AS quoted, p.owner, p.database
         FROM waiting w
        CROSS JOIN LATERAL unnest(w.blockers) AS b (blocker)
         LEFT JOIN asked q ON q.pid = w.pid
         LEFT JOIN asked k ON k.pid = b.blocker
         LEFT JOIN pg_stat_activity r ON r.pid = b.blocker
         LEFT JOIN LATERAL (
              SELECT t.gid, t.owner, t.database FROM pg_locks n
                JOIN pg_locks h ON h.pid IS NULL AND h.granted AND h.locktype = n.locktype
                     AND (h.database, h.relation, h.transactionid, h.classid, h.objid, h.objsubid) IS NOT DISTINCT FROM
                         (n.database, n.relation, n.transactionid, n.classid, n.objid, n.objsubid)
                JOIN pg_locks x ON x.pid IS NULL AND x.granted AND x.virtualtransaction = h.virtualtransaction
                JOIN pg_prepared_xacts t ON t.transaction = x.transactionid
               WHERE b.blocker = 0 AND n.pid = w.pid AND NOT n.granted ORDER BY t.prepared LIMIT 1) p ON true""",
    warn=5,
    fail=300,
    cost="quick",
    guard=SEES_ALL,
    needs=NEEDS,
)
def blocked_sessions(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Sessions that wait for a lock, and who stands at the root of the queue (limits in seconds).

    Only the root is named: to end one in the middle moves the queue on by one. When what the others wait for is not
    the root but a strong lock that itself waits, as a DDL does, that is what should be cancelled. An index that is
    built CONCURRENTLY waits for older transactions, as it should: it is a note while nobody waits for it.
    """
    blockers: dict[int, set[int]] = {}
    waits: dict[int, float] = {}
    session: dict[int, Any] = {}
    patient = {row.pid for row in rows if row.patient}
    for row in rows:
        blockers.setdefault(row.pid, set()).add(row.blocker)
        waits[row.pid] = max(row.waits, 0.0)
        session[row.blocker] = row
    behind: dict[int, set[int]] = {}
    for pid in blockers:
        for root in _roots(pid, blockers):
            behind.setdefault(root, set()).add(pid)
    found = []
    for root, queue in behind.items():
        longest = max(waits[pid] for pid in queue - patient or queue)
        text = f"{_named(session[root])} blocks {len(queue)}, the longest for {span(longest)}"
        strong = [pid for pid in queue if pid in session and session[pid].strong and _only_behind(pid, root, blockers)]
        if strong:
            text += f"; the queue stands behind process {strong[0]}, which waits for a strong lock"
        fix = cancelling(_who(session[strong[0]])) if strong else _freeing(session[root])
        one = limits.finding(longest, text, fix=fix, object=_object(session[root]), note=SEEN)
        if one.grade is not Grade.OK and patient.issuperset(queue):
            text += ": CONCURRENTLY waits for older transactions"
            fix = "-- let both finish: it holds up nobody\n" + WAITING
            one = Finding(Grade.INFO, text, fix, one.object, longest)
        found.append(one)
    found.sort(key=lambda finding: -(finding.value or 0))
    return shown([one for one in found if one.grade is not Grade.OK], WAITING) or Finding(
        Grade.OK, "nobody waits long for a lock", value=max(waits.values(), default=0.0)
    )


def _roots(pid: int, blockers: dict[int, set[int]]) -> set[int]:
    """Return who is at the end of the queue; in a circle, which the server breaks by itself, all of it."""
    seen: set[int] = set()
    ahead = [pid]
    while ahead:
        for one in blockers.get(ahead.pop(), set()) - seen:
            seen.add(one)
            ahead.append(one)
    return {one for one in seen if one not in blockers} or seen - {pid}


def _only_behind(strong: int, root: int, blockers: dict[int, set[int]]) -> bool:
    """Say whether the root keeps *strong* waiting, and somebody waits for *strong* but not for the root."""
    return root in blockers[strong] and any(strong in them and root not in them for them in blockers.values())


def _who(row: Any) -> Any:
    return SimpleNamespace(pid=row.blocker, started=row.started, begun=row.begun, asked=row.asked)


def _object(row: Any) -> str:
    return str(row.blocker or row.gid or "a prepared transaction")


def _named(row: Any) -> str:
    if not row.blocker:
        return (
            f"prepared transaction {row.gid} of {row.owner} in {row.database}" if row.gid else "a prepared transaction"
        )
    if row.kind != "client backend":
        return f"process {row.blocker} of the server ({row.kind or 'gone'})"
    return f"process {row.blocker} of {row.role} ({row.application or 'no name'}, {row.state})"


def _freeing(row: Any) -> str:
    if not row.blocker and row.gid:
        return rolling_back(row.quoted, row.database)
    if not row.blocker:
        return "SELECT gid, owner, database, prepared FROM pg_prepared_xacts ORDER BY prepared;  -- the oldest first"
    if row.kind != "client backend":
        return f"-- let it finish, do not end it:\nSELECT * FROM pg_stat_activity WHERE pid = {row.blocker};"
    return cancelling(_who(row)) if row.state == "active" else ending(_who(row), "state <> 'active'")


@check_of(
    """WITH waiting AS MATERIALIZED (
              SELECT pid, relation, mode, waitstart, pg_blocking_pids(pid) AS blockers FROM pg_locks
               WHERE NOT granted AND locktype = 'relation'
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
       SELECT DISTINCT ON (d.relation) a.pid, to_json(a.backend_start) #>> '{}' AS started,
              to_json(a.query_start) #>> '{}' AS asked, coalesce(a.usename, '') AS role,
              coalesce(a.application_name, '') AS application, d.relation::regclass::text AS name,
              extract(epoch FROM clock_timestamp() - coalesce(d.waitstart, a.query_start))::float AS age,
              (SELECT count(*) FROM waiting o WHERE o.relation = d.relation AND d.pid = ANY (o.blockers)) AS behind,
              array_to_string(d.blockers, ', ') AS blockers
         FROM waiting d JOIN pg_stat_activity a USING (pid)
        WHERE d.mode = 'AccessExclusiveLock' AND a.backend_type = 'client backend'
          AND EXISTS (SELECT FROM waiting o WHERE o.relation = d.relation AND d.pid = ANY (o.blockers))
        ORDER BY d.relation, d.waitstart""",
    scope="database",
    warn=5,
    fail=60,
    cost="quick",
    guard=SEES_ALL,
    needs=NEEDS,
)
def waiting_ddl(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """A DDL that waits for ACCESS EXCLUSIVE, with a queue behind it: even readers wait (limits in seconds).

    Whoever comes later waits for the DDL, though the one in front of it would let them read and write. Cancel the DDL,
    not the sessions, and run it again with a lock_timeout, so that it gives up before a queue forms.
    """
    rows = sorted(rows, key=lambda row: -row.age)
    found = [
        limits.finding(
            row.age,
            f"{who(row)} waits for {row.name} for {span(row.age)} (held by {row.blockers}), "
            f"and {row.behind} wait behind it",
            fix=cancelling(row) + "  -- then again, after SET lock_timeout = '2s'",
            object=row.name,
            note=SEEN,
        )
        for row in rows
    ]
    bad = [finding for finding in found if finding.grade is not Grade.OK]
    longest = max((row.age for row in rows), default=0.0)
    return shown(bad, WAITING) or Finding(Grade.OK, "no DDL holds a queue up", value=longest)


@check_of(
    """WITH held AS MATERIALIZED (SELECT pid, (locktype, database, relation, page, tuple, virtualxid, transactionid,
                                         classid, objid, objsubid)::text AS what
                                    FROM pg_locks WHERE NOT fastpath AND mode <> 'SIReadLock')
       SELECT count(DISTINCT what) AS used,
              current_setting('max_locks_per_transaction')::int AS setting,
              current_setting('max_locks_per_transaction')::bigint * (
                  current_setting('max_connections')::int + current_setting('max_worker_processes')::int
                  + current_setting('max_wal_senders')::int + current_setting('max_prepared_transactions')::int
                  + coalesce(current_setting('autovacuum_worker_slots', true),
                             current_setting('autovacuum_max_workers'))::int) AS slots,
              coalesce(mode() WITHIN GROUP (ORDER BY pid), 0) AS pid
         FROM held""",
    warn=0.50,
    fail=0.80,
    cost="quick",
)
def lock_capacity(rows: list[Any], limits: Limits) -> Finding:
    """Locks near what the server has room for: then statements fail with "out of shared memory" (limits as a share).

    Dumps, and queries over tables with many partitions, take a lock for each. Raise max_locks_per_transaction, or use
    fewer partitions; the room is that of all sessions together.
    """
    (row,) = rows
    share = row.used / row.slots
    return limits.finding(
        share,
        f"{row.used:,} of about {row.slots:,} locks are taken ({share:.0%}), most by process {row.pid}",
        fix=f"ALTER SYSTEM SET max_locks_per_transaction = {2 * row.setting};  -- and restart",
    )
