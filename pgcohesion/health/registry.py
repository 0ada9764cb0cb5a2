"""The checks: a function each in ``checks/<topic>.py``, found by themselves.

A check is SQL and a pure function ``evaluate(rows, limits) -> Finding | list[Finding]``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from functools import partial
from hashlib import sha256
from importlib import import_module
from inspect import cleandoc
from pkgutil import iter_modules
from types import MappingProxyType
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from ..view import Grade

Evaluate = Callable[[list[Any], "Limits"], "Finding | list[Finding]"]
Scope = Literal["cluster", "database", "host"]
Cost = Literal["quick", "standard", "deep"]
_checks: dict[str, Check] = {}
into: ContextVar[dict[str, Check]] = ContextVar("into", default=_checks)
"""Where a check that is registered goes: among ours, unless who imports somebody else's keeps them apart."""
NONE: Mapping[str, str] = MappingProxyType({})
UNDECIDED = "it could not decide"
ROLE = "<role>"
"""In the GRANT that a skipped finding names: whose checks were skipped, as an identifier."""
LOG = "SELECT pg_current_logfile();  -- "
"""How a fix begins that leads to the server's log; where packages write one, their file takes its place."""
YOUNG = "young"
"""The kind of a finding that is unknown because its counters are."""


class Finding(Struct, frozen=True):
    """What a check found: *text* has the value, *why* it matters, *fix* lines to paste, *object* what it is about.

    *undo* brings back what the fix takes away; *threshold* is the limit that *value* has passed. *kind* is the class of
    a trouble that has several; *forecast* the days until what *value* measures is used up, at the rate of late. *part*
    tells apart what several parts of one object have: a table and its TOAST table.
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
    host: str = ""
    kind: str = ""
    forecast: float | None = None
    why: str = ""
    part: str = ""

    @property
    def fingerprint(self) -> str:
        """The same for the same trouble of the same object, run after run."""
        of = (self.check, self.host, self.database, self.object, *filter(None, [self.part]))
        return sha256("\0".join(of).encode()).hexdigest()[:10]


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

    def finding(
        self,
        value: float,
        text: str,
        *,
        fix: str = "",
        object: str = "",  # noqa: A002
        undo: str = "",
        note: float | None = None,
        part: str = "",
    ) -> Finding:
        """Return the finding of *value* of *object*; fix and undo are kept only when it is not ok.

        What is short of the limits and has passed *note* is told as ``info``: it is not wrong yet, and is what somebody
        who looks just now wants to see.
        """
        limits = self.of_object(object)
        grade = limits.grade(value)
        if grade is Grade.OK and note is not None and value >= note:
            return Finding(Grade.INFO, text, fix, object, value, undo=undo, threshold=limits.warn, part=part)
        if grade is Grade.OK:
            return Finding(grade, text, "", object, value, part=part)
        threshold = limits.fail if grade is Grade.FAIL else limits.warn
        return Finding(grade, text, fix, object, value, undo=undo, threshold=threshold, part=part)


class Check(Struct, frozen=True, kw_only=True):
    """A check: *scope* cluster asks once a server, database each database, host each machine.

    *area* is its topic, *why* what its trouble leads to. *query* is its SQL (*before*: another one for older major
    versions); without one, its rows are the facts of *source*. *guard* is SQL that says whether this role may ask;
    where it says no, the finding is ``skipped: needs`` *needs*. *cost*: quick checks look at no relation, deep ones
    read much. *counters* grow for ever and are judged over a window, row by row (*key* tells rows apart); *full* is the
    value at which something is used up, for forecasts. *extended* is an extension and the query that is asked in place
    of the other where it is installed, ``{schema}`` being where. *everywhere*: what it finds must be true on every
    node, also on replicas. *across*: the rows of all servers are judged together, each with its ``host`` ("" is the
    primary). *external*: it was not shipped with pgcohesion. *examples* are rows and the worst grade
    that they must get.
    """

    id: str
    title: str
    evaluate: Evaluate
    query: str = ""
    source: str = ""
    scope: Scope = "cluster"
    warn: float | None = None
    fail: float | None = None
    full: float | None = None
    min_version: int = 14
    area: str = ""
    why: str = ""
    cost: Cost = "standard"
    guard: str = ""
    needs: str = ""
    before: tuple[int, str] | None = None
    extended: tuple[str, str] | None = None
    counters: tuple[str, ...] = ()
    key: str = ""
    external: bool = False
    everywhere: bool = False
    across: bool = False
    examples: tuple[tuple[Any, str], ...] = ()

    @property
    def reason(self) -> str:
        """Why it matters, in one sentence."""
        return self.why.partition(". ")[0].rstrip(".") if self.why else self.title.rstrip(".")

    def query_on(self, version: int, extensions: Mapping[str, str] = NONE) -> str:
        """Return the query for a server of this major version, and of these extensions (name: quoted schema)."""
        if self.extended and self.extended[0] in extensions:
            return self.extended[1].replace("{schema}", extensions[self.extended[0]])
        return self.before[1] if self.before and version < self.before[0] else self.query


DATABASES = Check(
    id="databases",
    title="Databases that are declared and missing, or that cannot be looked into.",
    why="Nothing that is wrong in them is found. They may be ignored, as what any check finds.",
    area="availability",
    evaluate=lambda *_: [],
)
"""What a run finds on its way, whichever checks it is for: it is never asked for by itself."""


def check_of(  # noqa: PLR0913  (what is true of a check, by name)
    query: str,
    *,
    warn: float | None = None,
    fail: float | None = None,
    full: float | None = None,
    scope: Scope = "cluster",
    min_version: int = 14,
    cost: Cost = "standard",
    guard: str = "",
    needs: str = "",
    before: tuple[int, str] | None = None,
    extended: tuple[str, str] | None = None,
    counters: tuple[str, ...] = (),
    key: str = "",
    everywhere: bool = False,
    across: bool = False,
    examples: Sequence[tuple[Any, str]] = (),
) -> Callable[[Evaluate], Check]:
    """Register a function as a check: its name is the id, its docstring's first line the title, the rest *why*.

    A query with *counters* also returns ``age``, the seconds since they began (NULL: nobody knows). Its rows then have
    the increase in place of the counters, and ``seconds``, the window in which it came: since a run of the last hour,
    or else since the counters began (0: nobody knows since when).
    """
    return partial(
        _register,
        query=query,
        warn=warn,
        fail=fail,
        full=full,
        scope=scope,
        min_version=min_version,
        cost=cost,
        guard=guard,
        needs=needs,
        before=before,
        extended=extended,
        counters=counters,
        key=key,
        everywhere=everywhere,
        across=across,
        examples=tuple(examples),
    )


def probe(
    source: str,
    *,
    warn: float | None = None,
    fail: float | None = None,
    full: float | None = None,
    scope: Scope = "cluster",
    cost: Cost = "quick",
    needs: str = "",
) -> Callable[[Evaluate], Check]:
    """Register a function whose rows are what ``sources/<source>.py`` reads, not rows of the server."""
    return partial(_register, source=source, warn=warn, fail=fail, full=full, scope=scope, cost=cost, needs=needs)


def _register(function: Evaluate, **facts: Any) -> Check:
    name: str = function.__name__
    title, _, why = cleandoc(function.__doc__ or name).partition("\n")
    area = function.__module__.rpartition(".")[2]
    made = Check(id=name, title=title, why=" ".join(why.split()), area=area, evaluate=function, **facts)
    into.get()[name] = made
    return made


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


def findings(check: Check, rows: list[Any], limits: Limits, database: str = "", host: str = "") -> Iterable[Finding]:
    """Evaluate *rows*; a finding tells where it was found. A decision that cannot be made is ``unknown``, with why."""
    try:
        result = check.evaluate(rows, limits)
    except Exception as error:  # noqa: BLE001  (one check's mistake must not lose what the others found)
        result = Finding(Grade.UNKNOWN, f"{UNDECIDED}: {type(error).__name__}: {error}")
    for finding in result if isinstance(result, list) else [result]:
        yield replace(finding, check=check.id, database=database, host=host or finding.host, why=check.reason)
