"""Which statements cost most, are new, slower than they were, or spill: ``inv health.queries``."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ...errors import CohesionError, UsageError, suggestion
from ...view import Answer, Grade, Line, Table, View, moment, size, span
from ..history import History, kept
from ..past import seconds as parsed
from . import statements as counted
from .plans import EXPLAINABLE, explain
from .sampling import Sampled, hidden_words, sample
from .statements import Earlier, Regressed, Snapshot, Statement
from .texts import short, tidy

if TYPE_CHECKING:
    from ...context import Context

BY: dict[str, Callable[[Statement], float]] = {
    "time": lambda one: one.ms,
    "calls": lambda one: one.calls,
    "rows": lambda one: one.rows,
    "mean": lambda one: one.mean,
    "io": lambda one: one.read,
    "temp": lambda one: one.temp,
    "wal": lambda one: one.wal,
}
HOUR, DAY = 3600.0, 86400.0
USUAL = HOUR
REMEMBERED = 7 * DAY  # how far back a statement's pace is looked at
EVERY = 300.0  # seconds between two snapshots that nobody has asked for
LEAST_MS = 1.0  # what a statement costs that is worth a line as new


class Cost(Answer, frozen=True):
    """The statements of a window: *since* epoch seconds, where None means since counting began, at *reset*."""

    by: str
    top: tuple[Statement, ...]
    new: tuple[Statement, ...]
    slower: tuple[Regressed, ...]
    spilled: tuple[Statement, ...]
    all_ms: float
    at: float
    since: float | None
    reset: float | None
    evicted: float = 0.0
    block: float = 8192
    hidden: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return each list as plain values."""
        slower = [
            {
                **one.statement.as_dict(),
                "was_ms": round(one.was, 3),
                "factor": round(one.factor, 2),
                "since": one.since,
            }
            for one in self.slower
        ]
        return {
            "by": self.by,
            "since": self.since,
            "reset": self.reset,
            "seconds": None if self.since is None else round(self.at - self.since, 3),
            "ms": round(self.all_ms, 3),
            "block_bytes": self.block,
            "evicted": self.evicted,
            "hidden": self.hidden,
            "top": [one.as_dict() for one in self.top],
            "new": [one.as_dict() for one in self.new],
            "regressed": slower,
            "spilled": [one.as_dict() for one in self.spilled],
        }

    def view(self) -> View:
        """Return a table, then what is new, slower or spilled."""
        blocks: list[Line | Table] = [self._table()] if self.top else []
        blocks += self._lines()
        verdict = f"{_ms(self.all_ms)} of execution {self._when()}; {len(self.new)} new, {len(self.slower)} slower"
        return View(tuple(blocks), verdict, next="inv health.queries --plan=ID" if self.top else "")

    def _when(self) -> str:
        if self.since is not None:
            return f"in the last {span(self.at - self.since)}"
        return f"since counting began {span(self.at - self.reset)} ago" if self.reset else "since counting began"

    def _table(self) -> Table:
        columns: dict[str, Callable[[Statement], str]] = {
            "share": lambda one: f"{one.ms / self.all_ms:.0%}" if self.all_ms else "",
            "time": lambda one: _ms(one.ms),
            "calls": lambda one: f"{one.calls:,.0f}",
            "mean": lambda one: _ms(one.mean),
            "rows": lambda one: f"{one.rows:,.0f}",
            "read": lambda one: size(one.read * self.block),
            "i/o time": lambda one: _ms(one.io_ms),
            "temp": lambda one: size(one.temp * self.block) if one.temp else "",
            "wal": lambda one: size(one.wal),
            "id": lambda one: one.id,
            "statement": lambda one: short(one.text),
        }
        less = {"i/o time": "io", "wal": "wal"}  # columns of one order only
        shown = {name: cell for name, cell in columns.items() if less.get(name, self.by) == self.by}
        return Table(tuple(shown), tuple(tuple(cell(one) for cell in shown.values()) for one in self.top))

    def _lines(self) -> Iterator[Line]:
        for one in self.new:
            yield Line(f"new: {one.id}: {_ms(one.mean)} a call: {short(one.text)}", mark="+")
        now = datetime.fromtimestamp(self.at, UTC)
        for slow in self.slower:
            one = slow.statement
            since = moment(datetime.fromtimestamp(slow.since, UTC), now)
            paces = f"{_ms(slow.was)} before, {_ms(one.mean)} since {since} ({slow.factor:.1f} times)"
            yield Line(f"slower: {one.id}: {paces}: {short(one.text)}", mark="~")
        for one in self.spilled:
            yield Line(f"spills: {one.id}: {size(one.temp * self.block)}: {short(one.text)}", mark="~")
        if self.evicted:
            text = f"statements had to go for others {self.evicted:,.0f} times: raise pg_stat_statements.max"
            yield Line(text, grade=Grade.INFO)
        if self.hidden:
            yield Line(self.hidden, grade=Grade.SKIPPED)


class Planned(Answer, frozen=True):
    """The plan that the planner has for a statement, whatever its values are, in *database* as *role*."""

    id: str
    database: str
    role: str
    text: str
    plan: tuple[str, ...]

    def view(self) -> View:
        """Return the statement and its plan."""
        blank = Line("")
        verdict = f"the generic plan of {self.id} in {self.database}, as {self.role}; nothing was executed"
        return View((Line(short(self.text, 400)), blank, *(Line(line) for line in self.plan)), verdict)


# --- verbs ------------------------------------------------------------------------------------------------------------


