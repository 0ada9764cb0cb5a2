"""Who is told what, and when: the state before and what is found now in, the state after and messages out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from ...config.model import Alerts
from ...view import Grade
from ..changes import SEVERITY, judging
from ..registry import Finding

Kind = Literal["trouble", "worse", "reminder", "recovery"]
BAD = (Grade.WARN, Grade.FAIL)


class Case(Struct, frozen=True):
    """A trouble that is followed: when it was first seen, since when it is gone, when and of what grade it was told.

    Times in epoch seconds.
    """

    fingerprint: str
    check: str
    area: str
    grade: Grade
    text: str
    why: str
    fix: str
    object: str
    database: str
    host: str
    value: float | None
    threshold: float | None
    first: float
    gone: float | None = None
    told: float | None = None
    told_grade: Grade | None = None


class Event(Struct, frozen=True):
    """Something to tell: a case, and how long it has lasted in seconds."""

    kind: Kind
    case: Case
    lasted: float


def decide(
    cases: Mapping[str, Case],
    findings: Iterable[Finding],
    areas: Mapping[str, str],
    rules: Alerts,
    now: float,
    *,
    quiet: bool,
) -> tuple[dict[str, Case], list[Event]]:
    """Return the cases after a run and what is to be told of it.

    A finding must last for ``lasting`` before it is told, and be gone for ``recover_after`` before that is told: what
    comes and goes in between is one case. In *quiet* hours warnings wait. What could not be asked stays as it was.
    """
    found = list(findings)
    bad = {one.fingerprint: one for one in found if one.grade in BAD}
    judged = judging(found)
    after: dict[str, Case] = {}
    events: list[Event] = []
    for mark, one in bad.items():
        before = cases.get(mark)
        if before and before.gone is not None and now - before.gone >= rules.recover_after:
            events += [Event("recovery", before, before.gone - before.first)] if before.told is not None else []
            before = None
        after[mark], event = _standing(_seen(before, one, areas, now), rules, now, quiet=quiet)
        events += event
    for mark, case in cases.items():
        if mark in bad:
            continue
        if not judged(case.check, case.host, case.database):
            after[mark] = case
            continue
        gone = replace(case, gone=now if case.gone is None else case.gone)
        assert gone.gone is not None
        if now - gone.gone < rules.recover_after:
            after[mark] = gone
        elif gone.told is not None:
            events.append(Event("recovery", gone, gone.gone - gone.first))
    return after, events


def _seen(case: Case | None, one: Finding, areas: Mapping[str, str], now: float) -> Case:
    return Case(
        one.fingerprint,
        one.check,
        areas.get(one.check, ""),
        one.grade,
        one.text,
        one.why,
        one.fix,
        one.object,
        one.database,
        one.host,
        one.value,
        one.threshold,
        case.first if case else now,
        None,
        case.told if case else None,
        case.told_grade if case else None,
    )


def _standing(case: Case, rules: Alerts, now: float, *, quiet: bool) -> tuple[Case, list[Event]]:
    """Return a case that is there now, and what is to be told of it."""
    kind: Kind | None = None
    if now - case.first < rules.lasting:
        return case, []
    if case.told is None or case.told_grade is None:
        kind = "trouble"
    elif SEVERITY.index(case.grade) > SEVERITY.index(case.told_grade):
        kind = "worse"
    elif rules.repeat and now - case.told >= rules.repeat:
        kind = "reminder"
    if kind is None or (quiet and case.grade is Grade.WARN):
        return case, []
    told = replace(case, told=now, told_grade=case.grade)
    return told, [Event(kind, told, now - case.first)]
