"""An application's own pools and breakers, and the replicas that it may read from.

What is in a process only that process can tell: :func:`of` reads it out of an orchestrator. From outside, :func:`read`
connects to the replicas that the environment declares.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
from msgspec import Struct

from ...connections import Database
from ...connections.availability import kind
from ...errors import CohesionError, DeadlineExceeded
from . import beside

if TYPE_CHECKING:
    from ...context import Context
    from ...orchestrator import Orchestrator

POSITION = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float AS at WHERE NOT pg_is_in_recovery()"
REPLICA = """
SELECT pg_is_in_recovery() AS standby,
       pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() END, '0/0')::float AS at,
       extract(epoch FROM clock_timestamp()
                          - coalesce(pg_last_xact_replay_timestamp(), pg_postmaster_start_time()))::float AS age
"""
STATEMENT = 3000  # ms that a replica has for its answer
MOMENT = 0.3  # seconds


class Host(Struct, frozen=True, kw_only=True):
    """A server as an application sees it. *lag* in seconds behind the primary, None: not known.

    *problem*: why it does not answer, and of what *kind*. *breaker*: its breaker's state, empty when nobody has one.
    *last*: no other host is left.
    """

    name: str
    replica: bool = True
    standby: bool | None = None
    lag: float | None = None
    bytes: float | None = None
    breaker: str = ""
    problem: str = ""
    kind: str = ""
    last: bool = False


class Pool(Struct, frozen=True, kw_only=True):
    """A pool of an application: how many connections are in use of how many, and how many callers wait."""

    name: str
    in_use: int
    most: int
    waiting: int
    timeouts: int = 0


class Leak(Struct, frozen=True):
    """A connection that was not given back: for how many *seconds*, by which thread, at which line."""

    seconds: float
    thread: str
    where: str


class Pools(Struct, frozen=True, kw_only=True):
    """All of an application, or of what is seen of it from outside. *max_lag* as [connections.replicas] says."""

    hosts: tuple[Host, ...] = ()
    pools: tuple[Pool, ...] = ()
    leaks: tuple[Leak, ...] = ()
    max_lag: float = 10
    inside: bool = False


def of(orchestrator: Orchestrator) -> Pools:
    """Return what an orchestrator knows, without asking any server."""
    health, statistics = orchestrator.health(), orchestrator.statistics()
    settings = orchestrator.config.get_connection_config().settings
    down = [host for host in health.hosts if host.breaker != "closed"]
    hosts = [
        Host(
            name=host.name,
            replica=host.role != "primary",
            standby={"standby": True, "primary": False}.get(host.role),
            lag=host.lag if host.role == "standby" else None,
            breaker=host.breaker,
            problem=host.problem,
            last=len(down) == len(health.hosts),
        )
        for host in health.hosts
    ]
    pools = [
        Pool(name=name, in_use=pool.in_use, most=settings.max_size, waiting=pool.waiting, timeouts=pool.timeouts)
        for name, pool in statistics.pools.items()
    ]
    leaks = [Leak(one["seconds"], one["thread"], next(iter(one["stack"]), "?")) for one in health.leaks]
    return Pools(
        hosts=tuple(hosts), pools=tuple(pools), leaks=tuple(leaks), max_lag=settings.replicas.max_lag, inside=True
    )


def read(ctx: Context) -> list[Any] | None:
    """Return the declared replicas; None where there are none. One that does not answer is a fact, too."""
    replicas = ctx.config.application.replicas
    if not replicas:
        return None
    at = _position(ctx)
    parameters = _parameters(ctx)
    with ThreadPoolExecutor(len(replicas)) as crew:
        hosts = tuple(crew.map(lambda replica: _host(replica, parameters, ctx.config.main_database, at), replicas))
    return [Pools(hosts=hosts, max_lag=ctx.config.connections.replicas.max_lag)]


def _position(ctx: Context) -> float | None:
    """Return how far the primary has written, in bytes, before any replica is asked; None where it does not answer."""
    try:
        with beside(ctx) as db:
            return next((row.at for row in db.execute(POSITION)), None)
    except CohesionError:
        return None


def _parameters(ctx: Context) -> dict[str, Any]:
    """Return how the application's role logs in, but for the host."""
    role = ctx.config.application.role or "postgres"
    declared = ctx.config.roles.get(role)
    secret = ctx.secret(declared.password, f"roles.{role}.password") if declared and declared.password else None
    return {
        "user": role,
        "password": secret.reveal() if secret else None,
        "connect_timeout": max(2, round(ctx.config.connections.connect_timeout)),
        "tcp_user_timeout": STATEMENT,
        "options": f"-c statement_timeout={STATEMENT}",
    }


def _host(replica: str, parameters: dict[str, Any], database: str, at: float | None) -> Host:
    host, colon, port = replica.rpartition(":")
    place = {"host": host, "port": port} if colon and port.isdigit() else {"host": replica}
    place["host"] = place["host"].strip("[]")
    db = Database(lambda: {**parameters, **place}, database, "pgcohesion health")
    try:
        with db.within(parameters["connect_timeout"] + STATEMENT / 1000):
            (row,) = db.execute(REPLICA)
            if at is not None and row.at is not None and row.at < at:
                time.sleep(MOMENT)  # what was on its way has then come
                (row,) = db.execute(REPLICA)
    except CohesionError as error:
        cause = error.__cause__
        late = "query_timeout" if isinstance(error, DeadlineExceeded) else ""
        of = kind(cause) if isinstance(cause, psycopg.Error) and not late else late
        return Host(name=replica, problem=(error.why or error.what).strip().splitlines()[-1], kind=of)
    finally:
        db.close()
    if not row.standby or at is None or row.at is None:
        return Host(name=replica, standby=row.standby)
    behind = max(0.0, at - row.at)
    return Host(name=replica, standby=True, lag=row.age if behind else 0.0, bytes=behind)
