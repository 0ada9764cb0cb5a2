"""What is new, gone or worse since the last run that looked at the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from msgspec import Struct

from ..view import Grade
from .registry import Finding

if TYPE_CHECKING:
    from .history import History

UNASKED = ("availability", "databases")
"""Checks that tell what could not be asked, also where they were not wanted."""
SEVERITY = (Grade.OK, Grade.INFO, Grade.SKIPPED, Grade.UNKNOWN, Grade.WARN, Grade.FAIL)


class Known(Struct, frozen=True):
    """A finding of a run before, as it was then."""

    fingerprint: str
    check: str
    grade: Grade
    object: str
    database: str
    host: str
    value: float | None
    threshold: float | None
    text: str
    fix: str = ""
    undo: str = ""


class Changes(Struct, frozen=True):
    """The difference between two runs, by fingerprint; *since* is when the earlier one was (epoch seconds).

    *gone* are the findings that are no more. Findings of checks that could not be asked this time are not gone.
    """

    since: float
    new: tuple[str, ...]
    worse: tuple[str, ...]
    better: tuple[str, ...]
    gone: tuple[Known, ...]

    def state(self, finding: Finding) -> str:
        """Return new, worse, better or an empty word."""
        mark = finding.fingerprint
        return next((word for word in ("new", "worse", "better") if mark in getattr(self, word)), "")


def compare(history: History, findings: Iterable[Finding], now: float) -> Changes | None:
    """Return what has changed since the newest run that ran all of these checks; None when there was none."""
    found = list(findings)
    past = history.last(now, {finding.check for finding in found}.difference(UNASKED))
    if past is None:
        return None
    return between(past.at, history.findings(past.id), found)


def between(since: float, before: Iterable[Known], now: Iterable[Finding]) -> Changes:
    """Return the difference; only what is a warning or a failure now, or was, counts."""
    old = {known.fingerprint: known for known in before if known.grade in (Grade.WARN, Grade.FAIL)}
    found = list(now)
    bad = {one.fingerprint: one for one in found if one.grade in (Grade.WARN, Grade.FAIL)}
    judged = judging(found)
    both = [(mark, bad[mark].grade, old[mark].grade) for mark in bad if mark in old]
    return Changes(
        since,
        tuple(mark for mark in bad if mark not in old),
        tuple(mark for mark, new, was in both if SEVERITY.index(new) > SEVERITY.index(was)),
        tuple(mark for mark, new, was in both if SEVERITY.index(new) < SEVERITY.index(was)),
        tuple(
            known for mark, known in old.items() if mark not in bad and judged(known.check, known.host, known.database)
        ),
    )


def judging(findings: Iterable[Finding]) -> Callable[[str, str, str], bool]:
    """Return whether a run could judge a check, on a host, in a database: what it does not find there is gone."""
    found = list(findings)
    ran = {(one.check, one.host) for one in found}
    silent = {(one.check, one.host, one.database) for one in found if one.grade in (Grade.UNKNOWN, Grade.SKIPPED)}
    closed = {(one.host, one.database) for one in found if one.check == "databases" and one.database}
    return lambda check, host, database: (
        (check, host) in ran and (check, host, database) not in silent and (host, database) not in closed
    )
