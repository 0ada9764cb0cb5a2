"""Which statements cost most, are new, slower than they were, or spill: ``inv health.queries``."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from psycopg.sql import SQL

from ...errors import ServerError, UsageError, suggestion
from ...view import Answer, Line, Table, View, count, size, span
from ..history import kept
from . import statements as counted
from .statements import Earlier, Regressed, Snapshot, Statement

if TYPE_CHECKING:
    from ...context import Context

BLOCK = 8192
BY: dict[str, Callable[[Statement], float]] = {
    "time": lambda one: one.ms,
    "calls": lambda one: one.calls,
    "rows": lambda one: one.rows,
    "mean": lambda one: one.mean,
    "io": lambda one: one.read,
    "temp": lambda one: one.temp,
    "wal": lambda one: one.wal,
}
HOUR = 3600.0
EXPLAINABLE = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|MERGE|VALUES|WITH)\b", re.IGNORECASE)
MISSING = (
    "pg_stat_statements is not there. To have it:",
    '  settings.shared_preload_libraries = "pg_stat_statements"   in the environment\'s file',
    '  databases.NAME.extensions = [..., "pg_stat_statements"]    for the main database',
    "  inv provision.apply, and a restart",
)


class Cost(Answer, frozen=True):
    """The statements of a window: *since* epoch seconds, where None means since counting began."""

    by: str
    top: tuple[Statement, ...]
    new: tuple[Statement, ...]
    slower: tuple[Regressed, ...]
    spilled: tuple[Statement, ...]
    all_ms: float
    at: float
    since: float | None
    evicted: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return each list as plain values."""
        return {
            "by": self.by,
            "since": self.since,
            "seconds": None if self.since is None else round(self.at - self.since, 3),
            "evicted": self.evicted,
            "top": [counted.as_dict(one) for one in self.top],
            "new": [counted.as_dict(one) for one in self.new],
            "regressed": [
                {**counted.as_dict(one.statement), "was_ms": round(one.was, 3), "factor": round(one.factor, 2)}
                for one in self.slower
            ],
            "spilled": [counted.as_dict(one) for one in self.spilled],
        }

    def view(self) -> View:
        """Return a table, then what is new, slower or spilled."""
        rows = tuple(
            (
                f"{one.ms / self.all_ms:.0%}" if self.all_ms else "",
                _ms(one.ms),
                f"{one.calls:,.0f}",
                _ms(one.mean),
                f"{one.rows:,.0f}",
                size(one.read * BLOCK),
                size(one.temp * BLOCK) if one.temp else "",
                one.id,
                short(one.text),
            )
            for one in self.top
        )
        header = ("share", "time", "calls", "mean", "rows", "read", "temp", "id", "statement")
        blocks: list[Line | Table] = [Table(header, rows)] if rows else []
        blocks += [Line(f"new: {one.id}: {_ms(one.mean)} a call: {short(one.text)}", mark="+") for one in self.new]
        blocks += [
            Line(
                f"slower: {one.statement.id}: {_ms(one.was)} before, {_ms(one.statement.mean)} now"
                f" ({one.factor:.1f} times): {short(one.statement.text)}",
                mark="~",
            )
            for one in self.slower
        ]
        blocks += [
            Line(f"spills: {one.id}: {size(one.temp * BLOCK)}: {short(one.text)}", mark="~") for one in self.spilled
        ]
        if self.evicted:
            blocks.append(Line(f"{self.evicted:,.0f} statements had to go for others: raise pg_stat_statements.max"))
        when = f"in the last {span(self.at - self.since)}" if self.since else "since counting began"
        verdict = f"{_ms(self.all_ms)} of execution {when}; {len(self.new)} new, {len(self.slower)} slower"
        return View(tuple(blocks), verdict, next="inv health.queries --plan ID" if rows else "")


class Sampled(Answer, frozen=True):
    """What was seen running, where nothing is counted: how many looks of all saw each statement."""

    looks: int
    seconds: float
    seen: tuple[tuple[int, str, str], ...]

    def as_dict(self) -> dict[str, Any]:
        """Return a value a statement."""
        seen = [{"looks": n, "waits": waits, "text": text} for n, waits, text in self.seen]
        return {"sampled": True, "looks": self.looks, "seconds": round(self.seconds, 1), "statements": seen}

    def view(self) -> View:
        """Return a table, and how to have more."""
        rows = tuple((f"{n / self.looks:.1f}", waits, short(text)) for n, waits, text in self.seen)
        table = [Table(("at once", "waits for", "statement"), rows)] if rows else []
        verdict = f"{count(len(rows), 'statement')} seen in {count(self.looks, 'look')} over {span(self.seconds)}"
        return View((*table, *(Line(line) for line in MISSING)), verdict)


class Planned(Answer, frozen=True):
    """The plan that the planner has for a statement, whatever its values are."""

    text: str
    plan: tuple[str, ...]

    def view(self) -> View:
        """Return the statement and its plan."""
        return View((Line(short(self.text, 400)), Line(""), *(Line(line) for line in self.plan)))


