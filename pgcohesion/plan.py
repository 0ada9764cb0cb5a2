"""Changes as values. A room decides them, :meth:`pgcohesion.context.Context.apply` does them.

A dry run prints the same plan instead of applying it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from .view import Answer, Line, View

if TYPE_CHECKING:
    from psycopg.sql import SQL, Composable, Composed

    from .context import Context

MARKS = {"create": "+", "alter": "~", "drop": "-", "run": ">"}


class Sql(Struct, frozen=True):
    """A statement in *database* (None: the maintenance database), as *role* (None: the superuser).

    Neighbours with the same database and role share one transaction, except those with
    ``transaction=False`` (CREATE DATABASE and its like).
    """

    statement: SQL | Composed
    database: str | None = None
    role: str | None = None
    transaction: bool = True

    @property
    def text(self) -> str:
        """The statement as it is sent."""
        return self.statement.as_string(None)


def sql(
    text: str, *, database: str | None = None, role: str | None = None, transaction: bool = True, **parts: Any
) -> Sql:
    """Return a statement with its parts filled in: ``sql("ANALYZE {table:i}", table=("public", "bills"))``.

    ``{name:i}`` is an identifier (a tuple: with dots between; a list: with commas), ``{name:l}`` a literal,
    ``{name:s}`` another Sql; nothing else is let in.
    """
    from string import Formatter

    from psycopg.sql import SQL, Composed

    made = Composed([])
    for before, name, kind, _ in Formatter().parse(text):
        made += SQL(before)
        if name is not None:
            made += _part(parts[name], f"{name}:{kind}")
    return Sql(made, database, role, transaction)


def _part(value: Any, field: str) -> Composable:
    from psycopg.sql import SQL, Identifier, Literal

    match field.rpartition(":")[2], value:
        case "i", list():
            return SQL(", ").join(map(Identifier, value))
        case "i", _:
            return Identifier(*(value if isinstance(value, tuple) else (value,)))
        case "l", _:
            return Literal(value)
        case "s", Sql():
            return value.statement
    raise ValueError(f"{{{field}}} of a statement must end with :i (an identifier), :l (a literal) or :s (a Sql)")


class WriteFile(Struct, frozen=True):
    """A file of the host, written aside and moved into place; *user* None: ourselves."""

    path: str
    content: bytes
    mode: int = 0o644
    user: str | None = None


class Run(Struct, frozen=True):
    """A command on the host; *user*: through sudo."""

    argv: tuple[str, ...]
    user: str | None = None


class Step(Struct, frozen=True):
    """Something that a room does by itself. The callable must be safe to run again."""

    call: Callable[[Context], object]


Action = Sql | WriteFile | Run | Step


class Change(Struct, frozen=True):
    """One thing to do: *verb* is create, alter, drop or run; *what* names the object.

    *detail* is for people: an excerpt, a difference, the reason. Several lines are shown with ``--verbose``.
    *idempotent*: may be made again when a lost connection leaves open whether it was made.
    """

    verb: str
    what: str
    action: Action
    detail: str = ""
    idempotent: bool = False

    def line(self, *, verbose: bool = False) -> Line:
        """Return the change as one line, with what it would do below it when *verbose*."""
        head, *rest = self.detail.splitlines() or [""]
        body = list(rest)
        if verbose and isinstance(self.action, Sql):
            body += [f"{part};" for part in [self.action.text.rstrip("; \n")]]
        if verbose and isinstance(self.action, Run):
            body.append(" ".join(self.action.argv))
        text = f"{self.what}  ({head})" if head else self.what
        return Line(text, mark=MARKS[self.verb], details=tuple(body) if verbose else ())

    def as_dict(self) -> dict[str, Any]:
        """Return the change as plain values."""
        value = {"verb": self.verb, "what": self.what, "detail": self.detail}
        if isinstance(self.action, Sql):
            value["sql"] = self.action.text
        return value


class Plan(Struct, frozen=True):
    """The changes that bring an environment to what its file declares, in order.

    *note* says what could not be planned, and why.
    """

    env: str
    changes: tuple[Change, ...] = ()
    note: str = ""

    def __add__(self, other: Plan) -> Plan:
        return Plan(self.env, self.changes + other.changes, self.note or other.note)

    def __bool__(self) -> bool:
        return bool(self.changes)

    @property
    def destroys(self) -> bool:
        """Whether anything is dropped."""
        return any(change.verb == "drop" for change in self.changes)

    def counts(self) -> dict[str, int]:
        """Return how many changes of each verb there are."""
        return {verb: sum(change.verb == verb for change in self.changes) for verb in MARKS}

    def groups(self) -> Iterator[tuple[Change, ...]]:
        """Yield the changes as they are applied: neighbouring SQL of one transaction together."""
        for key, group in groupby(enumerate(self.changes), lambda pair: _transaction(*pair)):
            changes = tuple(change for _, change in group)
            yield from [changes] if isinstance(key, tuple) else [(change,) for change in changes]


def _transaction(position: int, change: Change) -> tuple[str | None, str | None] | int:
    action = change.action
    if isinstance(action, Sql) and action.transaction:
        return (action.database, action.role)
    return position


class Planned(Answer, frozen=True):
    """The answer of ``plan`` and of every dry run."""

    plan: Plan
    verbose: bool = False
    next: str = ""

    @property
    def pending(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.plan)

    def as_dict(self) -> dict[str, Any]:
        """Return the plan with its SQL."""
        return {**as_dict(self.plan), "dry_run": True}

    def view(self) -> View:
        """Return a line a change and the counted verdict."""
        plan = self.plan
        if not plan:
            return View(verdict=plan.note or "no changes")
        counts = plan.counts()
        verdict = ", ".join(f"{counts[verb]} to {verb}" for verb in ("create", "alter", "drop"))
        verdict += f", {counts['run']} to run" if counts["run"] else ""
        blocks = tuple(change.line(verbose=self.verbose) for change in plan.changes)
        return View(blocks + ((Line(plan.note),) if plan.note else ()), verdict, next=self.next)


class Applied(Answer, frozen=True):
    """The answer of a plan that was applied."""

    plan: Plan
    seconds: float
    next: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return what was done."""
        return {**as_dict(self.plan), "dry_run": False, "seconds": round(self.seconds, 3)}

    @property
    def summary(self) -> str:
        """The counted verdict: "2 created, 1 altered, 0 dropped (0.8 s)"."""
        if not self.plan:
            return "no changes"
        counts = self.plan.counts()
        done = f"{counts['create']} created, {counts['alter']} altered, {counts['drop']} dropped"
        done += f", {counts['run']} run" if counts["run"] else ""
        return f"{done} ({self.seconds:.1f} s)"

    def view(self) -> View:
        """Return the verdict; the changes were shown as they happened."""
        return View(verdict=self.summary, next=self.next)


def as_dict(plan: Plan) -> dict[str, Any]:
    """Return a plan as plain values."""
    value: dict[str, Any] = {"changes": [change.as_dict() for change in plan.changes], **plan.counts()}
    return {**value, "note": plan.note} if plan.note else value


def changes(env: str, items: Iterable[Change]) -> Plan:
    """Return a plan of *items*."""
    return Plan(env, tuple(items))
