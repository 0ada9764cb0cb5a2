"""What health tasks answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from inspect import cleandoc
from typing import Any, Literal

from msgspec import to_builtins
from msgspec.structs import replace

from ..connections.availability import ADVICE
from ..errors import UNREACHABLE, Unreachable
from ..view import Answer, Grade, Line, Table, View, count, moment, span
from .changes import SEVERITY, Changes, Known
from .registry import YOUNG, Check, Finding, Limits


class Report(Answer, frozen=True):
    """The findings of one run; *at* is when it was (epoch seconds), *changes* the difference to the run before.

    *fail_on* is the grade that makes the exit code 1; *differing* shows the changes only, *verbose* also what is info.
    """

    results: tuple[Finding, ...]
    seconds: float
    env: str
    at: float = 0.0
    changes: Changes | None = None
    fail_on: Literal["fail", "warn", "never"] = "fail"
    differing: bool = False
    verbose: bool = False

    @property
    def failed(self) -> bool:
        """Whether a check is at *fail_on*, or worse."""
        return (
            self.grade is Grade.FAIL
            if self.fail_on == "fail"
            else self.fail_on == "warn" and self.grade is not Grade.OK
        )

    @property
    def code(self) -> int | None:
        """Out of reach is another exit code than a check at fail."""
        return UNREACHABLE if self.trouble and self.fail_on != "never" else None

    @property
    def down(self) -> dict[str, Finding]:
        """Why servers could not be asked, by their hosts; the primary has no name here."""
        silent = (*ADVICE, "unreachable")
        return {one.host: one for one in self.results if one.check == "availability" and one.kind in silent}

    @property
    def trouble(self) -> Finding | None:
        """Why the primary could not be asked, if it could not."""
        return self.down.get("")

    def over(self, before: Iterable[Finding]) -> tuple[Finding, ...]:
        """Return the findings, and those of *before* of other checks; none of a host that does not answer any more."""
        ran, down = {one.check for one in self.results}, self.down
        return (*self.results, *(one for one in before if one.check not in ran and one.host not in down))

    def demand(self, what: str) -> None:
        """Raise Unreachable, saying *what* could not be done, when the primary could not be asked."""
        if self.trouble:
            raise Unreachable(what, why=self.trouble.text, fix=self.trouble.fix, kind=self.trouble.kind)

    @property
    def grade(self) -> Grade:
        """The worst grade; unknown and skipped are no verdict of the whole."""
        grades = {finding.grade for finding in self.results}
        return next((grade for grade in (Grade.FAIL, Grade.WARN) if grade in grades), Grade.OK)

    @property
    def by_check(self) -> dict[str, Grade]:
        """The worst grade of each check."""
        worst: dict[str, Grade] = {}
        for finding in self.results:
            worst[finding.check] = max(worst.get(finding.check, Grade.OK), finding.grade, key=SEVERITY.index)
        return worst

    @property
    def verdict(self) -> str:
        """The counted verdict: ``healthy: 12 checks: 12 ok (0.1 s)``."""
        by_check = self.by_check
        counts = [
            f"{sum(g is grade for g in by_check.values())} {grade}"
            for grade in SEVERITY
            if grade is Grade.OK or grade in by_check.values()
        ]
        word = {Grade.OK: "healthy", Grade.WARN: "warn", Grade.FAIL: "fail"}[self.grade]
        return f"{word}: {count(len(by_check), 'check')}: {', '.join(counts)} ({self.seconds:.1f} s)"

    def findings(self) -> Iterator[Line]:
        """Yield a line for each finding that is not ok, the worst last; what is too young to tell is one line.

        A mere note is hidden, unless it is on its way to a limit.
        """
        young = [finding for finding in self.results if finding.kind == YOUNG]
        if young and not self.differing:
            names = ", ".join(dict.fromkeys(finding.check for finding in young))
            yield Line(f"counters are too young to tell: {names}", grade=Grade.UNKNOWN)
        for finding in sorted(_together(self.results), key=lambda finding: SEVERITY.index(finding.grade)):
            note = finding.grade is Grade.INFO and finding.threshold is None
            if finding.grade is Grade.OK or finding.kind == YOUNG or (note and not self.verbose):
                continue
            state = self.changes.state(finding) if self.changes and self.differing else ""
            if state or not self.differing:
                yield Line(f"{finding.check}: {said(finding, state)}", grade=finding.grade, details=_lines(finding))

    def as_dict(self) -> dict[str, Any]:
        """Return every finding, also those that are ok, as ``docs/health-report.schema.json`` says."""
        trouble = self.trouble
        error = (
            {"code": "unreachable", "what": trouble.text, "why": trouble.kind, "fix": trouble.fix} if trouble else None
        )
        return {
            "grade": str(self.grade),
            "seconds": round(self.seconds, 3),
            "findings": [as_dict(finding, self.changes) for finding in self.results],
            "changes": to_builtins(self.changes),
            **({"error": error} if error else {}),
        }

    def view(self) -> View:
        """Return the findings and the verdict."""
        blocks = [*self.findings()]
        if self.differing:
            blocks += [Line(f"{one.check}: {said(one)} (was {one.grade})", mark="-") for one in self._gone()]
            blocks += [] if self.changes else [Line("there is no earlier run of these checks to compare with")]
        verdict = self.verdict
        if self.changes and self.differing:
            words = {word: len(getattr(self.changes, word)) for word in ("new", "worse", "better", "gone")}
            since = span(max(0.0, self.at - self.changes.since))
            verdict += f"; since {since} ago {', '.join(f'{n} {word}' for word, n in words.items())}"
        return View(tuple(blocks), verdict, self.grade)

    def _gone(self) -> tuple[Known, ...]:
        return self.changes.gone if self.changes else ()


def _together(results: Iterable[Finding]) -> Iterable[Finding]:
    """Return the findings with what could not be asked said once: of several databases, of several checks."""
    once: dict[tuple[str, str, str], Finding] = {}
    for finding in results:
        skipped = finding.grade is Grade.SKIPPED
        if not skipped and (finding.grade is not Grade.UNKNOWN or finding.kind == YOUNG):
            yield finding
            continue
        key = (finding.check if skipped else "", finding.host, finding.text)
        before = once.get(key, finding)
        names = dict.fromkeys((before.database, finding.database))
        checks = dict.fromkeys((*before.check.split(", "), finding.check))
        once[key] = replace(finding, database=", ".join(filter(None, names)), check=", ".join(checks))
    yield from once.values()


def said(finding: Finding | Known, state: str = "") -> str:
    """Return what was found, with where: the host and the database."""
    where = ": ".join(filter(None, (finding.host, finding.database)))
    return f"{f'{state}: ' if state else ''}{f'{where}: ' if where else ''}{finding.text}"


def _lines(finding: Finding | Known) -> tuple[str, ...]:
    bad = isinstance(finding, Finding) and finding.grade in (Grade.WARN, Grade.FAIL)
    said = (
        ("why", finding.why if isinstance(finding, Finding) and bad else ""),
        ("fix", finding.fix),
        ("undo", finding.undo),
        ("id", finding.fingerprint if bad else ""),
    )
    return tuple(
        f"{f'{word}:' if n == 0 else '':<6}{line}" for word, text in said for n, line in enumerate(text.splitlines())
    )


def as_dict(finding: Finding, changes: Changes | None = None) -> dict[str, Any]:
    """Return a finding as plain values."""
    value: dict[str, Any] = to_builtins(finding)
    return {**value, "fingerprint": finding.fingerprint, "change": changes.state(finding) if changes else ""}


class Listed(Answer, frozen=True):
    """The checks and their limits here."""

    checks: tuple[Check, ...]
    limits: dict[str, Limits]
    disabled: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return a value a check, with its query."""
        return {
            "checks": [
                {
                    "id": check.id,
                    "area": check.area,
                    "title": check.title,
                    "cost": check.cost,
                    "scope": check.scope,
                    "warn": self.limits[check.id].warn,
                    "fail": self.limits[check.id].fail,
                    "enabled": check.id not in self.disabled,
                    "query": check.query.strip(),
                }
                for check in self.checks
            ]
        }

    def view(self) -> View:
        """Return a row a check."""
        rows = tuple(
            (
                check.area,
                check.id,
                _limit(self.limits[check.id].warn),
                _limit(self.limits[check.id].fail),
                "off" if check.id in self.disabled else check.title,
            )
            for check in sorted(self.checks, key=lambda check: (check.area, check.id))
        )
        return View((Table(("area", "check", "warn", "fail", "what"), rows, prose=True),), count(len(rows), "check"))


