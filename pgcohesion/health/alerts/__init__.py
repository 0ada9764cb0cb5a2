"""Tell people what is unhealthy: once, when it lasts, and when it is over; and lose nothing when a route is down."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct, to_builtins

from ...config.model import Route
from ...errors import CohesionError, ConfigError, UsageError, suggestion
from ...locks import whoami
from ...view import Answer, Grade, Line, View, count, moment, span
from ..history import of as history_of
from ..hours import within
from ..registry import DATABASES
from ..report import Report
from . import message as messages
from .deciding import Case, Event, decide
from .message import Message
from .outbox import Outbox
from .routes import heartbeat, send

if TYPE_CHECKING:
    from ...context import Context

AT_ONCE = 50  # messages that a run sends by a route: the rest is the next run's
UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86400}


class Told(Struct, frozen=True):
    """What happened to a route: how many messages went out, how many wait, why, and for how many seconds still."""

    route: str
    sent: int
    waiting: int = 0
    error: str = ""
    again: float = 0.0
    fix: str = ""

    @property
    def line(self) -> Line:
        """It as a person reads it."""
        if not self.error:
            return Line(f"{self.route}: {self.sent} sent", grade=Grade.OK)
        waiting = f", {self.waiting} waiting, tried again in {span(self.again)}" if self.waiting else ""
        fix = (f"fix:  {self.fix}",) if self.fix else ()
        return Line(f"{self.route}: {self.sent} sent{waiting}: {self.error}", grade=Grade.FAIL, details=fix)


class Alerted(Answer, frozen=True):
    """A run of alerts: the report's verdict, what was told, and what could not be."""

    verdict: str
    told: tuple[Told, ...]
    muted: str = ""
    heartbeat: str = ""

    @property
    def failed(self) -> bool:
        """Whether something did not go out."""
        return bool(self.heartbeat) or any(one.error for one in self.told)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        value: dict[str, Any] = to_builtins(self)
        return value

    def view(self) -> View:
        """Return a line a route."""
        lines = [one.line for one in self.told]
        lines += [Line(f"heartbeat: {self.heartbeat}", grade=Grade.FAIL)] if self.heartbeat else []
        lines += [Line(self.muted)] if self.muted else []
        return View(tuple(lines), self.verdict, Grade.FAIL if self.failed else Grade.OK)


def run(ctx: Context, *, now: float | None = None) -> Alerted:
    """Check, decide what is news, write it to the outbox, and send what waits there.

    Raises ConfigError when there is no route, sqlite3.Error or OSError where the outbox cannot be kept.
    """
    from .. import look

    rules = ctx.config.health.alerts
    _routes(ctx)
    report = look(ctx, rules.profile)
    at = report.at if now is None else now
    with closing(history_of(ctx)) as history:
        outbox = Outbox(history)
        muted = outbox.muted(at)
        if not muted:
            quiet = bool(rules.quiet) and within(rules.quiet, datetime.fromtimestamp(at, UTC))
            outbox.step(lambda cases: _news(ctx, report, cases, at, quiet=quiet))
        began = time.monotonic()
        told = tuple(
            _delivered(ctx, outbox, name, route, lambda: at + time.monotonic() - began)
            for name, route in rules.routes.items()
        )
    said = f"muted until {moment(datetime.fromtimestamp(muted[0], UTC))}, by {muted[2]}: {muted[1]}" if muted else ""
    return Alerted(report.verdict, told, said, _beat(ctx))


def try_out(ctx: Context, route: str = "") -> Alerted:
    """Send a message that is marked as a test by each route, or by one; nothing is kept."""
    routes = _routes(ctx, route)
    return Alerted(f"{count(len(routes), 'route')} tried", tuple(_tried(ctx, *item) for item in routes.items()))


