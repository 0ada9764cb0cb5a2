"""PgBouncer: whether it lets clients in, and keeps none of them waiting. Its fixes are lines for its console."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from ...connections.availability import ADVICE
from ...view import Grade, count, span
from ..registry import Finding, Limits, most, probe

NEAR = ("", "127.0.0.1", "localhost", "::1")
UNSAFE = ("disable", "allow", "prefer")
LOG = "-- on PgBouncer's host: journalctl -u pgbouncer -n 50, or its logfile\n-- once the server is back: RECONNECT;"


@probe("pooler")
def pooler_reachable(rows: list[Any], limits: Limits) -> Finding:
    """Whether PgBouncer answers: while it does not, no application behind it gets in."""
    (pooler,) = rows
    if not pooler.problem:
        return Finding(Grade.OK, f"{pooler.version} answers at {pooler.address}", object=pooler.address)
    fix = f"-- {ADVICE.get(pooler.kind, 'look into its log')}\n-- on its host: systemctl status pgbouncer"
    if pooler.kind == "authentication":
        fix = "-- compare user and password of [health.pooler] with PgBouncer's auth_file and its stats_users"
    text = f"PgBouncer at {pooler.address} cannot be asked: {pooler.problem}"
    return Finding(Grade.FAIL, text, fix, pooler.address, kind=pooler.kind)


@probe("pooler")
def pooler_login(rows: list[Any], limits: Limits) -> Finding:
    """Whether the application's role gets in through PgBouncer: a password, a rule or a server may be wrong."""
    (pooler,) = rows
    if pooler.refused:
        text = f"the application does not get into {pooler.main} through {pooler.address}: {pooler.refused}"
        return Finding(Grade.FAIL, text, LOG, pooler.main)
    return _fine(rows, "the application gets in, or its password is not ours to know")


