"""Sessions that hold others up."""

from __future__ import annotations

from typing import Any

from ...view import Grade, span
from ..registry import Finding, Limits, check_of

TERMINATE = "SELECT pg_terminate_backend({pid});  -- ends the session of {user}"


@check_of(
    """SELECT pid, coalesce(usename, '') AS role, coalesce(application_name, '') AS application,
              extract(epoch FROM clock_timestamp() - state_change)::float AS age
         FROM pg_stat_activity
        WHERE state IN ('idle in transaction', 'idle in transaction (aborted)')
        ORDER BY age DESC""",
    warn=300,
    fail=3600,
)
def idle_in_transaction(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Sessions idle in a transaction: they hold locks and keep vacuum from its work (limits in seconds)."""
    return _sessions(rows, limits, "is idle in a transaction for", "no session idles in a transaction")


@check_of(
    """SELECT pid, coalesce(usename, '') AS role, coalesce(application_name, '') AS application,
              extract(epoch FROM clock_timestamp() - xact_start)::float AS age
         FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND state = 'active' AND xact_start IS NOT NULL
          AND pid <> pg_backend_pid()
        ORDER BY age DESC""",
    warn=3600,
    fail=6 * 3600,
)
def long_transactions(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Transactions that run for long: dead rows pile up behind them (limits in seconds)."""
    return _sessions(rows, limits, "runs a transaction for", "no transaction runs for long")


def _sessions(rows: list[Any], limits: Limits, what: str, good: str) -> Finding | list[Finding]:
    found = [
        limits.finding(
            row.age,
            f"process {row.pid} of {row.role} ({row.application or 'no name'}) {what} {span(row.age)}",
            fix=TERMINATE.format(pid=row.pid, user=row.role),
            object=str(row.pid),
        )
        for row in rows
        if limits.grade(row.age) is not Grade.OK
    ]
    return found or limits.finding(max((row.age for row in rows), default=0.0), good)


@check_of(
    """SELECT a.pid, coalesce(a.usename, '') AS role,
              extract(epoch FROM clock_timestamp() - a.query_start)::float AS waits, b.blocker,
              coalesce(r.usename, '') AS blocker_role, coalesce(r.state, '') AS blocker_state,
              cardinality(pg_blocking_pids(b.blocker)) = 0 AS root
         FROM pg_stat_activity a
        CROSS JOIN LATERAL unnest(pg_blocking_pids(a.pid)) AS b (blocker)
         LEFT JOIN pg_stat_activity r ON r.pid = b.blocker
        WHERE a.wait_event_type = 'Lock'""",
    warn=30,
    fail=300,
)
def blocked_sessions(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Sessions that wait for a lock, and who stands at the root of the queue (limits in seconds)."""
    found = []
    for blocker in dict.fromkeys(row.blocker for row in rows if row.root):
        held = [row for row in rows if row.blocker == blocker]
        longest = max(row.waits for row in held)
        role, state = held[0].blocker_role, held[0].blocker_state
        text = f"process {blocker} of {role} ({state}) blocks {len(held)}, the longest for {span(longest)}"
        fix = TERMINATE.format(pid=blocker, user=role)
        found.append(limits.finding(longest, text, fix=fix, object=str(blocker)))
    return found or limits.finding(0, "nobody waits for a lock")
