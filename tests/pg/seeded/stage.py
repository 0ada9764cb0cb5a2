"""Where faults are played: a database of one's own on the shared server, and everything undone afterwards."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple, TypeVar

import psycopg
from psycopg.sql import SQL, Identifier, Literal

from pgcohesion import health
from pgcohesion.context import Context
from pgcohesion.health.registry import Finding
from pgcohesion.view import Grade

T = TypeVar("T")


class Stage:
    """What a seed gets. What it opens or changes through this object goes at the end of the test."""

    def __init__(self, ctx: Context, database: str, stack: ExitStack) -> None:
        self.ctx, self.database, self._stack = ctx, database, stack
        self.db = self.connect()

    def connect(self, **parameters: Any) -> psycopg.Connection[Any]:
        """Open one more session in autocommit mode; as superuser unless *parameters* say otherwise."""
        given = {**self.ctx.server.parameters(), "dbname": self.database, "autocommit": True, **parameters}
        connection = psycopg.connect(**given)
        self._stack.callback(connection.close)
        return connection

    def sql(self, *statements: str) -> None:
        """Execute statements, each by itself, as superuser."""
        for statement in statements:
            self.db.execute(statement.encode())

    def later(self, undo: Callable[[], object]) -> None:
        """Do this at the end, before sessions are closed."""
        self._stack.callback(undo)

    def setting(self, name: str, value: str) -> None:
        """Change a setting of the whole server until the end (one that a reload takes up)."""
        self.later(lambda: self._system(SQL("ALTER SYSTEM RESET {}").format(Identifier(name))))
        self._system(SQL("ALTER SYSTEM SET {} = {}").format(Identifier(name), Literal(value)))

    def _system(self, statement: Any) -> None:
        self.db.execute(statement)
        before = self._loaded()
        self.db.execute("SELECT pg_reload_conf()")
        wait_for(lambda: self._loaded() > before)

    def _loaded(self) -> Any:
        ((when,),) = self.connect().execute("SELECT pg_conf_load_time()").fetchall()
        return when

    def aside(self, connection: psycopg.Connection[Any], statement: str) -> threading.Thread:
        """Run a statement that waits (for a lock, say) in a thread; its error at the end is nobody's."""

        def run() -> None:
            with suppress(psycopg.Error):
                connection.execute(statement.encode())

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def findings(self, *grades: Grade) -> list[Finding]:
        """Return everything that the checks find in the server and this database; no fault may hide another's.

        *grades* instead of warn and fail.
        """
        found = health.check(self.ctx, remember=False).results
        marks = [(finding.fingerprint, finding.check, finding.object) for finding in found if finding.object]
        assert len(set(marks)) == len(marks), marks
        return [finding for finding in found if finding.grade in (grades or (Grade.WARN, Grade.FAIL))]


class Fault(NamedTuple):
    """*seed* makes it; then *check* must find *about* (a name, or what the seed returns), and its fix must mend it.

    *sets* are ``--set`` options, for limits that a test cannot reach. *mend* is for a fix that is no SQL, *back* says
    whether its undo has brought the object back where the trouble cannot come back with it. *least* is the first major
    version that knows the trouble.
    """

    name: str
    check: str
    seed: Callable[[Stage], object]
    about: str | None = None
    sets: Sequence[str] = ()
    grade: Grade = Grade.WARN
    mend: Callable[[Stage, Finding], object] | None = None
    back: Callable[[Stage], object] | None = None
    least: int = 14


def standing(name: str, value: str | None) -> Callable[[Stage], object]:
    """Return a question: whether this is what ALTER SYSTEM has written for a setting (None: nothing)."""
    of = """SELECT setting FROM pg_file_settings WHERE name = %s AND sourcefile LIKE '%%/postgresql.auto.conf'"""
    return lambda stage: [row[0] for row in stage.db.execute(of, [name])] == ([] if value is None else [value])


class Lookalike(NamedTuple):
    """Something healthy that resembles a fault: *check* must say nothing of it."""

    name: str
    check: str
    seed: Callable[[Stage], object]
    sets: Sequence[str] = ()


def wait_for(asked: Callable[[], T], seconds: float = 20) -> T:
    """Wait until an answer is true, and return it; fail when it does not come in time."""
    deadline = time.monotonic() + seconds
    while not (answer := asked()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return answer