@probe("pooler", warn=1, fail=10)
def pooler_waiting(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Clients that wait for a connection to the server (limits in seconds of the one that has waited longest).

    The pool is too small for the work, or its connections are held by long transactions.
    """
    found = []
    for pool in rows[0].pools:
        waited = pool.maxwait + getattr(pool, "maxwait_us", 0) / 1e6
        if pool.cl_waiting and limits.grade(waited) is not Grade.OK:
            held = pool.sv_active + pool.sv_idle + pool.sv_used
            text = (
                f"{count(pool.cl_waiting, 'client')} of {pool.database} as {pool.user} have waited for up to"
                f" {span(waited)}, {count(held, 'connection')} {'is' if held == 1 else 'are'} open"
            )
            fix = (
                f"-- in psql at PgBouncer: SHOW SERVERS;  SHOW CLIENTS;\n"
                "-- transactions that hold connections: inv health.check --only=sessions\n"
                f"-- or in pgbouncer.ini: {_ident(pool.database)} = ... pool_size={2 * max(1, held)}   then RELOAD;"
            )
            found.append(limits.finding(waited, text, fix=fix, object=f"{pool.database}/{pool.user}"))
    return most(found) or _fine(rows, "no client waits")


@probe("pooler")
def pooler_servers(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Pools whose clients wait while no connection to the server comes about.

    The server is down for PgBouncer, turns it away, or its address is wrong; PgBouncer's log has the reason.
    """
    found = []
    for pool in rows[0].pools:
        if pool.cl_waiting and not pool.sv_active + pool.sv_idle + pool.sv_used + pool.sv_tested:
            where = next((one for one in rows[0].databases if one.name == pool.database), None)
            server = f"{where.host or 'its unix socket'}:{where.port}" if where else "its server"
            text = f"{count(pool.cl_waiting, 'client')} of {pool.database} as {pool.user} wait, {server} is not reached"
            found.append(Finding(Grade.FAIL, text, LOG, f"{pool.database}/{pool.user}"))
    return most(found) or _fine(rows, "the servers are reached")


@probe("pooler")
def pooler_paused(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Databases that are paused or disabled: clients of a paused one wait until somebody says RESUME."""
    found = []
    for one in rows[0].databases:
        name = _ident(one.name)
        if one.paused:
            text = f"database {one.name} is paused: its clients wait"
            found.append(Finding(Grade.FAIL, text, f"RESUME {name};", one.name, undo=f"PAUSE {name};"))
        if one.disabled:
            text = f"database {one.name} is disabled: its clients are turned away"
            found.append(Finding(Grade.FAIL, text, f"ENABLE {name};", one.name, undo=f"DISABLE {name};"))
    return most(found) or _fine(rows, "no database is paused")


@probe("pooler", warn=0.8, fail=0.95, full=1.0)
def pooler_clients(rows: list[Any], limits: Limits) -> Finding:
    """Clients against max_client_conn (limits as a share): beyond it, new ones are turned away."""
    (pooler,) = rows
    most_ = int(pooler.config.get("max_client_conn", 0))
    if not most_:
        return _fine(rows, "nothing bounds the clients")
    clients = sum(pool.cl_active + pool.cl_waiting for pool in pooler.pools)
    fix = f"-- in pgbouncer.ini, with `ulimit -n` above it: max_client_conn = {most_ * 2}   then RELOAD;"
    return limits.finding(clients / most_, f"{clients} of {most_} clients", fix=fix, object=pooler.address)


@probe("pooler", warn=1.0)
def pooler_slots(rows: list[Any], limits: Limits) -> Finding:
    """What the pools may open at most against the server's max_connections (limits as a share).

    Above one, a busy hour ends in `too many clients`, for PgBouncer and for everybody else.
    """
    (pooler,) = rows
    at = {one.name: (one.host or "", one.port) for one in pooler.databases}
    servers = set(at.values())
    server = at.get(pooler.main) or (next(iter(servers)) if len(servers) == 1 else None)
    if not pooler.slots or server is None:
        return _fine(rows, "which server, or how many connections it has, is not known")
    users: dict[str, int] = defaultdict(int)
    for pool in pooler.pools:
        users[pool.database] += 1
    total = 0
    for one in pooler.databases:
        if at[one.name] == server:
            reserve = getattr(one, "reserve_pool", None) or getattr(one, "reserve_pool_size", None) or 0
            wanted = max(1, users[one.name]) * (one.pool_size + reserve)
            total += min(wanted, getattr(one, "max_connections", 0) or wanted)
    text = f"the pools may open {count(total, 'connection')}, the server has {pooler.slots} for ordinary roles"
    fix = f"-- in pgbouncer.ini: max_db_connections = {max(1, pooler.slots * 8 // 10 // len(at))}   then RELOAD;"
    return limits.finding(total / pooler.slots, text, fix=fix, object=pooler.address)


@probe("pooler")
def pooler_tls(rows: list[Any], limits: Limits) -> Finding:
    """Whether PgBouncer insists on TLS to a server on another machine: `prefer` falls back to clear text."""
    (pooler,) = rows
    mode = pooler.config.get("server_tls_sslmode", "")
    far = sorted({one.host for one in pooler.databases if not _near(one.host)})
    if not far or mode not in UNSAFE:
        return _fine(rows, f"server_tls_sslmode = {mode}" if far else "the servers are on its own machine")
    grade = Grade.INFO if mode == "prefer" else Grade.WARN
    text = f"server_tls_sslmode is {mode}, and {', '.join(far)} is another machine"
    return Finding(grade, text, "-- in pgbouncer.ini: server_tls_sslmode = verify-full   then RELOAD;", far[0])


def _near(host: str | None) -> bool:
    return not host or host in NEAR or host.startswith("/")


def _fine(rows: list[Any], text: str) -> Finding:
    (pooler,) = rows
    if pooler.problem:
        return Finding(Grade.UNKNOWN, "PgBouncer cannot be asked")
    return Finding(Grade.OK, text)


def _ident(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
