"""Faults that show in the counters of a database: real work that went wrong."""

from __future__ import annotations

from contextlib import suppress

import psycopg

from pgcohesion.health.registry import Finding
from pgcohesion.view import Grade

from .sessions import busy
from .stage import Fault, Lookalike, Stage, standing, wait_for

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
        "SET work_mem = '64kB'; SET max_parallel_workers_per_gather = 0",
        "SELECT sum(length(r)) FROM (SELECT repeat('x', 500) AS r FROM generate_series(1, 300000) n ORDER BY -n) x",
        FLUSH,
    )
    return stage.database


def reading(stage: Stage) -> str:
    """Read a table that does not fit in shared_buffers again and again."""
    stage.sql(
        "CREATE TABLE public.large WITH (autovacuum_enabled = off)"
        " AS SELECT repeat('x', 1900) FROM generate_series(1, 16000)",
        *["SELECT count(*) FROM public.large"] * 8,
        FLUSH,
    )
    return stage.database


def reading_once(stage: Stage) -> str:
    """Read little, all of it from memory after the first time."""
    stage.sql(
        "CREATE TABLE public.small WITH (autovacuum_enabled = off)"
        " AS SELECT repeat('x', 1900) FROM generate_series(1, 500)",
        *["SELECT count(*) FROM public.small"] * 50,
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
    for _ in range(200):
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


def dumped(stage: Stage) -> str:
    stage.connect(application_name="pg_dump")
    reading(stage)
    return stage.database


FAULTS = [
    Fault("a deadlock", "deadlocks", deadlocked, mend=forget, back=standing("log_lock_waits", None)),
    Fault(
        "transactions that fail",
        "rollbacks",
        failing,
        grade=Grade.FAIL,
        mend=forget,
        sets=MANY,
        back=standing("log_min_error_statement", None),
    ),
    Fault("a sort that spills", "temp_files", spilling, mend=forget, back=standing("log_temp_files", None)),
    Fault(
        "a cache that does not hold what is read",
        "cache_misses",
        reading,
        mend=forget,
        back=standing("shared_buffers", None),
    ),
    Fault("a disk that takes long", "slow_reads", reading, mend=forget, sets=("health.limits.slow_reads.warn=0.0001",)),
    Fault("sessions that were killed", "lost_sessions", killed, mend=forget, back=standing("log_disconnections", None)),
    Fault(
        "sessions that come and go",
        "connection_churn",
        opened,
        mend=forget,
        sets=("health.limits.connection_churn.warn=0.2",),
    ),
]
LOOKALIKES = [
    Lookalike("work that is committed", "rollbacks", working),
    Lookalike("a sort in memory", "temp_files", working, sets=("health.limits.temp_files.warn=1000000",)),
    Lookalike("a dump that reads everything once", "cache_misses", dumped),
    Lookalike("a cache that holds what is read", "cache_misses", reading_once),
    Lookalike("a disk of which little is read", "slow_reads", reading_once, ("health.limits.slow_reads.warn=0.0001",)),
    Lookalike("sessions that end by themselves", "lost_sessions", opened),
]
