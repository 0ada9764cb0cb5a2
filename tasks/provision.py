"""Hosts, servers, roles and databases as an environment's file declares them."""

from __future__ import annotations

import pgcohesion as pg


@pg.task(help={"check": "exit 6 when changes are pending"})
def plan(ctx: pg.Context, check: bool = False) -> pg.Answer:
    """Show what provision.apply would change."""
    return pg.plan.Planned(pg.provision.plan(ctx), ctx.options.verbose, next=f"inv provision.apply --env={ctx.env}")


@pg.task(changes=True, example="inv provision.apply --env=staging --dry-run")
def apply(ctx: pg.Context) -> pg.Answer:
    """Bring hosts, server and databases to what is declared."""
    return ctx.apply(pg.provision.plan(ctx), next=f"inv migrate.up --env={ctx.env}")


@pg.task
def check(ctx: pg.Context) -> pg.Answer:
    """Compare what is in effect with what is declared."""
    return pg.provision.check(ctx)


@pg.task
def render(ctx: pg.Context) -> pg.Answer:
    """Print the configuration files as they would be written."""
    return pg.provision.render(ctx)
