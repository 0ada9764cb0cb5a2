"""Messages that wait in the outbox of the alerts."""

from __future__ import annotations

import time
from contextlib import closing
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ..alerts.outbox import Outbox
from ..history import of as history_of

if TYPE_CHECKING:
    from ...context import Context


def read(ctx: Context) -> list[Any] | None:
    """Return a row a declared route that has messages waiting, with the seconds since the oldest; None without any."""
    routes = ctx.config.health.alerts.routes
    if not routes:
        return None
    with closing(history_of(ctx)) as history:
        now = time.time()
        rows = Outbox(history).waiting()
        return [SimpleNamespace(**row, age=now - row["since"]) for row in rows if row["route"] in routes]
