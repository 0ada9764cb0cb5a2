"""Bring hosts, servers, roles and databases to what an environment's file declares."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..plan import Change, Plan
from ..server import State
from ..view import Text

if TYPE_CHECKING:
    from ..context import Context
    from .drift import Checked
    from .facts import Facts
    from .rotation import Rotation

NOT_PLANNED = "the server is stopped: what its roles and databases need can be planned when it runs (inv db.start)"


def plan(ctx: Context, facts: Facts | None = None) -> Plan:
    """Return what would change on the host, in the server and in its databases.

    *facts* default to what is there now; those of an empty machine give the whole plan.
    """
    from .facts import read

    facts = facts or read(ctx)
    changes = tuple(_changes(ctx, facts))
    return Plan(ctx.env, changes, NOT_PLANNED if facts.host.state is State.STOPPED else "")


def _changes(ctx: Context, facts: Facts) -> Iterator[Change]:
    from . import cluster, databases, roles, secrets

    yield from secrets.changes(ctx, facts)
    yield from cluster.changes(ctx, facts)
    if facts.host.state is State.STOPPED:
        return
    yield from roles.changes(ctx.config, facts, secrets.passwords(ctx))
    yield from databases.changes(ctx.config, facts)


def drops(facts: Facts) -> Iterator[Change]:
    """Yield the removal of the declared databases that exist."""
    from .databases import drops

    yield from drops(facts)


def rotate(ctx: Context, role: str) -> Rotation:
    """Return the steps that give *role* a new password. Raises UsageError."""
    from .rotation import Rotation

    return Rotation(ctx, role)


def check(ctx: Context) -> Checked:
    """Compare what is in effect with what is declared, down to each setting's value."""
    from .drift import checked

    return checked(ctx, plan(ctx))


def render(ctx: Context) -> Text:
    """Return the configuration files as they would be written."""
    from . import cluster

    files = cluster.wanted_files(ctx)
    return Text(tuple(line for name, text in files.items() for line in (f"==> {name} <==", *text.splitlines(), "")))
