"""Cases: check, rows, grade, object. A PgBouncer with a pool of 20 for one user of one database."""

from types import SimpleNamespace as Row
from typing import Any

from pgcohesion.health.sources.pooler import Pooler
from pgcohesion.view import Grade

OK, INFO, WARN, FAIL, UNKNOWN = Grade.OK, Grade.INFO, Grade.WARN, Grade.FAIL, Grade.UNKNOWN
AT = "db1:6432"
FAR = {"host": "db1"}


def pool(**more: Any) -> Row:
    counts = {
        "cl_active": 5,
        "cl_waiting": 0,
        "sv_active": 5,
        "sv_idle": 1,
        "sv_used": 0,
        "sv_tested": 0,
        "sv_login": 0,
    }
    return Row(**{"database": "shop", "user": "app", "maxwait": 0, "maxwait_us": 0, **counts, **more})


def database(**more: Any) -> Row:
    usual = {"name": "shop", "host": None, "port": 5432, "pool_size": 20, "reserve_pool": 0, "max_connections": 0}
    return Row(**{**usual, "paused": 0, "disabled": 0, **more})


def case(*pools: Row, databases: tuple[Row, ...] = (), config: Any = None, **more: Any) -> list[dict[str, Any]]:
    config = {"max_client_conn": "100", "server_tls_sslmode": "prefer", **(config or {})}
    made = Pooler(
        address=AT, version="PgBouncer 1.18.0", pools=pools, databases=databases or (database(),), config=config,
        **{"slots": 97, "main": "shop", **more},
    )  # fmt: skip
    return [{name: getattr(made, name) for name in Pooler.__struct_fields__}]


WAITING = pool(cl_waiting=3, maxwait=1, maxwait_us=500000, sv_idle=0)
CUT_OFF = pool(cl_active=0, cl_waiting=2, sv_active=0, sv_idle=0, sv_login=1)
DOWN = case(problem="connection refused", kind="refused")

TABLE = [
    ("pooler_reachable", case(), OK, AT),
    ("pooler_reachable", DOWN, FAIL, AT),
    ("pooler_login", case(), OK, ""),
    ("pooler_login", case(refused="no such user"), FAIL, "shop"),
    ("pooler_waiting", case(pool()), OK, ""),
    ("pooler_waiting", case(pool(cl_waiting=3, maxwait=0, maxwait_us=900000)), OK, ""),
    ("pooler_waiting", case(WAITING), WARN, "shop/app"),
    ("pooler_waiting", case(pool(cl_waiting=3, maxwait=30)), FAIL, "shop/app"),
    ("pooler_waiting", DOWN, UNKNOWN, ""),
    ("pooler_servers", case(WAITING), OK, ""),
    ("pooler_servers", case(pool(cl_active=0, sv_active=0, sv_idle=0)), OK, ""),
    ("pooler_servers", case(CUT_OFF), FAIL, "shop/app"),
    ("pooler_paused", case(), OK, ""),
    ("pooler_paused", case(databases=(database(paused=1),)), FAIL, "shop"),
    ("pooler_paused", case(databases=(database(disabled=1, name='o"dd'),)), FAIL, 'o"dd'),
    ("pooler_clients", case(pool()), OK, AT),
    ("pooler_clients", case(pool(cl_active=85)), WARN, AT),
    ("pooler_clients", case(pool(cl_active=85, cl_waiting=12)), FAIL, AT),
    ("pooler_slots", case(pool()), OK, AT),
    ("pooler_slots", case(*[pool(user=str(n)) for n in range(5)]), WARN, AT),
    ("pooler_slots", case(*[pool(user=str(n)) for n in range(5)], databases=(database(max_connections=50),)), OK, AT),
    ("pooler_slots", case(pool(), databases=(database(), database(name="x", pool_size=90))), WARN, AT),
    ("pooler_slots", case(pool(), databases=(database(), database(name="x", host="db2", pool_size=90))), OK, AT),
    ("pooler_slots", case(pool(), slots=None), OK, ""),
    ("pooler_tls", case(), OK, ""),
    ("pooler_tls", case(databases=(database(**FAR),)), INFO, "db1"),
    ("pooler_tls", case(databases=(database(**FAR),), config={"server_tls_sslmode": "disable"}), WARN, "db1"),
    ("pooler_tls", case(databases=(database(**FAR),), config={"server_tls_sslmode": "verify-full"}), OK, ""),
]
