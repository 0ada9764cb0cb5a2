"""Backups of the databases, and restoring them."""

from __future__ import annotations

import pgcohesion as pg


@pg.task(
    changes=True,
    example="inv backup.create --env=staging",
    help={"database": "the database (default: the environment's main one)"},
)
def create(ctx: pg.Context, database: str = "") -> pg.Answer:
    """Back up a database."""
    return pg.backup.create(ctx, database)


@pg.task(name="list")
def list_backups(ctx: pg.Context) -> pg.Answer:
    """List the backups, the newest last."""
    return pg.backup.list_backups(ctx)


@pg.task(
    changes=True,
    example="inv backup.restore latest --env=staging --dry-run",
    help={
        "id": "a backup's ID, or `latest` of the environment's main database",
        "into": "the new database (default: <database>_restored_<time>)",
        "replace": "put it in the place of the database that exists",
    },
)
def restore(ctx: pg.Context, id: str, into: str = "", replace: bool = False) -> pg.Answer:  # noqa: A002
    """Restore a backup into a new database."""
    return pg.backup.restore(ctx, id, into, replace=replace)
