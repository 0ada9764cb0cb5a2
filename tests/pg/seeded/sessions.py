"""Faults of sessions."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any, LiteralString

import psycopg
from psycopg.sql import SQL, Identifier, Literal

from pgcohesion.health.registry import Finding

from .stage import Fault, Lookalike, Stage, wait_for

HOSTILE = "o\"dd's\n; --"
SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1"


def role(stage: Stage, options: LiteralString = "") -> dict[str, str]:
    """Make a role with a hostile name, and return what logs it in."""
    name = Identifier(HOSTILE)
    stage.later(lambda: stage.db.execute(SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(name)))
    made = SQL("CREATE ROLE {} LOGIN PASSWORD {} ").format(name, Literal("secret"))
    stage.db.execute(made + SQL(options))
    return {"user": HOSTILE, "password": "secret"}


def number(session: psycopg.Connection[Any]) -> str:
    """Return what a check calls a session."""
    return str(session.info.backend_pid)


def busy(stage: Stage, session: psycopg.Connection[Any], statement: str) -> str:
    """Run a statement that takes long, or waits, until the end of the test; return its session's name."""
    thread = stage.aside(session, statement)
    pid = session.info.backend_pid

    def end() -> None:
        stage.db.execute("SELECT pg_terminate_backend(%s)", [pid])
        thread.join(10)

    stage.later(end)
    asked = "SELECT FROM pg_stat_activity WHERE pid = %s AND state = 'active' AND wait_event IS NOT NULL"
    wait_for(lambda: stage.db.execute(asked, [pid]).fetchall())
    return str(pid)


def forgotten(stage: Stage) -> str:
    stage.sql("CREATE TABLE public.held (a int)", "GRANT ALL ON public.held TO PUBLIC")
    session = stage.connect(**role(stage))
    session.execute("BEGIN; INSERT INTO public.held VALUES (1)")
    return number(session)


def snapshot(stage: Stage) -> str:
    session = stage.connect()
    session.execute(SNAPSHOT)
    return number(session)


def moving() -> Fault:
    """Return a fault whose session goes on between the look and the fix: the fix must then not end it."""
    session: list[psycopg.Connection[Any]] = []

    def seed(stage: Stage) -> str:
        session[:] = [stage.connect()]
        session[0].execute(SNAPSHOT)
        return number(session[0])

    def mend(stage: Stage, finding: Finding) -> None:
        session[0].execute("COMMIT")
        session[0].execute(SNAPSHOT)
        ((state,),) = stage.db.execute("SELECT state FROM pg_stat_activity WHERE pid = %s", [finding.object]).fetchall()
        assert state == "idle in transaction"
        assert stage.db.execute(finding.fix.encode()).fetchall() == []
        session[0].execute("COMMIT")

    return Fault(
        "a session that goes on",
        "idle_in_transaction",
        seed,
        sets=("health.limits.idle_in_transaction.warn=0.01",),
        mend=mend,
    )


def aborted(stage: Stage) -> str:
    session = stage.connect()
    with suppress(psycopg.errors.DivisionByZero):
        session.execute("BEGIN; SELECT 1 / 0")
    return number(session)


def asleep(stage: Stage) -> str:
    return busy(stage, stage.connect(), "SELECT pg_sleep(600)")


def transaction(stage: Stage) -> str:
    session = stage.connect()
    session.execute("BEGIN")
    return busy(stage, session, "SELECT pg_sleep(600)")


def steps(stage: Stage) -> str:
    """Leave a transaction between two of its statements: it has only just fallen idle."""
    return snapshot(stage)


def horizon(stage: Stage) -> str:
    pid = snapshot(stage)
    for _ in range(40):
        stage.sql("SELECT pg_current_xact_id()")
    return pid


def committed(stage: Stage) -> str:
    """Let a session see and commit, and others write on."""
    session = stage.connect()
    session.execute(SNAPSHOT)
    session.execute("COMMIT")
    for _ in range(40):
        stage.sql("SELECT pg_current_xact_id()")
    return number(session)


