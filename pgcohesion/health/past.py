"""What ``inv health.history`` answers: runs, findings that came and went, and what was measured."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from ..errors import UsageError, suggestion
from ..view import Answer, Grade, Line, Table, View, count, moment, span
from .changes import SEVERITY, Known
from .curves import Curve, curves, of_objects, sparkline, thinned
from .forecast import DAY
from .history import History, Past, kept
from .registry import Check, Limits

if TYPE_CHECKING:
    from ..context import Context

UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": DAY, "w": 7 * DAY}
BAD = (Grade.WARN, Grade.FAIL)
MOST_EPISODES = 30
MOST_POINTS = 500


class Episode(Struct, frozen=True):
    """A finding from the run that first had it until the one that no longer did (*until* None: it is still there).

    *first*: the oldest run that was looked at had it, so it may be older. *finding* is as it was found last.
    """

    finding: Known
    worst: Grade
    since: float
    until: float | None = None
    first: bool = False

    def dated(self, now: float) -> str:
        """Return from when on and how long."""
        at = moment(datetime.fromtimestamp(self.since, UTC), datetime.fromtimestamp(now, UTC))
        begun = f"{'at least since' if self.first else 'since'} {at}"
        return begun if self.until is None else f"{begun}, for {span(self.until - self.since)}"


class Looked(Answer, frozen=True):
    """The past of an environment since *since* (epoch seconds), of one check where *only* names it."""

    env: str
    now: float
    since: float
    runs: tuple[Past, ...]
    episodes: tuple[Episode, ...]
    curves: tuple[Curve, ...]
    only: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return times in UTC; a curve has at most MOST_POINTS points."""
        return {
            "since": _utc(self.since),
            "runs": [
                {"at": _utc(run.at), "grade": run.grade, "seconds": round(run.seconds, 3), "checks": len(run.checks)}
                for run in self.runs
            ],
            "findings": [_episode(one) for one in self.episodes],
            "series": [_series(curve) for curve in self.curves],
        }

    def view(self) -> View:
        """Return the trends, then what came and went, the latest last."""
        shown = self.episodes[-MOST_EPISODES:]
        left = len(self.episodes) - len(shown)
        moving = [one for one in self.curves if self.only or one.shown(min(one.values)) != one.shown(max(one.values))]
        still = len(self.curves) - len(moving)
        blocks: list[Line | Table] = (
            [Table(_HEADER, tuple(_row(one, self._last(one)) for one in moving))] if moving else []
        )
        blocks += [Line(f"{count(still, 'measure')} did not move")] if still else []
        blocks += [Line(f"{curve.name}: {curve.forecast}") for curve in self.curves if curve.forecast]
        blocks += [Line(f"{left} earlier findings are in --json")] if left else []
        blocks += [_line(one, self.now) for one in shown]
        grades = [run.grade for run in self.runs]
        counts = [f"{grades.count(grade)} {word}" for grade, word in _WORDS.items() if grade in grades]
        there = sum(one.until is None for one in self.episodes)
        verdict = f"{count(len(self.runs), 'run')} in {span(self.now - self.since)}"
        if self.runs:
            verdict += f": {', '.join(counts)}; {count(len(self.episodes), 'finding')}, {there} still there"
        return View(tuple(blocks), verdict, next="" if self.runs else f"inv health.check --env={self.env}")

    def _last(self, curve: Curve) -> float:
        return max((run.at for run in self.runs if curve.check in run.checks), default=0.0)


_HEADER = ("what", "trend", "min", "median", "max", "now")
_WORDS = {"ok": "healthy", "warn": "warn", "fail": "fail"}


def _row(curve: Curve, last: float) -> tuple[str, ...]:
    """*last*: when it was looked at the last time; what was fine then may have had no number."""
    values = curve.values
    shown = [curve.shown(number) for number in (min(values), median(values), max(values))]
    return (curve.name, sparkline(curve.points), *shown, curve.shown(values[-1]) if curve.points[-1][0] >= last else "")


def _line(one: Episode, now: float) -> Line:
    where = ": ".join(filter(None, (one.finding.check, one.finding.host, one.finding.database)))
    gone = one.until is not None
    return Line(
        f"{where}: {one.finding.text}",
        mark="-" if gone else "",
        grade=None if gone else one.finding.grade,
        details=(one.dated(now),),
    )


