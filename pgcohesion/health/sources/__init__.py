"""Where rows come from that no query of the server has: a module each, with ``read(ctx)``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...errors import CohesionError
from ...server import State

if TYPE_CHECKING:
    from ...context import Context


def ask(ctx: Context, query: str, values: Mapping[str, Any] | None = None, database: str = "") -> list[Any]:
    """Ask the server, beside whoever else does. Raises CohesionError where it does not answer."""
    db = ctx.watched.another()
    try:
        with db.within(ctx.config.health.timeout / 2):
            return db.execute(query, values or (), database=database or None)
    finally:
        db.close()


def ask_if_up(ctx: Context, query: str) -> list[Any]:
    """Ask the server; nothing where it is down or does not answer: what else there is to say does not hang on it."""
    try:
        if ctx.config.health.url is None and ctx.server.state() is not State.RUNNING:
            return []
        return ask(ctx, query)
    except CohesionError:
        return []
