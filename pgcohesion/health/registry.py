"""The checks: a function each in ``checks/<topic>.py``, found by themselves.

A check is SQL and a pure function ``evaluate(rows, limits) -> Finding | list[Finding]``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha256
from importlib import import_module
from inspect import cleandoc
from pkgutil import iter_modules
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from ..view import Grade

Evaluate = Callable[[list[Any], "Limits"], "Finding | list[Finding]"]
_checks: dict[str, Check] = {}


class Finding(Struct, frozen=True):
    """What a check found: *text* has the measured value, *fix* lines to paste, *object* what it is about.

    *undo* brings back what the fix takes away; *threshold* is the limit that *value* has passed.
    """

    grade: Grade
    text: str
    fix: str = ""
    object: str = ""
    value: float | None = None
    check: str = ""
    undo: str = ""
    threshold: float | None = None
    database: str = ""

    @property
    def fingerprint(self) -> str:
        """The same for the same trouble of the same object, run after run."""
        return sha256(f"{self.check}\0{self.database}\0{self.object}".encode()).hexdigest()[:10]


class Limits(Struct, frozen=True):
    """The thresholds of a check in an environment; None: this grade is never reached."""

    warn: float | None = None
    fail: float | None = None
    objects: dict[str, Limits] = {}

    @classmethod
    def of(cls, check: Check, changed: Any) -> Limits:
        """Return the check's own limits with the environment's changes."""
        own = cls(check.warn, check.fail)
        return own if changed is None else own._changed(changed)

    def _changed(self, by: Any) -> Limits:
        warn = self.warn if by.warn is None else by.warn
        fail = self.fail if by.fail is None else by.fail
        changed = Limits(warn, fail)
        return Limits(warn, fail, {name: changed._changed(one) for name, one in getattr(by, "objects", {}).items()})

    def of_object(self, name: str) -> Limits:
        """Return the limits of one object: its own, or those of all."""
        return self.objects.get(name, self)

    def grade(self, value: float) -> Grade:
        """Return the grade of *value*: the higher the worse."""
        if self.fail is not None and value >= self.fail:
            return Grade.FAIL
        return Grade.WARN if self.warn is not None and value >= self.warn else Grade.OK

    def finding(self, value: float, text: str, *, fix: str = "", object: str = "", undo: str = "") -> Finding:  # noqa: A002
        """Return the finding of *value* of *object*; fix and undo are kept only when it is not ok."""
        limits = self.of_object(object)
        grade = limits.grade(value)
        if grade is Grade.OK:
            return Finding(grade, text, "", object, value)
        threshold = limits.fail if grade is Grade.FAIL else limits.warn
        return Finding(grade, text, fix, object, value, undo=undo, threshold=threshold)


class Check(Struct, frozen=True):
    """A check: *scope* cluster asks once, database asks each declared database.

    *area* is its topic, *why* what its trouble leads to. *guard* is SQL that says whether this role may ask; where it
    says no, the finding is ``skipped: needs`` *needs*. *cost*: quick checks look at no relation, deep ones read much.
    *before* is a major version and the query for servers older than it, where a view has moved.
    """

    id: str
    title: str
    query: str
    evaluate: Evaluate
    scope: Literal["cluster", "database"] = "cluster"
    warn: float | None = None
    fail: float | None = None
    min_version: int = 14
    area: str = ""
    why: str = ""
    cost: Literal["quick", "standard", "deep"] = "standard"
    guard: str = ""
    needs: str = ""
    before: tuple[int, str] | None = None

    def query_on(self, version: int) -> str:
        """Return the query for a server of this major version."""
        return self.before[1] if self.before and version < self.before[0] else self.query


def check_of(  # noqa: PLR0913  (what is true of a check, by name)
    query: str,
    *,
    warn: float | None = None,
    fail: float | None = None,
    scope: Literal["cluster", "database"] = "cluster",
    min_version: int = 14,
    cost: Literal["quick", "standard", "deep"] = "standard",
    guard: str = "",
    needs: str = "",
    before: tuple[int, str] | None = None,
) -> Callable[[Evaluate], Check]:
    """Register a function as a check: its name is the id, its docstring's first line the title, the rest *why*."""

    def register(function: Evaluate) -> Check:
        name: str = function.__name__
        title, _, why = cleandoc(function.__doc__ or name).partition("\n")
        area = function.__module__.rpartition(".")[2]
        made = Check(
            name,
            title,
            query,
            function,
            scope,
            warn,
            fail,
            min_version,
            area,
            " ".join(why.split()),
            cost,
            guard,
            needs,
            before,
        )
        _checks[name] = made
        return made

    return register


def most(found: list[Finding], shown: int = 20) -> list[Finding]:
    """Return the first findings, worst first; where there are more, the last one says how many."""
    found = sorted(found, key=lambda finding: finding.grade is not Grade.FAIL)
    if len(found) <= shown:
        return found
    first = found[shown]
    more = Finding(first.grade, f"and {len(found) - shown} more like these", first.fix, threshold=first.threshold)
    return [*found[:shown], more]


def load() -> list[Check]:
    """Import every topic and return all checks, sorted by id."""
    from . import checks

    for module in iter_modules(checks.__path__):
        import_module(f"{checks.__name__}.{module.name}")
    return [_checks[name] for name in sorted(_checks)]


def findings(check: Check, rows: list[Any], limits: Limits, database: str = "") -> Iterable[Finding]:
    """Evaluate *rows*; a finding of a database names it."""
    result = check.evaluate(rows, limits)
    for finding in result if isinstance(result, list) else [result]:
        where = f"{database}: " if database else ""
        yield replace(finding, text=where + finding.text, check=check.id, database=database)
