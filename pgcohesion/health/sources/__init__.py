"""Where rows come from that no query of the server has: a module each, with ``read(ctx)``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ...errors import CohesionError
from ...server import State
from ..asking import PATH

if TYPE_CHECKING:
    from ...connections import Database
    from ...context import Context

CAREFUL = """
SELECT set_config('lock_timeout', '200ms', false) AS lock,
       set_config('default_transaction_read_only', 'on', false) AS read_only
"""


@contextmanager
def beside(ctx: Context, database: str = "") -> Iterator[Database]:
    """Give a session of its own to ask the server in: others may be at work. Nothing there waits for a lock.

    Raises CohesionError where the server does not answer.
    """
    db = ctx.watched.another(PATH)
    db.default = database or db.default
    try:
        with db.within(ctx.config.health.timeout / 2):
            db.execute(CAREFUL)
            yield db
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
