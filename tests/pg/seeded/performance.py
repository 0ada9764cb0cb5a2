"""Faults that show in the counters of a database: real work that went wrong."""

from __future__ import annotations

from contextlib import suppress

import psycopg

from pgcohesion.health.registry import Finding
from pgcohesion.view import Grade

from .sessions import busy
from .stage import Fault, Lookalike, Stage, wait_for

FLUSH = "SELECT pg_stat_force_next_flush()"


def deadlocked(stage: Stage) -> str:
    stage.sql("CREATE TABLE public.a ()", "CREATE TABLE public.b ()")
    first, second = stage.connect(), stage.connect()
    first.execute("BEGIN; LOCK TABLE public.a")
    second.execute("BEGIN; LOCK TABLE public.b")
    busy(stage, first, "LOCK TABLE public.b")
    with suppress(psycopg.errors.DeadlockDetected):
        second.execute("SET deadlock_timeout = '10ms'; LOCK TABLE public.a")
    second.execute("ROLLBACK")
    second.execute(FLUSH)
    return stage.database


def failing(stage: Stage) -> str:
    stage.sql(
        "CREATE TABLE public.one (a int PRIMARY KEY)",
        "INSERT INTO public.one VALUES (1)",
        "DO $$ BEGIN FOR n IN 1..1500 LOOP PERFORM 1; ROLLBACK; END LOOP; END $$",
        FLUSH,
    )
    return stage.database


def working(stage: Stage) -> str:
    stage.sql("DO $$ BEGIN FOR n IN 1..3000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$", FLUSH)
    return stage.database


def spilling(stage: Stage) -> str:
    stage.sql(
        "SET work_mem = '64kB'",
        "SELECT count(*) FROM (SELECT n FROM generate_series(1, 400000) n ORDER BY -n) x",
        FLUSH,
    )
    return stage.database


def killed(stage: Stage) -> str:
    for _ in range(25):
        session = stage.connect()
        stage.sql(f"SELECT pg_terminate_backend({session.info.backend_pid}, 5000)")
    stage.sql(FLUSH)
    return stage.database


def opened(stage: Stage) -> str:
    for _ in range(40):
        stage.connect().close()
    return stage.database


def forget(stage: Stage, finding: Finding) -> None:
    """Do what the fix says, and begin to count anew: what was counted does not go away."""
    for statement in finding.fix.split(";\n"):
        if "ALTER SYSTEM" in statement:
            name = statement.partition("ALTER SYSTEM SET ")[2].partition(" ")[0]
            stage.setting(name, statement.partition(" = ")[2].strip("';\n"))
    stage.sql("SELECT pg_stat_reset()")
    wait_for(
        lambda: stage.db.execute("SELECT FROM pg_stat_database WHERE stats_reset > now() - interval '1 min'").fetchall()
    )


MANY = ("health.limits.rollbacks.warn=0.1", "health.limits.rollbacks.fail=0.3")
FAULTS = [
    Fault("a deadlock", "deadlocks", deadlocked, mend=forget),
    Fault("transactions that fail", "rollbacks", failing, grade=Grade.FAIL, mend=forget, sets=MANY),
    Fault("a sort that spills", "temp_files", spilling, mend=forget, sets=("health.limits.temp_files.warn=1000000",)),
    Fault("sessions that were killed", "lost_sessions", killed, mend=forget),
    Fault(
        "sessions that come and go",
        "connection_churn",
        opened,
        mend=forget,
        sets=("health.limits.connection_churn.warn=0.05",),
    ),
]
LOOKALIKES = [
    Lookalike("work that is committed", "rollbacks", working),
    Lookalike("a sort in memory", "temp_files", working, sets=("health.limits.temp_files.warn=1000000",)),
    Lookalike("sessions that end by themselves", "lost_sessions", opened),
]
