"""What is unhealthy, and the line that mends it."""

from __future__ import annotations

import pgcohesion as pg


@pg.task(example="inv health.check --env=production --json", help={"only": "ids of checks, with commas"})
def check(ctx: pg.Context, only: str = "") -> pg.Answer:
    """Run the health checks."""
    return pg.health.check(ctx, only)


@pg.task(name="list")
def list_checks(ctx: pg.Context) -> pg.Answer:
    """List the checks and their limits."""
    return pg.health.list_checks(ctx)
