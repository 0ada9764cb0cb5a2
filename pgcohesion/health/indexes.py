"""Which indexes are missing, and which can go: what the checks find in all databases, and what a new one would gain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import psycopg
from msgspec import Struct, to_builtins
from msgspec.structs import replace
from psycopg.sql import SQL, Literal

from ..errors import CohesionError
from ..view import Answer, Grade, Line, Table, View, size
from .asking import ask
from .catalogue import PAGE
from .registry import YOUNG, Finding
from .report import Report
from .whatif import Gain, gains

if TYPE_CHECKING:
    from ..context import Context

KINDS = {
    "unindexed_foreign_keys": "missing",
    "missing_indexes": "missing",
    "duplicate_indexes": "redundant",
    "prefix_indexes": "redundant",
    "unused_indexes": "unused",
    "invalid_indexes": "invalid",
    "index_bloat": "bloated",
    "null_indexes": "bloated",
    "many_indexes": "many",
}
CHECKS = ",".join(KINDS)
COUNTED = ("missing", "redundant", "unused", "invalid", "bloated")
BAD = (Grade.WARN, Grade.FAIL)
SIZES = SQL(f"""SELECT n.name, c.relpages * {PAGE} AS bytes
  FROM unnest({{}}::text[]) AS n (name) JOIN pg_class c ON c.oid = to_regclass(n.name)""")  # noqa: S608  (a constant)


class Advice(Struct, frozen=True):
    """What to do about an index, or a table that lacks one: *bytes* is its size now (None: it cannot be told).

    *gain* is the share of a statement's cost that a new index saves, as the planner sees it (None: not tried).
    *grade* ``unknown``: not every node, or not long enough a time, says so.
    """

    kind: str
    database: str
    object: str
    why: str
    fix: str = ""
    undo: str = ""
    bytes: float | None = None
    gain: float | None = None
    grade: Grade = Grade.WARN

    @property
    def line(self) -> str:
        """The fix in one line, without what it explains; all of it where it is nothing but that."""
        lines = self.fix.splitlines()
        return " ".join([one for one in lines if not one.startswith("--")] or lines)


class Advised(Answer, frozen=True):
    """All advice; *notes* say what could not be looked at."""

    advice: tuple[Advice, ...]
    notes: tuple[Line, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return a value an advice, and how many there are of each kind."""
        return {
            "indexes": [to_builtins(one) for one in self.advice],
            "counts": self.counts,
            "notes": [note.text for note in self.notes],
        }

    @property
    def counts(self) -> dict[str, int]:
        """How many of each kind are certain."""
        certain = [one.kind for one in self.advice if one.grade in BAD]
        return {kind: certain.count(kind) for kind in COUNTED}

    def view(self) -> View:
        """Return one table, what is not known, and the count."""
        several = len({one.database for one in self.advice}) > 1
        header = ("what", *(("database",) if several else ()), "size", "why", "fix")
        rows = tuple(
            (
                one.kind if one.grade in BAD else f"{one.kind}?",
                *((one.database,) if several else ()),
                "" if one.bytes is None else size(one.bytes),
                one.why,
                one.line,
            )
            for one in self.advice
        )
        counts = self.counts
        verdict = ", ".join(f"{number} {kind}" for kind, number in counts.items())
        gone = {
            (one.database, one.object): one.bytes or 0.0
            for one in self.advice
            if one.kind in ("redundant", "unused") and one.grade in BAD
        }
        verdict += f"; {size(sum(gone.values()))} to give back" if gone else ""
        table = (Table(header, rows),) if rows else ()
        return View((*table, *self.notes), verdict, Grade.WARN if any(counts.values()) else Grade.OK)


