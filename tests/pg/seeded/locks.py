"""Faults of locks."""

from __future__ import annotations

from pgcohesion.health.registry import Finding

from .sessions import busy, number
from .stage import Fault, Lookalike, Stage, standing, wait_for

TABLE = 'public."o ""dd\'s"'
BLOCKED = ("health.limits.blocked_sessions.warn=0.01",)
QUEUED = ("health.limits.waiting_ddl.warn=0.01",)


def holder(stage: Stage, statement: str) -> str:
    stage.sql(f"CREATE TABLE {TABLE} (a int)")
    session = stage.connect()
    session.execute(f"BEGIN; {statement}".encode())
    return number(session)


def forgotten_lock(stage: Stage) -> str:
    """Two wait for the holder, one of them only for the other."""
    root = holder(stage, f"LOCK TABLE {TABLE} IN EXCLUSIVE MODE")
    middle = stage.connect()
    middle.execute("BEGIN; SELECT pg_advisory_lock(42)")
    busy(stage, middle, f"INSERT INTO {TABLE} VALUES (1)")
    busy(stage, stage.connect(), "SELECT pg_advisory_lock(42)")
    return root


def middle_of_a_queue(stage: Stage) -> str:
    forgotten_lock(stage)
    ((middle,),) = stage.db.execute(
        "SELECT pid FROM pg_stat_activity WHERE query LIKE 'INSERT INTO%' AND wait_event_type = 'Lock'"
    ).fetchall()
    return str(middle)


def active_holder(stage: Stage) -> str:
    stage.sql(f"CREATE TABLE {TABLE} (a int)")
    root = busy(
        stage,
        stage.connect(),
        f"DO 'BEGIN LOCK TABLE {TABLE.replace(chr(39), chr(39) * 2)}; PERFORM pg_sleep(600); END'",
    )
    busy(stage, stage.connect(), f"INSERT INTO {TABLE} VALUES (1)")
    return root


def ddl_with_a_queue(stage: Stage) -> str:
    root = holder(stage, f"SELECT FROM {TABLE}")
    busy(stage, stage.connect(), f"ALTER TABLE {TABLE} ADD b int")
    busy(stage, stage.connect(), f"SELECT FROM {TABLE}")
    return root


def concurrently_behind_a_dump(stage: Stage) -> str:
    """Return the dump: it began before the index, which waits for its snapshot."""
    stage.sql(f"CREATE TABLE {TABLE} (a int)")
    dump = stage.connect(application_name="pg_dump")
    dump.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class")
    busy(stage, stage.connect(), f'CREATE INDEX CONCURRENTLY "odd i" ON {TABLE} (a)')
    waits = "SELECT FROM pg_locks WHERE NOT granted AND locktype = 'virtualxid'"
    wait_for(lambda: stage.db.execute(waits.encode()).fetchall())
    return number(dump)


def queue_of(stage: Stage) -> None:
    ddl_with_a_queue(stage)


def ddl_alone(stage: Stage) -> None:
    holder(stage, f"SELECT FROM {TABLE}")
    busy(stage, stage.connect(), f"ALTER TABLE {TABLE} ADD b int")


def spare_the_reader(stage: Stage, finding: Finding) -> None:
    """Run the fix: the DDL goes, and who held the table stays."""
    assert stage.db.execute(finding.fix.encode()).fetchall() == [(True,)]
    held = "SELECT FROM pg_locks WHERE relation = %s::regclass AND mode = 'AccessShareLock' AND granted"
    wait_for(lambda: len(stage.db.execute(held, [TABLE]).fetchall()) == 1)


def many(stage: Stage) -> None:
    stage.sql("SELECT count(pg_advisory_lock(n)) FROM generate_series(1, 2000) AS n")


def release(stage: Stage, finding: Finding) -> None:
    """Give the locks back: the fix itself, which is run too, needs a restart."""
    stage.later(lambda: stage.sql("ALTER SYSTEM RESET max_locks_per_transaction"))
    stage.db.execute(finding.fix.encode())
    stage.sql("SELECT pg_advisory_unlock_all()")


FAULTS = [
    Fault("a lock that was forgotten", "blocked_sessions", forgotten_lock, sets=BLOCKED),
    Fault("a lock whose holder is at work", "blocked_sessions", active_holder, sets=BLOCKED),
    Fault("a reader with a DDL behind it", "blocked_sessions", ddl_with_a_queue, sets=BLOCKED, mend=spare_the_reader),
    Fault(
        "a DDL with a queue behind it",
        "waiting_ddl",
        queue_of,
        TABLE.removeprefix("public."),
        sets=QUEUED,
        mend=spare_the_reader,
    ),
    Fault(
        "locks that run out",
        "lock_capacity",
        many,
        sets=("health.limits.lock_capacity.warn=0.1",),
        mend=release,
        back=standing("max_locks_per_transaction", None),
    ),
]
LOOKALIKES = [
    Lookalike("a session in the middle of a queue", "blocked_sessions", middle_of_a_queue, BLOCKED),
    Lookalike("an index that waits for a dump", "blocked_sessions", concurrently_behind_a_dump, BLOCKED),
    Lookalike("a DDL that nobody waits for", "waiting_ddl", ddl_alone, QUEUED),
]
