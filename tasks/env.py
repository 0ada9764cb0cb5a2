"""The environments and their values."""

from __future__ import annotations

import pgcohesion as pg


@pg.task(name="list")
def list_environments(ctx: pg.Context) -> pg.Answer:
    """List the environments."""
    return pg.environments.list_environments(ctx)


@pg.task(
    example="inv env.show --env=staging --json",
    help={
        "format": "its connection as the variables of: url, libpq, django, rails, spring, prisma, npgsql, ..., all",
        "reveal": "put the password into them",
    },
)
def show(ctx: pg.Context, format: str = "", reveal: bool = False) -> pg.Answer:  # noqa: A002  (the flag's name)
    """Show an environment's values, or its connection."""
    return pg.environments.show(ctx, format, reveal=reveal)


@pg.task(example="inv env.explain settings.work_mem --env=staging", help={"key": "a key, with dots"})
def explain(ctx: pg.Context, key: str) -> pg.Answer:
    """Show where a value comes from, layer by layer."""
    return pg.environments.explain_key(ctx, key)