def _episode(one: Episode) -> dict[str, Any]:
    known = one.finding
    return {
        "fingerprint": known.fingerprint,
        "check": known.check,
        "host": known.host,
        "database": known.database,
        "object": known.object,
        "text": known.text,
        "value": known.value,
        "worst": str(one.worst),
        "since": _utc(one.since),
        "at_least": one.first,
        "until": None if one.until is None else _utc(one.until),
    }


def _series(curve: Curve) -> dict[str, Any]:
    points = curve.points if len(curve.points) <= MOST_POINTS else filter(None, thinned(curve.points, MOST_POINTS))
    values = curve.values
    return {
        "check": curve.check,
        "host": curve.host,
        "database": curve.database,
        "object": curve.object,
        "unit": curve.unit,
        "min": min(values),
        "median": median(values),
        "max": max(values),
        "now": values[-1],
        "full": curve.full,
        "full_in_days": curve.days,
        "points": [[_utc(at), value] for at, value in points],
    }


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def seconds(text: str) -> float:
    """Return the seconds of ``90s``, ``30min``, ``12h``, ``7d`` or ``2w``. Raises UsageError for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|h|d|w)", text.strip())
    if found is None or not float(found[1]):
        raise UsageError(f"`--since {text}` is no length of time", fix="--since 12h (s, min, h, d or w)")
    return float(found[1]) * UNITS[found[2]]


def look(ctx: Context, every: Iterable[Check], check: str = "", since: str = "7d") -> Looked:
    """Return the past of an environment; of one *check*, also that of its objects. Raises UsageError."""
    now = time.time()
    start = max(0.0, now - seconds(since))
    with kept(ctx) as history:
        if history is None:
            return Looked(ctx.env, now, start, (), (), ())
        runs = history.runs(start)
        checks = {one.id: one for one in every}
        if check:
            _known(check, {*checks, *(name for run in runs for name in run.checks)})
            runs = [run for run in runs if check in run.checks]
        found = episodes(runs, ((run.id, history.findings(run.id)) for run in runs))
        lines = _curves(ctx, history, checks, check, start)
        found = [one for one in found if check in ("", one.finding.check)]
        return Looked(ctx.env, now, start, tuple(runs), tuple(found), lines, check)


def _known(check: str, known: set[str]) -> None:
    if check not in known:
        raise UsageError(f"no check `{check}`", fix=suggestion(check, known))


def _curves(ctx: Context, history: History, checks: Mapping[str, Check], only: str, since: float) -> tuple[Curve, ...]:
    limits = {name: Limits.of(one, ctx.config.health.limits.get(name)) for name, one in checks.items()}
    found = [curve for curve in curves(history, checks.values(), limits, since) if only in ("", curve.check)]
    objects = of_objects(history, checks.get(only), only, limits.get(only), since) if only else ()
    return (*found, *objects)


def episodes(runs: Sequence[Past], found: Iterable[tuple[int, Sequence[Known]]]) -> list[Episode]:
    """Return what came and went over *runs* (the oldest first), those that are still there last.

    *found* are the findings of each run. One is gone with the next run of its check that could ask and did not find it.
    """
    there: dict[str, Episode] = {}
    gone: list[Episode] = []
    seen: set[str] = set()
    for run, (_, known) in zip(runs, found, strict=True):
        bad = {one.fingerprint: one for one in known if one.grade in BAD}
        gone += _ended(there, run, bad, known)
        for mark, one in bad.items():
            there[mark] = _going_on(there.get(mark), one, run.at, first=one.check not in seen)
        seen |= run.checks
    return [*sorted(gone, key=lambda one: (one.until, one.since)), *sorted(there.values(), key=lambda one: one.since)]


def _ended(there: dict[str, Episode], run: Past, bad: Mapping[str, Known], known: Iterable[Known]) -> Iterator[Episode]:
    silent = {(one.check, one.host, one.database) for one in known if one.grade not in (*BAD, Grade.INFO)}
    closed = {(one.host, one.database) for one in known if one.check == "databases" and one.database}
    down = {one.host for one in known if one.check == "availability" and one.grade is Grade.FAIL}
    for mark, episode in list(there.items()):
        of = episode.finding
        asked = of.check in run.checks and (of.check, of.host, of.database) not in silent
        if asked and mark not in bad and (of.host, of.database) not in closed and of.host not in down:
            del there[mark]
            yield Episode(of, episode.worst, episode.since, run.at, episode.first)


def _going_on(before: Episode | None, found: Known, at: float, *, first: bool) -> Episode:
    if before is None:
        return Episode(found, found.grade, at, None, first)
    return Episode(found, max(before.worst, found.grade, key=SEVERITY.index), before.since, None, before.first)
