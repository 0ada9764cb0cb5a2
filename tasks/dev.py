"""A developer's machine."""

from __future__ import annotations

import pgcohesion as pg


@pg.task
def doctor(ctx: pg.Context) -> pg.Answer:
    """Show what this machine lacks, and the line that mends it."""
    return pg.dev.doctor(ctx)


@pg.task(changes=True)
def onboard(ctx: pg.Context) -> pg.Answer:
    """Set up a working database, with explanations."""
    return pg.dev.onboard(ctx)
