"""What is unhealthy, and the line that mends it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import date
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from ..errors import UsageError, suggestion
from .baseline import known, read
from .changes import compare
from .ignoring import ignoring
from .registry import DATABASES, Check, Finding, Limits, check_of
from .report import Explained, Listed, Report

if TYPE_CHECKING:
    from ..context import Context
    from ..orchestrator import Orchestrator
    from ..plan import Applied, Planned
    from ..view import Answer, Grade
    from .history import History, Place
    from .page import Written
    from .past import Looked
    from .serving import Served

T = TypeVar("T")
COSTS = ("quick", "standard", "deep")
FINGERPRINT = re.compile("[0-9a-f]{10}")
FAIL_ON = ("fail", "warn", "never")


def check(
    ctx: Context,
    only: str = "",
    profile: str = "standard",
    *,
    remember: bool = True,
    keep: bool = True,
    baseline: bool = True,
) -> Report:
    """Run the checks of an environment and return their findings.

    *only*: ids or areas, with commas. *profile*: ``quick`` looks at no relation, ``deep`` reads much; checks that
    *only* names run whatever they cost. *remember*: compare with the runs before, and with *keep* keep this one for
    the next. *baseline*: what the environment's baseline has is info.

    A server that cannot be asked is a finding of the check ``availability``. Raises ConfigError when the environment
    has no server yet, UsageError for an unknown check or profile.
    """
    started, now = time.monotonic(), time.time()
    checks = _chosen(ctx, every(ctx), only, profile)
    with _past(ctx) if remember else nullcontext() as history:
        day, grades = read(ctx) if baseline else ("", {})
        found, samples = _found(ctx, checks, history, now, day, grades)
        changes = _of_the_past(ctx, lambda: compare(history, found, now), None) if history else None
        report = Report(tuple(found), time.monotonic() - started, ctx.env, now, changes)
        if history and keep:
            _of_the_past(ctx, lambda: history.record(report, samples), None)
    return report


def look(ctx: Context, profile: str = "standard") -> Report:
    """Check as what runs by itself does: now and then also what statements have cost is kept, for who asks later."""
    report = check(ctx, profile=profile)
    if profile != "quick" and not report.trouble:
        from .queries import note

        with _past(ctx) as history:
            if history:
                note(ctx, history)
    return report


def judge(
    ctx: Context,
    only: str = "",
    profile: str = "standard",
    *,
    format: str = "text",  # noqa: A002  (the option's name)
    fail_on: str = "fail",
    diff: bool = False,
) -> Answer:
    """Run the checks as :func:`check` does, and return the report in a *format*.

    *fail_on* is the grade that makes the exit code 1: ``fail``, ``warn`` or ``never``. *diff*: show what has changed
    since the last run that looked at the same.
    """
    from .formats import named

    if fail_on not in FAIL_ON:
        raise UsageError(f"no grade `{fail_on}`", fix=suggestion(fail_on, FAIL_ON))
    if ctx.options.json and format != "text":
        raise UsageError("`--json` and `--format` cannot be both", fix="leave one of them out")
    written = named(format)
    report = check(ctx, only, profile)
    return written(replace(report, fail_on=fail_on, differing=diff, verbose=ctx.options.verbose))


def selftest(ctx: Context, only: str = "") -> Answer:
    """Try every check, also expensive ones and the team's own, on the server."""
    from .proving import run

    checks = every(ctx)
    return run(ctx, _chosen(ctx, checks, only, "deep") if only else checks)


def grant(ctx: Context, role: str = "", *, apply: bool = False) -> Answer:
    """Print, or with *apply* grant, the least that a role needs to run the checks.

    *role*: by default that of ``[health] role``, or ``monitoring``.
    """
    from .grants import Granted, plan

    if apply:
        ctx.ours()
    if not ctx.only_looked_at:
        ctx.running()
    missing = plan(ctx, role or ctx.config.health.role or "monitoring")
    return ctx.apply(missing) if apply else Granted(missing)


def mend(
    ctx: Context,
    *,
    apply: bool = False,
    check: str = "",
    object: str = "",  # noqa: A002  (what a finding calls it)
    past: bool = False,
    reset: bool = False,
) -> Answer:
    """Plan what mends the findings that may be mended by itself; with *apply* do it.

    *past*: return what was done so far; *reset*: let it work again after two failures.
    """
    from . import healing

    if past or reset:
        return healing.reset(ctx) if reset else healing.audit(ctx)
    return healing.heal(ctx, apply=apply, check=check, object=object)


