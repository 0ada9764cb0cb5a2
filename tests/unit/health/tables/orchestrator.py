"""Cases: check, rows, grade, object."""

from typing import Any

from pgcohesion.health.sources.pools import Host, Leak, Pool
from pgcohesion.view import Grade

OK, WARN, FAIL = Grade.OK, Grade.WARN, Grade.FAIL
AT = "db2:5432"


def pool(in_use: int, waiting: int) -> list[dict[str, Any]]:
    return [{"pools": (Pool(name=AT, in_use=in_use, most=10, waiting=waiting),)}]


def host(**more: Any) -> list[dict[str, Any]]:
    return [{"hosts": (Host(**{"name": AT, "standby": True, "lag": 0.0, **more}),), "max_lag": 10}]


TABLE = [
    ("pool_waiting", [{"pools": ()}], OK, ""),
    ("pool_waiting", pool(10, 0), OK, AT),
    ("pool_waiting", pool(4, 3), OK, AT),  # they are about to get one
    ("pool_waiting", pool(10, 3), WARN, AT),
    ("pool_waiting", pool(10, 150), FAIL, AT),
    ("breaker_open", host(), OK, ""),
    ("breaker_open", host(breaker="closed"), OK, ""),
    ("breaker_open", host(breaker="open"), WARN, AT),
    ("breaker_open", host(breaker="half_open", last=True), FAIL, AT),
    ("breaker_open", host(breaker="open", replica=False), FAIL, AT),
    ("leaked_connections", [{"leaks": ()}], OK, ""),
    ("leaked_connections", [{"leaks": (Leak(90.0, "MainThread", "app.py:7 in f"),)}], WARN, "app.py:7 in f"),
    ("replica_reachable", host(), OK, ""),
    ("replica_reachable", host(standby=None, lag=None, problem="refused", kind="refused"), FAIL, AT),
    ("replica_reachable", host(problem="refused", breaker="open"), OK, ""),  # `breaker_open` says it
    ("replica_role", host(), OK, ""),
    ("replica_role", host(standby=None), OK, ""),
    ("replica_role", host(standby=False), FAIL, AT),
    ("replica_role", host(standby=False, replica=False), OK, ""),
    ("replica_lag", host(), OK, AT),
    ("replica_lag", host(lag=20.0), WARN, AT),
    ("replica_lag", host(lag=400.0), FAIL, AT),
]
