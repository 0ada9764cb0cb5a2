"""The schema: plain SQL files in migrations/."""

from __future__ import annotations

import pgcohesion as pg


@pg.task(changes=True, example="inv migrate.up --env=staging --dry-run")
def up(ctx: pg.Context) -> pg.Answer:
    """Apply the pending migrations."""
    return ctx.apply(pg.migrate.plan(ctx), next=f"inv health.check --env={ctx.env}")


@pg.task(help={"check": "exit 6 when migrations are pending"})
def status(ctx: pg.Context, check: bool = False) -> pg.Answer:
    """Show each migration and whether it is applied."""
    return pg.migrate.status(ctx)


@pg.task(example="inv migrate.new add_bill_topics")
def new(ctx: pg.Context, name: str) -> pg.Answer:
    """Create the next migration file."""
    return pg.migrate.new(ctx, name)
