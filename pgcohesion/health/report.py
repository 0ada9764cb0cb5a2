"""What health tasks answer."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import cleandoc
from typing import Any

from ..view import Answer, Grade, Line, Table, View, count
from .registry import Check, Finding, Limits

_ORDER = (Grade.OK, Grade.INFO, Grade.SKIPPED, Grade.UNKNOWN, Grade.WARN, Grade.FAIL)


class Report(Answer, frozen=True):
    """The findings of one run."""

    results: tuple[Finding, ...]
    seconds: float
    env: str

    @property
    def failed(self) -> bool:
        """Whether a check is at fail."""
        return self.grade is Grade.FAIL

    @property
    def grade(self) -> Grade:
        """The worst grade; unknown and skipped are no verdict of the whole."""
        grades = {finding.grade for finding in self.results}
        return next((grade for grade in (Grade.FAIL, Grade.WARN) if grade in grades), Grade.OK)

    @property
    def verdict(self) -> str:
        """The counted verdict: ``healthy: 12 checks: 12 ok (0.1 s)``."""
        by_check: dict[str, Grade] = {}
        for finding in self.results:
            worst = by_check.get(finding.check, Grade.OK)
            by_check[finding.check] = max(worst, finding.grade, key=_ORDER.index)
        counts = [
            f"{sum(g is grade for g in by_check.values())} {grade}"
            for grade in reversed(_ORDER)
            if grade is Grade.OK or grade in by_check.values()
        ]
        word = {Grade.OK: "healthy", Grade.WARN: "warn", Grade.FAIL: "fail"}[self.grade]
        return f"{word}: {count(len(by_check), 'check')}: {', '.join(reversed(counts))} ({self.seconds:.1f} s)"

    def findings(self) -> Iterator[Line]:
        """Yield a line for each finding that is not ok, the worst last."""
        for finding in sorted(self.results, key=lambda finding: _ORDER.index(finding.grade)):
            if finding.grade is not Grade.OK:
                fix = tuple(
                    f"fix: {line}" if n == 0 else f"     {line}" for n, line in enumerate(finding.fix.splitlines())
                )
                yield Line(f"{finding.check}: {finding.text}", grade=finding.grade, details=fix)

    def as_dict(self) -> dict[str, Any]:
        """Return every finding, also those that are ok."""
        from msgspec import to_builtins

        return {"grade": str(self.grade), "seconds": round(self.seconds, 3), "findings": to_builtins(self.results)}

    def view(self) -> View:
        """Return the findings and the verdict."""
        return View(tuple(self.findings()), self.verdict, self.grade)


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
        return View((Table(("area", "check", "warn", "fail", "what"), rows),), count(len(rows), "check"))


class Explained(Answer, frozen=True):
    """A check in full."""

    check: Check
    limits: Limits

    def as_dict(self) -> dict[str, Any]:
        """Return what it looks at, why, its limits and its query."""
        check = self.check
        return {
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

    def view(self) -> View:
        """Return the text, then the query to paste."""
        check = self.check
        lines = [f"{check.id} ({check.area}): {check.title}", *([check.why] if check.why else [])]
        bounds = [
            f"{word} at {_limit(limit)}"
            for word, limit in (("warn", self.limits.warn), ("fail", self.limits.fail))
            if limit is not None
        ]
        lines += [f"limits: {', '.join(bounds)}"] if bounds else []
        lines += [f"needs: {check.needs}"] if check.needs else []
        return View(
            (*(Line(line) for line in lines), Line(""), *(Line(line) for line in cleandoc(check.query).splitlines()))
        )


def _limit(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"
