"""What is unhealthy, and the line that mends it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..errors import UsageError, suggestion
from .registry import Check, Limits, check_of
from .report import Listed, Report

if TYPE_CHECKING:
    from ..context import Context


def check(ctx: Context, only: str = "") -> Report:
    """Run the checks of an environment and return their findings.

    Raises ServerDown or ConfigError when there is no server to ask, UsageError for an unknown check.
    """
    from . import running
    from .registry import load

    started = time.monotonic()
    checks = _chosen(ctx, load(), only)
    ctx.running()
    findings = running.run(ctx, checks)
    return Report(tuple(findings), time.monotonic() - started, ctx.env)


def _chosen(ctx: Context, checks: list[Check], only: str) -> list[Check]:
    known = [check.id for check in checks]
    wanted = [name.strip() for name in only.split(",") if name.strip()]
    for name in [*wanted, *ctx.config.health.disabled, *ctx.config.health.limits]:
        if name not in known:
            raise UsageError(f"no check `{name}`", fix=suggestion(name, known))
    if wanted:
        return [check for check in checks if check.id in wanted]
    return [check for check in checks if check.id not in ctx.config.health.disabled]


def list_checks(ctx: Context) -> Listed:
    """Return the checks with their limits in this environment."""
    from .registry import load

    checks = load()
    return Listed(
        tuple(checks),
        {check.id: Limits.of(check, ctx.config.health.limits.get(check.id)) for check in checks},
        tuple(ctx.config.health.disabled),
    )


__all__ = ["Check", "Limits", "Report", "check", "check_of", "list_checks"]
