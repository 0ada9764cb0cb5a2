"""Whether the schema is the one that the repo describes."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from functools import partial
from typing import Any

from ...view import Grade, count, span
from ..registry import Finding, Limits, most, probe

LEDGER = (
    "needs the ledger of {}: GRANT USAGE ON SCHEMA pgcohesion TO <role>; GRANT SELECT ON pgcohesion.ledger TO <role>;"
)
of_migrations = partial(probe, "migrations", cost="standard")


@of_migrations(warn=0, fail=14)
def pending_migrations(rows: list[Any], limits: Limits) -> Finding:
    """Migrations that were not applied (limits in days since the oldest of their files was written).

    Code that is deployed with them meets a schema that it was not written for.
    """
    (facts,) = rows
    if not facts.readable:
        return Finding(Grade.SKIPPED, LEDGER.format(facts.database))
    pending = [one for one in facts.all if one.number is not None and one.applied_age is None]
    if not pending:
        return Finding(Grade.OK, "every migration is applied", object=facts.database)
    age = max(one.file_age or 0.0 for one in pending)
    what = f"{count(len(pending), 'migration')} of {facts.database} to apply"
    text = f"{what}, the first is {pending[0].path} ({span(age)} old)"
    fix = f"inv migrate.up --dry-run --env={facts.env}\ninv migrate.up --env={facts.env}"
    return limits.finding(age / 86400, text, fix=fix, object=facts.database)


@of_migrations()
def migration_drift(rows: list[Any], limits: Limits) -> list[Finding]:
    """Migrations that were edited or removed after they were applied: the next database will not be like this one."""
    (facts,) = rows
    found = []
    for one in facts.all:
        if one.edited:
            text = f"{one.path} was edited after it was applied, {span(one.applied_age or 0)} ago"
            fix = f"git log -p -- {shlex.quote(one.path)}\n# take the edit back, and: inv migrate.new NAME"
            found.append(Finding(Grade.FAIL, text, fix, one.name))
        elif not one.path:
            text = f"{one.name} was applied {span(one.applied_age or 0)} ago, and its file has gone"
            fix = (
                f"git log --diff-filter=D --all -- {shlex.quote('*' + one.name)}\n# bring it back, or change the branch"
            )
            found.append(Finding(Grade.FAIL, text, fix, one.name))
    return _fine(facts, found, "what was applied is what the files say")


@of_migrations()
def migration_order(rows: list[Any], limits: Limits) -> list[Finding]:
    """Migrations that can never be applied as they are: a number that is taken or too low, a name of no use."""
    (facts,) = rows
    applied = [one.number for one in facts.all if one.applied_age is not None and one.number is not None]
    last = max(applied, default=-1)
    numbers = Counter(one.number for one in facts.all if one.path and one.number is not None)
    found = []
    for one in facts.all:
        why = ""
        if one.number is None:
            why = "has a name that is not NNNN_some_words.sql"
        elif one.path and one.applied_age is None and numbers[one.number] > 1:
            why = "has a number that another file has, too"
        elif one.applied_age is None and one.number < last:
            why = f"comes before {last:04}, which is applied"
        if why:
            new = max([last, *numbers]) + 1
            words = re.sub(r"^\d+_|[^a-z0-9]+", "_", one.name.removesuffix(".sql").lower()).strip("_") or "migration"
            target = one.path.replace(one.name, f"{new:04}_{words}.sql")
            fix = f"git mv {shlex.quote(one.path)} {shlex.quote(target)}"
            undo = f"git mv {shlex.quote(target)} {shlex.quote(one.path)}"
            found.append(Finding(Grade.FAIL, f"{one.path} {why}", fix, one.name, undo=undo))
    return _fine(facts, found, "the files can be applied in order")


@of_migrations(warn=600, fail=3600)
def migration_running(rows: list[Any], limits: Limits) -> list[Finding]:
    """Who applies migrations, or has stopped doing so (limits in seconds): nobody else can, meanwhile."""
    (facts,) = rows
    found = []
    for one in facts.running:
        text = f"pid {one.pid} of {one.role} has been applying migrations for {span(one.seconds)} (now {one.state})"
        fix = f"-- it waits, or its run was cut off and it never ends\nSELECT pg_terminate_backend({one.pid});"
        found.append(limits.finding(one.seconds, text, fix=fix, object=str(one.pid)))
    return _fine(facts, found, "nobody applies migrations now")


def _fine(facts: Any, found: list[Finding], text: str) -> list[Finding]:
    """Return what was found, or that all is well; nothing where one check has said already that it cannot be known."""
    return most(found) or ([Finding(Grade.OK, text)] if facts.readable else [])