def of_orchestrator(db: Orchestrator) -> list[Finding]:
    """Return what is unhealthy in an application's own pools, breakers and replicas; no server is asked.

    Limits are those of the orchestrator's environment.
    """
    from .registry import findings, load
    from .sources import pools

    facts, limits = [pools.of(db)], db.config.config.health.limits
    asked = [check for check in load() if check.source == "pools"]
    return [one for check in asked for one in findings(check, facts, Limits.of(check, limits.get(check.id)))]


def alert(ctx: Context, *, test: bool = False, route: str = "", mute: str = "", reason: str = "") -> Answer:
    """Check, and tell by the routes what is news.

    *test*: send a test message instead, by all routes or by *route*. *mute*: tell nobody for a time, for a *reason*.
    """
    from . import alerts

    if route and not test:
        raise UsageError("`--route` is for `--test` only", fix=f"--test --route={route}")
    if reason and not mute:
        raise UsageError("`--reason` is for `--mute` only", fix=f'--mute 2h --reason "{reason}"')
    if mute:
        return alerts.mute(ctx, mute, reason)
    return alerts.try_out(ctx, route) if test else alerts.run(ctx)


def timer(ctx: Context, interval: int = 60, *, remove: bool = False) -> Planned | Applied:
    """Let systemd run the checks, and tell who should know, every *interval* seconds on this machine; or no more."""
    from .timers import plan

    return ctx.apply(plan(ctx, interval, remove=remove))


def statements(
    ctx: Context, by: str = "time", limit: int = 10, *, since: str = "1h", plan: str = "", sample: float | None = None
) -> Answer:
    """Return what statements cost, which are new, slower or spill; with *plan*, the plan of the one with this id.

    *since*: ``1h`` and the like, ``last`` or ``reset``. *sample*: only for so many seconds from now on.
    """
    from . import queries

    if plan:
        return queries.plan(ctx, plan)
    return queries.show(ctx, by, limit, since=since, sample_seconds=sample)


def measure(
    ctx: Context,
    *,
    seconds: float = 30,
    rounds: int = 6,
    scale: int = 10,
    clients: int = 4,
    workload: str = "tpcb",
) -> Answer:
    """Measure how fast the server is, in a scratch database that goes afterwards."""
    from . import bench

    return bench.measure(ctx, seconds=seconds, rounds=rounds, scale=scale, clients=clients, workload=workload)


def measured(ctx: Context, compare: str = "", slower_by: float | None = None) -> Answer:
    """Return the runs that were measured, or two of them compared (with *slower_by*, the last two)."""
    from . import bench

    if compare or slower_by is not None:
        return bench.compared(ctx, compare or "previous,last", slower_by)
    return bench.runs(ctx)


def rebase(ctx: Context) -> Planned | Applied:
    """Make what is found now the baseline: from then on it is info, until it gets worse.

    Raises Unreachable when the server cannot be asked: nothing is known then.
    """
    from .baseline import plan

    report = check(ctx, remember=False, baseline=False)
    report.demand("there is no baseline of what cannot be asked")
    return ctx.apply(plan(ctx, report.results))


def watch(ctx: Context, interval: float = 2.0, count: int = 0) -> int:
    """Show an environment live, in a terminal or as lines; return the exit code. See :mod:`.watch`."""
    from .live import run

    return run(ctx, interval, count)


def _past(ctx: Context) -> AbstractContextManager[History | None]:
    from .history import kept  # SQLite takes some ms to import

    return kept(ctx)


def _of_the_past(ctx: Context, ask: Callable[[], T], default: T) -> T:
    """Return what the history says, or *default*: a file that is locked, full or broken must not fail a run."""
    import sqlite3

    try:
        return ask()
    except (sqlite3.Error, ValueError) as error:
        ctx.log.warning("no history", why=str(error))
        return default


def _found(
    ctx: Context, checks: list[Check], history: History | None, now: float, day: str, grades: Mapping[str, Grade]
) -> tuple[list[Finding], dict[Place, Any]]:
    from .running import GRACE, Look

    earlier: dict[Place, tuple[float, dict[str, Any]]] = {}
    if history:
        earlier = _of_the_past(ctx, lambda: history.earlier(now, ctx.config.health.window), earlier)
    seconds, left = ctx.config.health.timeout, ctx.remaining()
    if left is not None:  # what hangs is to be named before `--timeout` ends the task
        seconds = min(seconds, max(left - 2 * GRACE, left / 3))
    look = Look(ctx, checks, seconds, now=now, earlier=earlier)
    ignored = ignoring(look.findings(), ctx.config.health.ignore, date.today())  # noqa: DTZ011  (the operator's day)
    found = list(known(ignored, day, grades))
    if history:
        from .trends import forecasts

        plain = found
        found = _of_the_past(ctx, lambda: forecasts(checks, plain, history, now), plain)
    return found, look.samples


