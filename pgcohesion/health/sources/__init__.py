"""Where rows come from that no query of the server has: a module each, with ``read(ctx)``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ...errors import CohesionError
from ...server import State
from ..asking import BEGIN, LIMITS, PATH

if TYPE_CHECKING:
    from ...connections import Database
    from ...context import Context


@contextmanager
def beside(ctx: Context, database: str = "") -> Iterator[Database]:
    """Give a read-only transaction of its own to ask the server in: others may be at work. It waits for no lock.

    Nothing of it stays: behind a pooler the next transaction of that session is an application's. Raises CohesionError
    where the server does not answer.
    """
    db, seconds = ctx.watched.another(), ctx.config.health.timeout / 2
    db.default = database or db.default
    try:
        with db.within(seconds):
            db.execute(BEGIN)
            db.execute(LIMITS, (f"{round(seconds * 1000)}ms", PATH))
            yield db
            db.execute("COMMIT")
    finally:
        db.close()


def ask_if_up(ctx: Context, query: str) -> list[Any]:
    """Ask the server; nothing where it is down or does not answer: what else there is to say does not hang on it."""
    try:
        if ctx.config.health.url is None and ctx.server.state() is not State.RUNNING:
            return []
        with beside(ctx) as db:
            return db.execute(query)
    except CohesionError:
        return []
