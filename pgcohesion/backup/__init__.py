"""Backups in pg_dump's directory format with checksums, listed only when complete; a restore makes a new database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..plan import Planned

if TYPE_CHECKING:
    from ..context import Context
    from .catalog import Listed
    from .dumping import Made
    from .restoring import Restored


def create(ctx: Context, database: str = "") -> Planned | Made:
    """Back up one database (default: the environment's main one).

    Raises UsageError for an unknown database, CohesionError when the backup cannot be made: then none is listed.
    """
    from . import dumping

    return dumping.create(ctx, database)


def list_backups(ctx: Context) -> Listed:
    """Return the backups of an environment, oldest first; the server need not run."""
    from . import catalog

    entries = catalog.read(ctx).entries
    return catalog.Listed(entries, catalog.place(ctx).folder, ctx.env, datetime.now(UTC))


def restore(ctx: Context, identity: str, into: str = "", *, replace: bool = False) -> Planned | Restored:
    """Restore a backup into a new database, or with *replace* into the place of an existing one.

    *identity* may be ``latest``: the newest of the environment's main database. Raises UsageError for an unknown ID or
    a name that cannot be used, Refused for a database that exists, CohesionError for a damaged backup or a restore that
    failed: then all is as it was.
    """
    from . import restoring

    return restoring.restore(ctx, identity, into, replace=replace)
