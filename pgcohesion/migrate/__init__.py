"""Migrations and seeds: plain SQL files, one transaction each, a ledger, an advisory lock."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..plan import Plan
from ..view import Text
from . import files, ledger
from .decide import migration_changes, seed_changes
from .standing import Status, rows

if TYPE_CHECKING:
    from ..context import Context

TEMPLATE = "-- {title}\n\n"


def plan(ctx: Context, applied: ledger.Ledger | None = None) -> Plan:
    """Return the pending migrations as changes, in order.

    *applied* is the ledger; that of a database which does not exist yet is empty.
    Raises ConfigError for files that cannot be applied in order, or were edited after they were applied.
    """
    found = files.migrations(ctx.root / ctx.config.migrations.folder)
    applied = applied if applied is not None else _applied(ctx)
    return Plan(ctx.env, tuple(migration_changes(found, applied)))


def seed(ctx: Context, applied: ledger.Ledger | None = None) -> Plan:
    """Return the seed files that are new, or have changed, as changes."""
    found = files.seeds(ctx.root / ctx.config.seeds.folder, ctx.config.seeds.sets)
    applied = applied if applied is not None else _applied(ctx)
    return Plan(ctx.env, tuple(seed_changes(found, applied)))


def _applied(ctx: Context) -> ledger.Ledger:
    ctx.running()
    return ledger.read(ctx)


def status(ctx: Context) -> Status:
    """Return each migration and whether it is applied."""
    found = files.migrations(ctx.root / ctx.config.migrations.folder)
    return Status(rows(found, _applied(ctx)), ctx.env)


def new(ctx: Context, name: str) -> Text:
    """Create the next migration file. Raises UsageError for a name that is no file name."""
    title = re.sub(r"\W+", "_", name.strip().lower(), flags=re.ASCII).strip("_")
    if not title:
        raise UsageError(f"`{name}` gives no file name", fix="inv migrate.new add_bill_topics")
    folder = ctx.root / ctx.config.migrations.folder
    numbers = [int(file.version) for file in files.migrations(folder)]
    path = folder / f"{max(numbers, default=0) + 1:04}_{title}.sql"
    folder.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8") as out:
        out.write(TEMPLATE.format(title=title.replace("_", " ").capitalize() + "."))
    return Text((str(path.relative_to(Path(ctx.root))),))