def crowd(stage: Stage) -> str:
    parameters = role(stage)
    for _ in range(15):
        stage.connect(**parameters, application_name="it's")
    return f"{HOSTILE} (it's)"


def unmet(stage: Stage) -> str:
    stage.setting("synchronous_standby_names", "nobody")
    session = stage.connect()
    session.execute("SET synchronous_commit = on")
    thread: list[threading.Thread] = []
    stage.later(lambda: thread[0].join(10))
    stage.later(lambda: stage.sql("ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()"))
    thread.append(stage.aside(session, "CREATE TABLE public.waits ()"))
    return "nobody"


def waiter(stage: Stage) -> str:
    stage.sql("CREATE TABLE public.held (a int)")
    stage.connect().execute("BEGIN; LOCK TABLE public.held")
    return busy(stage, stage.connect(), "SELECT FROM public.held")


def beside(stage: Stage) -> str:
    """Work for a moment while another's transaction is old: every snapshot is as old as that."""
    stage.connect().execute("BEGIN; SELECT pg_current_xact_id()")
    stage.sql("DO $$ BEGIN FOR n IN 1..30 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$")
    return busy(stage, stage.connect(), "SELECT pg_sleep(60)")


def deaf(stage: Stage) -> None:
    session = stage.connect()
    session.execute("LISTEN odd")
    session.execute("BEGIN; SELECT 1")
    stage.sql("SELECT pg_notify('odd', n || repeat('x', 7000)) FROM generate_series(1, 20) n")


def listener(stage: Stage) -> None:
    stage.connect().execute("LISTEN odd")
    stage.sql("SELECT pg_notify('odd', n || repeat('x', 7000)) FROM generate_series(1, 20) n")
    wait_for(lambda: stage.db.execute("SELECT WHERE pg_notification_queue_usage() = 0").fetchall())


QUEUE = ("health.limits.notification_queue.warn=0.00001",)
FAULTS = [
    Fault(
        "a transaction that was forgotten",
        "idle_in_transaction",
        forgotten,
        sets=("health.limits.idle_in_transaction.warn=0.01",),
    ),
    moving(),
    Fault(
        "a failed transaction that nobody rolls back",
        "aborted_transactions",
        aborted,
        sets=("health.limits.aborted_transactions.warn=0.01",),
    ),
    Fault("a query that does not end", "long_queries", asleep, sets=("health.limits.long_queries.warn=2",)),
    Fault("a long transaction", "long_transactions", transaction, sets=("health.limits.long_transactions.warn=2",)),
    Fault(
        "a long transaction of many statements",
        "long_transactions",
        steps,
        sets=("health.limits.long_transactions.warn=2",),
    ),
    Fault("an old snapshot", "xmin_horizon", horizon, sets=("health.limits.xmin_horizon.warn=20",)),
    Fault("a listener in a transaction", "notification_queue", deaf, sets=QUEUE),
    Fault("a pool that never shrinks", "idle_sessions", crowd, sets=("health.limits.idle_sessions.warn=0.3",)),
    Fault("a standby that is not there", "standby_waits", unmet, sets=("health.limits.standby_waits.warn=0.01",)),
]
LOOKALIKES = [
    Lookalike("a listener that listens", "notification_queue", listener, QUEUE),
    Lookalike("a failed transaction holds nothing", "idle_in_transaction", aborted, FAULTS[0].sets),
    Lookalike(
        "who waits for a lock runs no long query", "long_queries", waiter, ("health.limits.long_queries.warn=0",)
    ),
    Lookalike("who works beside an old transaction", "xmin_horizon", beside, ("health.limits.xmin_horizon.warn=20",)),
    Lookalike("a snapshot that was given back", "xmin_horizon", committed, ("health.limits.xmin_horizon.warn=20",)),
]
