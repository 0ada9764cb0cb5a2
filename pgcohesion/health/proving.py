"""Whether every check can do its work on this server, and what it costs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psycopg
from msgspec import Struct, to_builtins

from ..view import Answer, Grade, Line, Table, View, count
from .asking import EXTENSIONS, PATH, ask
from .changes import SEVERITY
from .registry import ROLE, Check, Limits
from .running import with_host
from .windows import windowed

if TYPE_CHECKING:
    from ..context import Context


class Tried(Struct, frozen=True):
    """A check that was tried: *seconds* that its query took, *rows* that it returned, *problem* or an empty text."""

    check: str
    area: str
    seconds: float
    rows: int
    skipped: str = ""
    problem: str = ""


class Tries(Answer, frozen=True):
    """All that were tried."""

    tried: tuple[Tried, ...]

    @property
    def failed(self) -> bool:
        """Whether one has a problem."""
        return any(one.problem for one in self.tried)

    def as_dict(self) -> dict[str, Any]:
        """Return a value a check."""
        return {"checks": to_builtins(self.tried)}

    def view(self) -> View:
        """Return the slowest, what is skipped and what has a problem."""
        rows = sorted(self.tried, key=lambda one: one.seconds, reverse=True)[:10]
        slowest = Table(
            ("slowest", "area", "ms", "rows"),
            tuple((one.check, one.area, f"{one.seconds * 1000:.1f}", one.rows) for one in rows),
        )
        skipped = [Line(f"{one.check}: {one.skipped}", grade=Grade.SKIPPED) for one in self.tried if one.skipped]
        bad = [Line(f"{one.check}: {one.problem}", grade=Grade.FAIL) for one in self.tried if one.problem]
        total = sum(one.seconds for one in self.tried)
        verdict = f"{count(len(self.tried), 'check')} tried, {len(skipped)} skipped, {len(bad)} failed ({total:.2f} s)"
        return View((slowest, *skipped, *bad), verdict, Grade.FAIL if bad else Grade.OK)


def run(ctx: Context, checks: Sequence[Check]) -> Tries:
    """Try each check alone in the main database: its guard, its query, what it decides of the rows and of examples."""
    ctx.up()
    with ctx.watched.within(ctx.config.health.timeout * 6):
        connection = ctx.watched.connection()
        version = connection.info.server_version // 10000
        queried = [check for check in checks if check.query and version >= check.min_version]
        ((extensions,),) = connection.execute(f"SELECT {EXTENSIONS}").fetchall()
        tried = [_tried(ctx, connection, check, check.query_on(version, extensions or {})) for check in queried]
    other = [_judged(check, [], 0.0) for check in checks if not check.query]
    return Tries((*tried, *other))


def _tried(ctx: Context, connection: psycopg.Connection[Any], check: Check, query: str) -> Tried:
    timeout, path = ctx.config.health.timeout / 2, None if check.external else PATH
    if check.guard:
        guard = f"SELECT ({check.guard}) AS allowed, quote_ident(current_user) AS role"
        (answer,) = ask(connection, [guard], timeout, path)
        if isinstance(answer, psycopg.Error):
            return Tried(check.id, check.area, 0.0, 0, problem=f"its guard: {answer.diag.message_primary}")
        if not answer[0].allowed:
            return Tried(check.id, check.area, 0.0, 0, skipped=f"needs {check.needs.replace(ROLE, answer[0].role)}")
    started = time.monotonic()
    (rows,) = ask(connection, [query], timeout, path)
    seconds = time.monotonic() - started
    if isinstance(rows, psycopg.Error):
        return Tried(check.id, check.area, seconds, 0, problem=str(rows.diag.message_primary or rows))
    return _judged(check, with_host(rows, "") if check.across else rows, seconds)


def _judged(check: Check, rows: Sequence[Any], seconds: float) -> Tried:
    problem = ""
    try:
        if check.query:
            check.evaluate(
                windowed(check, rows, time.time(), None, {}) if check.counters else list(rows), _limits(check)
            )
        problem = next(filter(None, (_wrong(check, *example) for example in check.examples)), "")
    except Exception as error:  # noqa: BLE001  (what somebody's check raises is its problem)
        problem = f"{type(error).__name__}: {error}"
    return Tried(check.id, check.area, seconds, len(rows), problem=problem)


def _wrong(check: Check, example: Any, expected: str) -> str:
    """Return what is wrong with the decision about an example: a row, or rows."""
    rows = [example] if isinstance(example, dict) else example
    found = check.evaluate([_Row(**row) for row in rows], _limits(check))
    grades = [one.grade for one in (found if isinstance(found, list) else [found])]
    worst = max(grades, key=SEVERITY.index, default=Grade.OK)
    return "" if worst == expected else f"the example {example} is {worst}, not {expected}"


class _Row(SimpleNamespace):
    def _asdict(self) -> dict[str, Any]:
        return vars(self)


def _limits(check: Check) -> Limits:
    return Limits(check.warn, check.fail)
