"""What is unhealthy, and the line that mends it."""

from __future__ import annotations

import pgcohesion as pg


@pg.task(
    example="inv health.check --env=production --json",
    help={"only": "ids or areas of checks, with commas", "profile": "quick, standard or deep"},
)
def check(ctx: pg.Context, only: str = "", profile: str = "standard") -> pg.Answer:
    """Run the health checks."""
    return pg.health.check(ctx, only, profile)


@pg.task(name="list")
def list_checks(ctx: pg.Context) -> pg.Answer:
    """List the checks and their limits."""
    return pg.health.list_checks(ctx)


@pg.task(example="inv health.explain idle_in_transaction", help={"name": "the check"})
def explain(ctx: pg.Context, name: str) -> pg.Answer:
    """Show what a check looks at, and why."""
    return pg.health.explain(ctx, name)