def _chosen(ctx: Context, checks: list[Check], only: str, profile: str) -> list[Check]:
    if profile not in COSTS:
        raise UsageError(f"no profile `{profile}`", fix=suggestion(profile, COSTS))
    known = {check.id for check in checks}
    areas = {check.area for check in checks}
    wanted = [name.strip() for name in only.split(",") if name.strip()]
    named = [*ctx.config.health.disabled, *ctx.config.health.limits, *(one.check for one in ctx.config.health.ignore)]
    known_too = known | {DATABASES.id}
    for name, words in [*((name, known | areas) for name in wanted), *((name, known_too) for name in named)]:
        if name not in words:
            raise UsageError(f"no check `{name}`", fix=suggestion(name, words))
    if wanted:
        return [check for check in checks if check.id in wanted or check.area in wanted]
    costs = COSTS[: COSTS.index(profile) + 1]
    return [check for check in checks if check.id not in ctx.config.health.disabled and check.cost in costs]


def every(ctx: Context) -> list[Check]:
    """Return our checks and the team's own. Raises ConfigError for one of theirs that is none."""
    from .custom import load as own
    from .registry import load

    return [*load(), *own(ctx)]


def explain(ctx: Context, name: str) -> Explained:
    """Return what a check looks at and why; of a finding's fingerprint also what was found.

    Raises UsageError for an unknown one.
    """
    checks = {check.id: check for check in (*every(ctx), DATABASES)}
    if FINGERPRINT.fullmatch(name) and name not in checks:
        return _found_before(ctx, name, checks)
    if name not in checks:
        there = sorted(check.id for check in checks.values() if check.area == name)
        if there:
            why, fix = f"its checks: {', '.join(there)}", f"inv health.explain {there[0]}"
            raise UsageError(f"`{name}` is an area", why=why, fix=fix)
        raise UsageError(f"no check `{name}`", fix=suggestion(name, checks))
    return Explained(checks[name], _limits(ctx, checks[name]))


def _found_before(ctx: Context, fingerprint: str, checks: Mapping[str, Check]) -> Explained:
    with _past(ctx) as history:
        seen = history.finding(fingerprint) if history else None
    if seen is None or seen[2].check not in checks:
        why = "no run that is remembered had such a finding"
        raise UsageError(f"no finding `{fingerprint}`", why=why, fix=f"inv health.check --json --env={ctx.env}")
    check = checks[seen[2].check]
    return Explained(check, _limits(ctx, check), seen)


def _limits(ctx: Context, check: Check) -> Limits:
    return Limits.of(check, ctx.config.health.limits.get(check.id))


def list_checks(ctx: Context) -> Listed:
    """Return the checks with their limits in this environment."""
    checks = every(ctx)
    return Listed(
        tuple(checks),
        {check.id: _limits(ctx, check) for check in checks},
        tuple(ctx.config.health.disabled),
    )


def look_back(ctx: Context, check: str = "", since: str = "7d") -> Looked:
    """Return what was found and measured since a while ago (``12h``, ``7d``), of all checks or of one.

    Raises UsageError for an unknown check or a length of time that is none.
    """
    from .past import look

    return look(ctx, every(ctx), check, since)


def serve(ctx: Context, port: int = 9187, interval: float = 15, host: str = "127.0.0.1") -> Served:
    """Serve what the checks find, which run every *interval* seconds, until SIGTERM or Ctrl-C.

    Raises UsageError for a port, a host or an interval that cannot be; what else as :func:`.serving.serve`.
    """
    from .probing import Prober
    from .serving import serve

    if not interval >= 1:
        raise UsageError(f"`--interval {interval:g}` is less than a second", fix="--interval 15")
    return serve(ctx, Prober(ctx, lambda profile: look(ctx, profile), interval), every(ctx), host, port)


def advise(ctx: Context) -> Answer:
    """Return which indexes are missing, redundant, unused, invalid or bloated, each with the line that mends it.

    Unused are those that no host of the environment uses. What a missing one gains is tried with hypopg, where it is.
    """
    from .indexes import CHECKS
    from .indexes import advise as made

    return made(ctx, check(ctx, CHECKS, remember=False))


def write_report(ctx: Context, output: str = "") -> Written:
    """Run the standard checks and write what they found as one HTML file.

    *output*: its path, or ``-``; by default ``health-report.html`` in the state folder. Raises as :func:`check`, and
    CohesionError where it cannot be written.
    """
    from .page import write

    return write(ctx, check(ctx), every(ctx), output)


__all__ = [
    "Check",
    "Finding",
    "Limits",
    "Report",
    "advise",
    "check",
    "check_of",
    "explain",
    "judge",
    "list_checks",
    "look",
    "look_back",
    "of_orchestrator",
    "rebase",
    "serve",
    "write_report",
]
