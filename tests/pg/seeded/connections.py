"""Faults of connections."""

from __future__ import annotations

from psycopg.sql import SQL, Identifier

from pgcohesion.health.registry import Finding
from pgcohesion.view import Grade

from .sessions import HOSTILE, role
from .stage import Fault, Lookalike, Stage


def crowd(stage: Stage) -> None:
    for _ in range(30):
        stage.connect(application_name="crowd")


def disperse(stage: Stage, finding: Finding) -> None:
    stage.db.execute(finding.fix.encode())
    stage.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'crowd'")


def role_is_full(stage: Stage) -> None:
    parameters = role(stage, "CONNECTION LIMIT 5")
    for _ in range(4):
        stage.connect(**parameters)


def singleton(stage: Stage) -> str:
    stage.connect(**role(stage, "CONNECTION LIMIT 1"))
    return HOSTILE


def closed(stage: Stage) -> str:
    """Leave a role that may not connect at all, as one does with a role of former times."""
    role(stage, "CONNECTION LIMIT 0")
    return HOSTILE


def database_is_full(stage: Stage) -> None:
    name = Identifier(HOSTILE)
    stage.later(lambda: stage.db.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(name)))
    stage.db.execute(SQL("CREATE DATABASE {} TEMPLATE template0 CONNECTION LIMIT 3").format(name))
    for _ in range(3):
        stage.connect(dbname=HOSTILE)


def database_for_one(stage: Stage) -> str:
    stage.sql(f"ALTER DATABASE {stage.database} CONNECTION LIMIT 1")
    return stage.database


FAULTS = [
    Fault("slots that run out", "connections", crowd, sets=("health.limits.connections.warn=0.3",), mend=disperse),
    Fault("a role near its limit", "role_connections", role_is_full, HOSTILE),
    Fault(
        "a database at its limit",
        "database_connections",
        database_is_full,
        HOSTILE,
        sets=("health.limits.database_connections.fail=2",),
    ),
    Fault("a database that one may enter", "database_connections", database_for_one, grade=Grade.FAIL),
]
LOOKALIKES = [
    Lookalike("a role that may connect once, and does", "role_connections", singleton),
    Lookalike("a role that may not connect", "role_connections", closed),
]
