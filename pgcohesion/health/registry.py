"""The checks: a function each in ``checks/<topic>.py``, found by themselves.

A check is SQL and a pure function ``evaluate(rows, limits) -> Finding | list[Finding]``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Literal

from msgspec import Struct

from ..view import Grade

Evaluate = Callable[[list[Any], "Limits"], "Finding | list[Finding]"]
_checks: dict[str, Check] = {}


class Finding(Struct, frozen=True):
    """What a check found: *text* has the measured value, *fix* lines to paste, *object* what it is about."""

    grade: Grade
    text: str
    fix: str = ""
    object: str = ""
    value: float | None = None
    check: str = ""


class Limits(Struct, frozen=True):
    """The thresholds of a check in an environment; None: this grade is never reached."""

    warn: float | None = None
    fail: float | None = None

    @classmethod
    def of(cls, check: Check, changed: Any) -> Limits:
        """Return the check's own limits with the environment's changes."""
        if changed is None:
            return cls(check.warn, check.fail)
        return cls(
            check.warn if changed.warn is None else changed.warn, check.fail if changed.fail is None else changed.fail
        )

    def grade(self, value: float) -> Grade:
        """Return the grade of *value*: the higher the worse."""
        if self.fail is not None and value >= self.fail:
            return Grade.FAIL
        return Grade.WARN if self.warn is not None and value >= self.warn else Grade.OK

    def finding(self, value: float, text: str, *, fix: str = "", object: str = "") -> Finding:  # noqa: A002
        """Return the finding of *value*; the fix is kept only when it is not ok."""
        grade = self.grade(value)
        return Finding(grade, text, fix if grade is not Grade.OK else "", object, value)


class Check(Struct, frozen=True):
    """A check: *scope* cluster asks once, database asks each declared database."""

    id: str
    title: str
    query: str
    evaluate: Evaluate
    scope: Literal["cluster", "database"] = "cluster"
    warn: float | None = None
    fail: float | None = None
    min_version: int = 14


def check_of(
    query: str,
    *,
    warn: float | None = None,
    fail: float | None = None,
    scope: Literal["cluster", "database"] = "cluster",
    min_version: int = 14,
) -> Callable[[Evaluate], Check]:
    """Register a function as a check; its name is the id, the first line of its docstring the title."""

    def register(function: Evaluate) -> Check:
        name: str = function.__name__
        title = (function.__doc__ or name).splitlines()[0]
        made = Check(name, title, query, function, scope, warn, fail, min_version)
        _checks[name] = made
        return made

    return register


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
        yield Finding(finding.grade, where + finding.text, finding.fix, finding.object, finding.value, check.id)