def show(
    ctx: Context, by: str = "time", limit: int = 10, *, since: str = "1h", sample_seconds: float | None = None
) -> Answer:
    """Return what statements have cost in the time that *since* names: a length such as ``1h``, ``last`` or ``reset``.

    It begins with the oldest snapshot of that time, or the newest before it; without one, when counting began.
    *sample_seconds*: only from now on, for so long. Without pg_stat_statements the sessions are looked at instead (for
    5 s). Raises UsageError, and ServerError where the counters cannot be read.
    """
    if by not in BY:
        raise UsageError(f"nothing goes by `{by}`", fix=suggestion(by, BY))
    if limit < 1 or (sample_seconds is not None and not sample_seconds > 0):
        raise UsageError("`--limit` and `--sample` are more than 0", fix="--limit 10 --sample 5")
    length = {"last": 0.0, "reset": None}[since] if since in ("last", "reset") else parsed(since)
    ctx.up()
    now = counted.read(ctx.watched)
    if now is None:
        return sample(ctx, 5 if sample_seconds is None else sample_seconds)
    with kept(ctx) as history:
        if sample_seconds is not None:
            return _watched(ctx, now, by, limit, sample_seconds)
        past = counted.earlier(history, now.reset, now.at - max(REMEMBERED, length or 0)) if history else []
        first = counted.seen(history) if history else {}
        answer = judged(now, past, first, by=by, limit=limit, length=length)
        if history:
            counted.keep(history, now)
    return answer if now.all else _partial(ctx, answer)


def note(ctx: Context, history: History) -> None:
    """Keep what statements have cost so far, at most once in five minutes: what is slower or new is then known later.

    For whoever looks at the server anyway; never raises, and does nothing where nothing is counted.
    """
    try:
        if time.time() - counted.kept_at(history) < EVERY:
            return
        with ctx.watched.within(ctx.config.health.timeout):
            now = counted.read(ctx.watched)
        if now is not None:
            counted.keep(history, now)
    except (CohesionError, sqlite3.Error) as error:
        ctx.log.debug("no snapshot of statements", why=str(error))


def plan(ctx: Context, queryid: str) -> Planned:
    """Return the plan of a statement for values that nobody knows; it is not executed.

    Raises UsageError for an unknown one, or one that has no plan; ServerError.
    """
    ctx.up()
    found = counted.full(ctx.watched, queryid)
    if found is None:
        raise UsageError(
            f"no statement `{queryid}`", why="pg_stat_statements does not know it", fix="inv health.queries"
        )
    database, role, text = found
    db = ctx.watched if ctx.only_looked_at else ctx.db
    lines = explain(db, database, role, text, ctx.config.migrations.search_path)
    return Planned(queryid, database, role, tidy(text), tuple(lines))


# --- deciding ---------------------------------------------------------------------------------------------------------


def judged(
    now: Snapshot,
    past: Sequence[Earlier],
    first: Mapping[str, float] = MappingProxyType({}),
    *,
    by: str = "time",
    limit: int = 10,
    length: float | None = USUAL,
) -> Cost:
    """Return the lists of a snapshot for the last *length* seconds (None: since counting began).

    *past*: snapshots of the same counting, the oldest first; *first*: when each statement was first seen.
    """
    before = _beginning(now, past, length)
    gained = [one for one in (counted.since(statement, before) for statement in now.statements) if one]
    gained = [one for one in gained if EXPLAINABLE.match(one.text) or one.ms >= LEAST_MS]
    window = before.at if before else now.at
    fresh = [one for one in gained if first.get(one.key, now.at) > window and _worth(one)] if before else []
    return Cost(
        by=by,
        top=tuple([one for one in sorted(gained, key=BY[by], reverse=True) if BY[by](one) > 0][:limit]),
        new=tuple(fresh[:limit]),
        slower=tuple(counted.regressed(now, past, window)[:limit]) if before else (),
        spilled=tuple([one for one in sorted(gained, key=BY["temp"], reverse=True) if one.temp][:limit]),
        all_ms=sum(one.ms for one in gained if one.toplevel),
        at=now.at,
        since=before.at if before else None,
        reset=now.reset,
        evicted=now.evicted - (before.evicted if before else 0),
        block=now.block,
    )


def _worth(one: Statement) -> bool:
    """Return whether a new statement is worth a line: it costs something, and is not our own look."""
    return one.ms >= LEAST_MS and ".pg_stat_statements" not in one.text


def _beginning(now: Snapshot, past: Sequence[Earlier], length: float | None) -> Earlier | None:
    if length is None or not past:
        return None
    return next((one for one in past if now.at - one.at <= length), past[-1])


def _watched(ctx: Context, before: Snapshot, by: str, limit: int, seconds: float) -> Cost:
    """Return what statements cost while we wait."""
    with ctx.output.step(f"counting for {seconds:g} s"):
        time.sleep(seconds)
    now = counted.read(ctx.watched) or before
    counters = {one.key: one.counters for one in before.statements}
    start = Earlier(before.at, before.reset, before.evicted, before.floor, counters)
    answer = judged(now, [start], dict.fromkeys(counters, before.at), by=by, limit=limit)
    return answer if now.all else _partial(ctx, answer)


def _partial(ctx: Context, answer: Cost) -> Cost:
    from msgspec.structs import replace

    return replace(answer, hidden=hidden_words(ctx.watched))


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:.2f} ms" if milliseconds < 1000 else span(milliseconds / 1000)


__all__ = ["Cost", "Planned", "Sampled", "judged", "note", "plan", "show"]
