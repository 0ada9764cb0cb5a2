"""An application's connections: its pools, its breakers, its replicas."""

from __future__ import annotations

from typing import Any

from ...connections.availability import ADVICE
from ...view import Grade, count, size, span
from ..registry import Finding, Limits, most, probe


@probe("pools", warn=1, fail=100)
def pool_waiting(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Callers that wait because all connections of a pool are in use (limits in callers).

    The next ones are refused once max_waiting is reached; each waits for at most its timeout.
    """
    found = []
    for pool in rows[0].pools:
        text = (
            f"{pool.in_use} of {pool.most} connections to {pool.name} are in use, {count(pool.waiting, 'caller')} wait"
        )
        fix = (
            "# who holds them: orchestrator.health().leaks, and inv health.check --only=sessions\n"
            f"# or, where the server has the slots:\n[connections]\nmax_size = {pool.most * 2}"
        )
        waiting = pool.waiting if pool.in_use >= pool.most else 0
        found.append(limits.finding(waiting, text, fix=fix, object=pool.name))
    return found or Finding(Grade.OK, "there is no pool here")


@probe("pools")
def breaker_open(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Hosts that are left alone after failures: calls go to others, or are refused when none is left."""
    found = []
    for host in rows[0].hosts:
        if host.breaker in ("open", "half_open"):
            alone = host.last or not host.replica
            why = f": {host.problem}" if host.problem else ""
            text = f"{host.name} is left alone{why}" + (", and no other host is left" if host.last else "")
            fix = "# the breaker closes by itself once the host answers\ninv health.check --only=availability"
            found.append(Finding(Grade.FAIL if alone else Grade.WARN, text, fix, host.name))
    return found or Finding(Grade.OK, "no breaker is open")


@probe("pools")
def leaked_connections(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Connections that were taken and not given back for longer than leak_after: in the end the pool has none left."""
    found = [
        Finding(
            Grade.WARN,
            f"{leak.thread} has held a connection for {span(leak.seconds)}, taken at {leak.where}",
            f"# give it back at {leak.where}: with db.connection() as connection: ...",
            leak.where,
        )
        for leak in rows[0].leaks
    ]
    return most(found) or Finding(Grade.OK, "every connection is given back")


@probe("pools")
def replica_reachable(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Whether each replica that the application may read from answers: without it, its reads go to the primary."""
    facts = rows[0]
    found = []
    for host in facts.hosts:
        if host.replica and host.problem and not host.breaker:
            fix = f"# {ADVICE.get(host.kind, 'look at the host')}\n# or take it out of [application] replicas"
            text = f"replica {host.name} does not answer: {host.problem}"
            found.append(Finding(Grade.FAIL, text, fix, host.name, kind=host.kind))
    return found or Finding(Grade.OK, "the replicas answer")


@probe("pools")
def replica_role(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Declared replicas that are no standby: a second primary, whose data are other data."""
    found = [
        Finding(
            Grade.FAIL,
            f"replica {host.name} is no standby: it takes writes",
            "# a failover that nobody told? Then change host and replicas of [application]. Else rebuild it: pg_rewind",
            host.name,
        )
        for host in rows[0].hosts
        if host.replica and host.standby is False
    ]
    return found or Finding(Grade.OK, "every replica is a standby")


@probe("pools", warn=10, fail=300)
def replica_lag(rows: list[Any], limits: Limits) -> list[Finding]:
    """How far replicas are behind (limits in seconds): reads there are of the past.

    Beyond max_lag of [connections.replicas] the application no longer asks one.
    """
    facts = rows[0]
    found = []
    for host in facts.hosts:
        if host.lag is None:
            continue
        behind = f" ({size(host.bytes)})" if host.bytes else ""
        text = f"replica {host.name} is {span(host.lag)} behind{behind}"
        text += ": the application does not read from it" if host.lag > facts.max_lag else ""
        fix = (
            "-- on the replica: does it replay, or wait for a query?\n"
            "SELECT pg_is_wal_replay_paused(), pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn();\n"
            "SELECT pid, now() - xact_start AS age, query FROM pg_stat_activity WHERE backend_type = 'client backend'"
            " ORDER BY xact_start;"
        )
        found.append(limits.finding(host.lag, text, fix=fix, object=host.name))
    return found
