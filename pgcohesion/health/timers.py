"""The checks at an interval, by a systemd timer of the machine that runs them."""

from __future__ import annotations

import getpass
import os
import re
from typing import TYPE_CHECKING

from ..errors import ConfigError, UsageError
from ..plan import Change, Plan, Step, WriteFile
from ..runner import Local

if TYPE_CHECKING:
    from ..context import Context

FOLDER = "/etc/systemd/system"
LEAST = 10
KINDS = ("service", "timer")


def plan(ctx: Context, interval: int, *, remove: bool = False) -> Plan:
    """Return the changes that run the checks every *interval* seconds on this machine, or no more.

    With alerts it is health.alert that runs, else health.check, which keeps the history. Raises UsageError or
    ConfigError.
    """
    if interval < LEAST:
        raise UsageError(f"`--interval {interval}` is too short", fix=f"--interval {LEAST}, or inv health.watch")
    if not os.path.isdir("/run/systemd/system"):  # noqa: PTH112  (what sd_booted(3) looks at)
        fix = "run inv health.alert from cron"
        raise ConfigError("this machine does not run systemd", why="there is no /run/systemd/system", fix=fix)
    unit = f"pgcohesion-health-{re.sub('[^A-Za-z0-9]', '_', ctx.env)}"
    runner = Local()
    changes = _removed(runner, unit) if remove else _installed(ctx, runner, unit, interval)
    return Plan(ctx.env, tuple(changes))


def files(ctx: Context, unit: str, interval: int) -> dict[str, str]:
    """Return the units' paths and texts."""
    values = {
        "root": ctx.root,
        "task": "health.alert" if ctx.config.health.alerts.routes else "health.check",
        "user": "" if os.geteuid() == 0 else getpass.getuser(),
        "interval": interval,
        "delay": max(1, interval // 10),
        "timeout": round(ctx.config.health.timeout * 6 + 60),
    }
    names = {kind: f"{FOLDER}/{unit}.{kind}" for kind in KINDS}
    return {name: ctx.render(f"pgcohesion-health.{kind}.j2", **values) for kind, name in names.items()}


def _installed(ctx: Context, runner: Local, unit: str, interval: int) -> list[Change]:
    changes = []
    for path, text in files(ctx, unit, interval).items():
        before = runner.read(path, user="root")
        if before != text.encode():
            file = WriteFile(path, text.encode(), 0o644, user="root")
            step = Step(lambda _, file=file: runner.write(file))  # type: ignore[misc]
            changes.append(Change("alter" if before else "create", path, step))
    active = runner.run(("systemctl", "is-active", "-q", f"{unit}.timer"), check=False).status == 0
    if changes or not active:
        changes.append(Change("run", f"{unit}.timer, every {interval} s", Step(lambda _: _start(runner, unit))))
    return changes


def _start(runner: Local, unit: str) -> None:
    runner.run(("systemctl", "daemon-reload"), user="root")
    runner.run(("systemctl", "enable", f"{unit}.timer"), user="root")
    runner.run(("systemctl", "restart", f"{unit}.timer"), user="root")


def _removed(runner: Local, unit: str) -> list[Change]:
    paths = [path for kind in KINDS if runner.read(path := f"{FOLDER}/{unit}.{kind}", user="root") is not None]
    if not paths:
        return []

    def remove() -> None:
        runner.run(("systemctl", "disable", "--now", f"{unit}.timer"), user="root", check=False)
        runner.run(("rm", "-f", *paths), user="root")
        runner.run(("systemctl", "daemon-reload"), user="root")

    return [Change("drop", f"{unit}.timer", Step(lambda _: remove()))]