def advise(ctx: Context, report: Report) -> Advised | Report:
    """Make advice of what the index checks found; the report itself where the server could not be asked."""
    if report.trouble:
        return report
    found = [one for one in report.results if one.check in KINDS and one.object and one.kind != YOUNG]
    found = [one for one in found if one.grade in (*BAD, Grade.INFO, Grade.UNKNOWN)]
    advice, notes = [_advice(one) for one in found], [*_notes(report.results)]
    said: dict[str, list[str]] = {}
    for database in _databases(report.results):
        mine = [one for one in advice if one.database == database]
        advice = [one for one in advice if one.database != database]
        try:
            more, unsaid = _looked(ctx, database, mine)
        except (CohesionError, psycopg.Error) as error:
            more, unsaid = mine, [f"no sizes, and no index was tried: {error}"]
        advice += more
        for text in unsaid:
            said.setdefault(text, []).append(database)
    notes += [Line(f"{', '.join(names)}: {text}", grade=Grade.INFO) for text, names in said.items()]
    order = [*COUNTED, "many"]
    advice.sort(key=lambda one: (one.grade not in BAD, order.index(one.kind), -(one.bytes or 0.0), one.object))
    return Advised(tuple(_once(advice)), tuple(dict.fromkeys(notes)))


def _once(advice: Iterable[Advice]) -> Iterator[Advice]:
    """Yield the first advice of those that end in the same: what is redundant is often unused, too."""
    seen = set()
    for one in advice:
        key = (one.database, one.object, one.fix or one.why)
        if key not in seen:
            seen.add(key)
            yield one


def _advice(one: Finding) -> Advice:
    return Advice(KINDS[one.check], one.database, one.object, one.text, one.fix, one.undo, grade=one.grade)


def _notes(findings: Iterable[Finding]) -> Iterable[Line]:
    young = sum(one.kind == YOUNG for one in findings if one.check in KINDS)
    if young:
        yield Line(f"{young} were not used yet, and the counters are too young to tell", grade=Grade.UNKNOWN)
    for one in findings:
        lost = one.grade in (Grade.UNKNOWN, Grade.SKIPPED) and one.check in KINDS and not one.object
        if (lost and one.kind != YOUNG) or (one.grade in BAD and one.check not in KINDS):
            yield Line(": ".join(filter(None, (one.host, one.database, one.check, one.text))), grade=one.grade)


def _databases(findings: Sequence[Finding]) -> list[str]:
    """Return the databases that answered."""
    asked = {one.database for one in findings if one.check in KINDS and one.database and not one.host}
    return sorted(asked)


def _looked(ctx: Context, database: str, advice: list[Advice]) -> tuple[list[Advice], list[str]]:
    """Return *advice* with sizes, and with what an index would gain the statements of this database."""
    with ctx.watched.within(ctx.config.health.timeout):
        connection = ctx.watched.connection(database)
        timeout = ctx.config.health.timeout / 2
        names = sorted({one.object for one in advice})
        (sizes,) = ask(connection, [SIZES.format(Literal(names)).as_string(connection)], timeout)
        known = {} if isinstance(sizes, psycopg.Error) else {row.name: row.bytes for row in sizes}
        advice = [replace(one, bytes=known.get(one.object)) for one in advice]
        found, notes = gains(connection, timeout)
    return _with(advice, found, database), notes


def _with(advice: list[Advice], found: Iterable[Gain], database: str) -> list[Advice]:
    """Return *advice* with each gain: at the key that it serves, in place of a scan without a condition, or new."""
    for gain in found:
        same = [one for one in advice if one.kind == "missing" and one.fix.endswith(gain.statement)]
        advice = [
            replace(one, gain=gain.share, why=f"{one.why}; {gain.why}") if one in same else one
            for one in advice
            if one.kind != "missing" or one.object != gain.table or one in same or not _vague(one)
        ]
        if not same:
            new = Advice("missing", database, gain.table, f"{gain.table}: {gain.why}", gain.statement)
            advice.append(replace(new, bytes=gain.bytes, gain=gain.share))
    return advice


def _vague(one: Advice) -> bool:
    """Return whether the advice does not know which columns."""
    return all(line.startswith("--") for line in one.fix.splitlines())