def show(ctx: Context, by: str = "time", limit: int = 10, sample: float = 5) -> Answer:
    """Return what statements have cost since they were looked at an hour ago, or since counting began.

    Without pg_stat_statements the sessions are looked at for *sample* seconds instead. Raises UsageError.
    """
    if by not in BY:
        raise UsageError(f"nothing goes by `{by}`", fix=suggestion(by, BY))
    ctx.running()
    now = counted.read(ctx.watched)
    if now is None:
        return _sampled(ctx, sample)
    with kept(ctx) as history:
        past = counted.earlier(history, now.at - 7 * 24 * HOUR) if history else []
        first = counted.known(history) if history else {}
        answer = judged(now, past, first, by, limit)
        if history:
            counted.keep(history, now)
    return answer


def judged(now: Snapshot, past: Sequence[Earlier], first: dict[str, float], by: str, limit: int) -> Cost:
    """Return the lists of a snapshot, compared with the *past*; *first* is when each statement was first seen."""
    same = [one for one in past if one.reset == now.reset]
    before = next((one for one in same if now.at - one.at <= HOUR), same[-1] if same else None)
    gained = [one for one in counted.gained(now, before) if EXPLAINABLE.match(one.text) or one.ms >= 1]
    lately = counted.gained(now, same[-1]) if same else []
    top = sorted(gained, key=BY[by], reverse=True)[:limit]
    return Cost(
        by,
        tuple(one for one in top if BY[by](one) > 0),
        tuple([one for one in gained if one.key not in first and one.ms >= 1][:limit] if first else []),
        tuple(counted.regressed(lately, same)[:limit]),
        tuple([one for one in sorted(gained, key=BY["temp"], reverse=True) if one.temp][:limit]),
        sum(one.ms for one in gained),
        now.at,
        before.at if before else None,
        now.evicted - before.evicted if before else now.evicted,
    )


def plan(ctx: Context, queryid: str) -> Planned:
    """Return the plan of a statement for values that nobody knows; it is never executed.

    Raises UsageError for an unknown one, or one that has no plan; ServerError.
    """
    ctx.running()
    now = counted.read(ctx.watched)
    found = [one for one in (now.statements if now else ()) if one.id == queryid]
    if not found:
        raise UsageError(
            f"no statement `{queryid}`", why="pg_stat_statements does not know it", fix="inv health.queries"
        )
    one = found[0]
    if not EXPLAINABLE.match(one.text):
        raise UsageError(f"`{short(one.text)}` has no plan", fix="choose a SELECT, INSERT, UPDATE, DELETE or MERGE")
    with closing(ctx.watched.another()) as db:
        db.execute("SET default_transaction_read_only = on", database=one.database)
        db.execute("SET lock_timeout = '1s'", database=one.database)
        db.execute("SET statement_timeout = '10s'", database=one.database)
        version = db.connection(one.database).info.server_version // 10000
        rows = _explained(ctx, db, one, version)
    return Planned(one.text, tuple(rows))


def _explained(ctx: Context, db: Any, one: Statement, version: int) -> list[str]:
    text = one.text.rstrip("; \n")
    if version >= 16:
        rows = db.execute(SQL("EXPLAIN (GENERIC_PLAN) ") + SQL(text), database=one.database)
        return [row[0] for row in rows]
    db.execute("SET plan_cache_mode = force_generic_plan", database=one.database)
    try:
        db.execute(SQL("PREPARE pgcohesion AS ") + SQL(text), database=one.database)
        (row,) = db.execute(
            "SELECT cardinality(parameter_types) AS n FROM pg_prepared_statements WHERE name = 'pgcohesion'",
            database=one.database,
        )
        nulls = SQL("({})").format(SQL(", ").join([SQL("NULL")] * row.n)) if row.n else SQL("")
        rows = db.execute(SQL("EXPLAIN EXECUTE pgcohesion") + nulls, database=one.database)
    except ServerError as error:
        error.fix = error.fix or "the statement was cut, or its schema is not in the search_path of this role"
        raise
    return [row[0] for row in rows]


SEEN = """SELECT query AS text, coalesce(wait_event_type || ' ' || wait_event, '') AS waits FROM pg_stat_activity
 WHERE state = 'active' AND backend_type = 'client backend' AND pid <> pg_backend_pid()"""


def _sampled(ctx: Context, seconds: float) -> Sampled:
    started, looks = time.monotonic(), 0
    seen: dict[tuple[str, str], int] = {}
    while looks == 0 or time.monotonic() - started < seconds:
        for row in ctx.watched.execute(SEEN):
            key = (row.waits, normal(row.text))
            seen[key] = seen.get(key, 0) + 1
        looks += 1
        time.sleep(min(0.1, seconds / 10))
    ranked = sorted(seen.items(), key=lambda item: -item[1])[:20]
    return Sampled(looks, time.monotonic() - started, tuple((n, waits, text) for (waits, text), n in ranked))


def normal(text: str) -> str:
    """Return a statement with its literals left out, as pg_stat_statements would show it."""
    text = re.sub(r"'(?:[^']|'')*'", "$", text)
    return re.sub(r"\b\d+(?:\.\d+)?\b", "$", text)


def short(text: str, width: int = 80) -> str:
    """Return a statement on one line."""
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 3]}..."


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:.2f} ms" if milliseconds < 1000 else span(milliseconds / 1000)