def mute(ctx: Context, until: str, reason: str) -> Alerted:
    """Tell nobody anything for a time such as ``2h``; ``0s`` ends it. Raises UsageError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(s|min|h|d)", until)
    if not found:
        raise UsageError(f"`{until}` is no time", fix="--mute 2h")
    seconds = float(found[1]) * UNITS[found[2]]
    if seconds and not reason:
        raise UsageError("say why nobody is told", fix='--reason "we move db1"')
    with closing(history_of(ctx)) as history:
        Outbox(history).mute(time.time() + seconds, reason, whoami(ctx.task).partition(",")[0])
    return Alerted(f"muted for {span(seconds)}" if seconds else "not muted any more", ())


def _routes(ctx: Context, only: str = "") -> Mapping[str, Route]:
    from .. import every

    rules = ctx.config.health.alerts
    if not rules.routes:
        fix = 'health.alerts.routes.team.url = { env = "TEAM_ALERTS" }'
        raise ConfigError("there is nobody to tell", why="[health.alerts.routes] is empty", fix=fix)
    if rules.quiet:
        try:
            within(rules.quiet, datetime.now(UTC))
        except ValueError as error:
            raise ConfigError(
                "health.alerts.quiet", why=str(error), fix='quiet = "22:00-07:00 Europe/Berlin"'
            ) from error
    checks = (*every(ctx), DATABASES)
    known = {check.id for check in checks} | {check.area for check in checks}
    for name, route in rules.routes.items():
        for word in route.only:
            if word not in known:
                why = f"[health.alerts.routes.{name}] only: nothing would ever be told"
                raise ConfigError(f"no check `{word}`", why=why, fix=suggestion(word, known))
    if only and only not in rules.routes:
        raise UsageError(f"no route `{only}`", fix=suggestion(only, rules.routes))
    return {only: rules.routes[only]} if only else rules.routes


def _news(
    ctx: Context, report: Report, cases: dict[str, Case], now: float, *, quiet: bool
) -> tuple[dict[str, Case], Sequence[tuple[str, Message]]]:
    from .. import every

    rules = ctx.config.health.alerts
    areas = {check.id: check.area for check in (*every(ctx), DATABASES)}
    after, events = decide(cases, report.results, areas, rules, now, quiet=quiet)
    return after, list(_addressed(ctx, events, now))


def _addressed(ctx: Context, events: Sequence[Event], now: float) -> Iterator[tuple[str, Message]]:
    for name, route in ctx.config.health.alerts.routes.items():
        meant = [one for one in events if _for(route, one)]
        if meant:
            yield name, messages.message(uuid.uuid4().hex, ctx.env, now, meant)


def _for(route: Route, event: Event) -> bool:
    case = event.case
    grades: Iterable[Grade | None] = (case.grade, case.told_grade)
    return (route.least == "warn" or Grade.FAIL in grades) and (
        not route.only or case.check in route.only or case.area in route.only
    )


def _delivered(ctx: Context, outbox: Outbox, name: str, route: Route, now: Callable[[], float]) -> Told:
    """Send what waits for a route, in order; stop at the first that does not go."""
    sent, error, fix = 0, "", ""
    while sent < AT_ONCE and (one := outbox.take(name, now())):
        try:
            send(ctx, name, route, one.message)
        except CohesionError as failure:
            error, fix = failure.why or failure.what, failure.fix
            outbox.failed(one, now(), error)
            break
        outbox.sent(one, now())
        sent += 1
    left = next((row for row in outbox.waiting() if row["route"] == name), None)
    if left is None:
        return Told(name, sent)
    error = error or left["error"] or "not due yet"
    return Told(name, sent, left["count"], error, max(0.0, left["next"] - now()), fix)


def _tried(ctx: Context, name: str, route: Route) -> Told:
    try:
        send(ctx, name, route, messages.trial(uuid.uuid4().hex, ctx.env, time.time(), name))
    except CohesionError as error:
        return Told(name, 0, error=error.why or error.what, fix=error.fix)
    return Told(name, 1)


def _beat(ctx: Context) -> str:
    url = ctx.config.health.alerts.heartbeat
    if url is None:
        return ""
    try:
        heartbeat(ctx, url)
    except CohesionError as error:
        return error.why or error.what
    return ""