class Explained(Answer, frozen=True):
    """A check in full, and of a finding when it was first and last *seen* (epoch seconds) and what it said."""

    check: Check
    limits: Limits
    seen: tuple[float, float, Known] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return what it looks at, why, its limits and its query."""
        check = self.check
        value: dict[str, Any] = {
            "id": check.id,
            "area": check.area,
            "title": check.title,
            "why": check.why,
            "warn": self.limits.warn,
            "fail": self.limits.fail,
            "cost": check.cost,
            "needs": check.needs,
            "min_version": check.min_version,
            "query": check.query.strip(),
        }
        if self.seen:
            first, last, known = self.seen
            value["finding"] = {**to_builtins(known), "first_seen": _utc(first), "last_seen": _utc(last)}
        return value

    def view(self) -> View:
        """Return the text, then what was found, or the query to paste."""
        check = self.check
        lines = [f"{check.id} ({check.area}): {check.title}", *([check.why] if check.why else [])]
        bounds = [
            f"{word} at {_limit(limit)}"
            for word, limit in (("warn", self.limits.warn), ("fail", self.limits.fail))
            if limit is not None
        ]
        lines += [f"limits: {', '.join(bounds)}"] if bounds else []
        lines += [f"needs: {check.needs}"] if check.needs else []
        blocks = [Line(line, prose=not line.startswith("needs:")) for line in lines]
        if self.seen:
            first, last, known = self.seen
            when = f"first seen {moment(datetime.fromtimestamp(first, UTC))}"
            when += f", last {moment(datetime.fromtimestamp(last, UTC))}"
            details = (*_lines(known), when)
            return View((*blocks, Line(""), Line(said(known), grade=known.grade, details=details)))
        query = (
            cleandoc(check.query).splitlines() if check.query else [f"-- its facts come from {check.source or 'us'}"]
        )
        return View((*blocks, Line(""), *(Line(line) for line in query)))


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _limit(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"
