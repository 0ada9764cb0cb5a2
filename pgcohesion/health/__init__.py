"""What is unhealthy, and the line that mends it."""

from __future__ import annotations

import time
from datetime import date
from typing import TYPE_CHECKING

from ..connections.availability import ADVICE
from ..errors import DeadlineExceeded, Unreachable, UsageError, suggestion
from .ignoring import ignoring
from .registry import Check, Finding, Limits, check_of
from .report import Explained, Listed, Report

if TYPE_CHECKING:
    from ..context import Context

COSTS = ("quick", "standard", "deep")


def check(ctx: Context, only: str = "", profile: str = "standard") -> Report:
    """Run the checks of an environment and return their findings.

    *only*: ids or areas, with commas. *profile*: ``quick`` looks at no relation, ``deep`` reads much; checks that
    *only* names run whatever they cost. Raises ServerDown or ConfigError when there is no server to ask, UsageError
    for an unknown check or profile.
    """
    from .registry import load

    started = time.monotonic()
    checks = _chosen(ctx, load(), only, profile)
    ctx.running()
    found = _asked(ctx, checks)
    findings = ignoring(found, ctx.config.health.ignore, date.today())  # noqa: DTZ011  (the operator's day)
    return Report(tuple(findings), time.monotonic() - started, ctx.env)


def _asked(ctx: Context, checks: list[Check]) -> list[Finding]:
    """Run the checks within ``[health] timeout``, whatever the server does; say of what kind its trouble is."""
    from . import running

    seconds = ctx.config.health.timeout
    try:
        with ctx.db.within(seconds):
            return list(running.run(ctx, checks))
    except DeadlineExceeded as error:
        raise Unreachable(
            f"`{ctx.env}` let us in and did not answer within {seconds:g} s",
            why=error.why,
            fix=ADVICE["query_timeout"],
            kind="query_timeout",
        ) from error
    except Unreachable as error:
        error.fix = ADVICE.get(error.kind, error.fix)
        raise


def _chosen(ctx: Context, checks: list[Check], only: str, profile: str) -> list[Check]:
    if profile not in COSTS:
        raise UsageError(f"no profile `{profile}`", fix=suggestion(profile, COSTS))
    known = {check.id for check in checks}
    areas = {check.area for check in checks}
    wanted = [name.strip() for name in only.split(",") if name.strip()]
    named = [*ctx.config.health.disabled, *ctx.config.health.limits, *(one.check for one in ctx.config.health.ignore)]
    for name, words in [*((name, known | areas) for name in wanted), *((name, known) for name in named)]:
        if name not in words:
            raise UsageError(f"no check `{name}`", fix=suggestion(name, words))
    if wanted:
        return [check for check in checks if check.id in wanted or check.area in wanted]
    costs = COSTS[: COSTS.index(profile) + 1]
    return [check for check in checks if check.id not in ctx.config.health.disabled and check.cost in costs]


def explain(ctx: Context, name: str) -> Explained:
    """Return what a check looks at and why. Raises UsageError for an unknown one."""
    from .registry import load

    found = {check.id: check for check in load()}
    if name not in found:
        raise UsageError(f"no check `{name}`", fix=suggestion(name, found))
    return Explained(found[name], Limits.of(found[name], ctx.config.health.limits.get(name)))


def list_checks(ctx: Context) -> Listed:
    """Return the checks with their limits in this environment."""
    from .registry import load

    checks = load()
    return Listed(
        tuple(checks),
        {check.id: Limits.of(check, ctx.config.health.limits.get(check.id)) for check in checks},
        tuple(ctx.config.health.disabled),
    )


__all__ = ["Check", "Limits", "Report", "check", "check_of", "explain", "list_checks"]
