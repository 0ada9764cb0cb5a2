"""The database of an environment."""

from __future__ import annotations

import pgcohesion as pg
from pgcohesion.cli import remainder


@pg.task(changes=True, example="inv db.setup --env=staging --dry-run")
def setup(ctx: pg.Context) -> pg.Answer:
    """Set up everything: server, roles, schema, data, health."""
    return pg.setup.setup(ctx)


@pg.task
def status(ctx: pg.Context) -> pg.Answer:
    """Show whether the server runs and what is in it."""
    return pg.database.status(ctx)


@pg.task(changes=True)
def start(ctx: pg.Context) -> pg.Answer:
    """Start the server."""
    return pg.database.start(ctx)


@pg.task(changes=True)
def stop(ctx: pg.Context) -> pg.Answer:
    """Stop the server."""
    return pg.database.stop(ctx)


@pg.task(changes=True, example="inv db.reset --yes development")
def reset(ctx: pg.Context) -> pg.Answer:
    """Drop the databases and set them up again from nothing."""
    return pg.setup.reset(ctx)


@pg.task(changes=True)
def seed(ctx: pg.Context) -> pg.Answer:
    """Load the seed files that are new or have changed."""
    return ctx.apply(pg.migrate.seed(ctx))


@pg.task(help={"role": "the role to connect as (default: the superuser)"})
def shell(ctx: pg.Context, role: str = "") -> int:
    """Open psql on the application's database."""
    return pg.database.shell(ctx, role)


@pg.task(
    example="export DATABASE_URL=$(inv db.url --reveal)",
    help={"role": "the role to connect as (default: the application's)", "reveal": "put the password into the URL"},
)
def url(ctx: pg.Context, role: str = "", reveal: bool = False) -> pg.Answer:
    """Print the URL that programs connect with."""
    return pg.database.url(ctx, role, reveal=reveal)


@pg.task(
    example="inv db.run -- python my_script.py", help={"role": "the role to connect as (default: the application's)"}
)
def run(ctx: pg.Context, role: str = "") -> int:
    """Run a program with the connection exported: -- CMD ..."""
    return pg.database.run(ctx, remainder(), role)
