"""What is unhealthy, and the line that mends it."""

from __future__ import annotations

import pgcohesion as pg


@pg.task(
    example="inv health.check --env=production --json",
    help={
        "only": "ids or areas of checks, with commas",
        "profile": "quick, standard or deep",
        "format": "text, nagios, openmetrics, junit or github",
        "fail_on": "the grade that makes the exit code 1: fail, warn or never",
        "diff": "show what has changed since the last run",
    },
)
def check(
    ctx: pg.Context,
    only: str = "",
    profile: str = "standard",
    format: str = "text",  # noqa: A002  (the option's name)
    fail_on: str = "fail",
    diff: bool = False,
) -> pg.Answer:
    """Run the health checks."""
    return pg.health.judge(ctx, only, profile, format=format, fail_on=fail_on, diff=diff)


@pg.task(changes=True, example="inv health.baseline --env=production")
def baseline(ctx: pg.Context) -> pg.Answer:
    """Take what is found now as known, until it gets worse."""
    return pg.health.rebase(ctx)


@pg.task(name="list")
def list_checks(ctx: pg.Context) -> pg.Answer:
    """List the checks and their limits."""
    return pg.health.list_checks(ctx)


@pg.task(example="inv health.explain idle_in_transaction", help={"name": "the check, or the fingerprint of a finding"})
def explain(ctx: pg.Context, name: str) -> pg.Answer:
    """Show what a check looks at, and why."""
    return pg.health.explain(ctx, name)


@pg.task(help={"only": "ids or areas of checks, with commas"})
def selftest(ctx: pg.Context, only: str = "") -> pg.Answer:
    """Try every check on the server, also your own."""
    return pg.health.selftest(ctx, only)


@pg.task(
    changes=True,
    example="inv health.grant --role monitoring",
    help={"role": "the role's name", "apply": "grant it, do not only print the statements"},
)
def grant(ctx: pg.Context, role: str = "", apply: bool = False) -> pg.Answer:
    """Print what a role needs to run the checks."""
    return pg.health.grant(ctx, role, apply=apply)


@pg.task(
    example="inv health.history --check=connections --since=30d",
    help={"check": "one check, with its objects", "since": "how far back: 12h, 7d, 4w"},
)
def history(ctx: pg.Context, check: str = "", since: str = "7d") -> pg.Answer:
    """Show what came and went, trends and forecasts."""
    return pg.health.look_back(ctx, check, since)


@pg.task(
    example="inv health.report --env=production --output=report.html",
    help={"output": "the file, or - for stdout (default: health-report.html in the state folder)"},
)
def report(ctx: pg.Context, output: str = "") -> pg.Answer:
    """Write a report as one HTML file, with plots."""
    return pg.health.write_report(ctx, output)


@pg.task(
    example="inv health.serve --env=production --port=9187",
    help={
        "port": "where to listen (0: any that is free)",
        "interval": "seconds between two runs of the quick checks",
        "host": "the address to listen at; any but this machine's own needs [health.serve] token",
    },
)
def serve(ctx: pg.Context, port: int = 9187, interval: float = 15, host: str = "127.0.0.1") -> pg.Answer:
    """Serve metrics, liveness, readiness and a live page."""
    return pg.health.serve(ctx, port, interval, host)


@pg.task(
    changes=True,
    example="inv health.heal --env=staging",
    help={
        "apply": "do it; without, it is only planned",
        "check": "findings of this check only",
        "object": "this object only",
        "history": "show what was healed so far",
        "reset": "let it work again after two failures",
    },
)
def heal(
    ctx: pg.Context,
    apply: bool = False,
    check: str = "",
    object: str = "",  # noqa: A002  (the option's name)
    history: bool = False,
    reset: bool = False,
) -> pg.Answer:
    """Plan what mends the findings, or do it with --apply."""
    return pg.health.mend(ctx, apply=apply, check=check, object=object, past=history, reset=reset)


@pg.task(
    example="inv health.alert --env=production",
    help={
        "test": "send a test message by each route, or by --route",
        "route": "the route to test",
        "mute": "tell nobody for a time such as 2h (0s ends it)",
        "reason": "why nobody is told",
    },
)
def alert(ctx: pg.Context, test: bool = False, route: str = "", mute: str = "", reason: str = "") -> pg.Answer:
    """Run the checks and tell who should know."""
    return pg.health.alert(ctx, test=test, route=route, mute=mute, reason=reason)


@pg.task(
    changes=True,
    example="inv health.timer --env=production --interval=60",
    help={"interval": "seconds between two runs", "remove": "run them no more"},
)
def timer(ctx: pg.Context, interval: int = 60, remove: bool = False) -> pg.Answer:
    """Let systemd run the checks at an interval."""
    return pg.health.timer(ctx, interval, remove=remove)


@pg.task(
    example="inv health.queries --by=io",
    help={
        "by": "time, calls, rows, mean, io, temp or wal",
        "limit": "how many",
        "since": "how far back: 30min, 12h, 7d; last (the run before) or reset (all that was counted)",
        "plan": "the id of a statement: show its plan; nothing is executed",
        "sample": "seconds to look on from now, instead",
    },
)
def queries(
    ctx: pg.Context,
    by: str = "time",
    limit: int = 10,
    since: str = "1h",
    plan: str = "",
    sample: float | None = None,
) -> pg.Answer:
    """Show what statements cost, which are new or slower."""
    return pg.health.statements(ctx, by, limit, since=since, plan=plan, sample=sample)


@pg.task(
    changes=True,
    example="inv health.bench --seconds=30",
    help={
        "seconds": "of all rounds together",
        "rounds": "short ones, so that two runs can be compared",
        "scale": "of pgbench's tables: 1 is 16 MiB",
        "clients": "sessions at once",
        "workload": "tpcb, select, update, or a pgbench script's path",
        "list": "show the runs so far",
        "compare": "two runs: 1,2 or previous,last",
        "fail_on_regression": "percent: exit 1 when the later run (of the last two) is surely slower by more",
    },
)
def bench(  # noqa: PLR0913, PLR0917  (options of a command)
    ctx: pg.Context,
    seconds: float = 30,
    rounds: int = 6,
    scale: int = 10,
    clients: int = 4,
    workload: str = "tpcb",
    list: bool = False,  # noqa: A002  (the option's name)
    compare: str = "",
    fail_on_regression: float | None = None,
) -> pg.Answer:
    """Measure the server, and compare two measurements."""
    if list or compare or fail_on_regression is not None:
        return pg.health.measured(ctx, compare, fail_on_regression)
    return pg.health.measure(ctx, seconds=seconds, rounds=rounds, scale=scale, clients=clients, workload=workload)


@pg.task(
    example="inv health.watch --env=production",
    help={"interval": "seconds between two looks (default: 2)", "count": "end after so many looks"},
)
def watch(ctx: pg.Context, interval: float = 2.0, count: int = 0) -> int:
    """Show sessions, locks, findings and load live."""
    return pg.health.watch(ctx, interval, count)


@pg.task(example="inv health.indexes --env=production")
def indexes(ctx: pg.Context) -> pg.Answer:
    """Show indexes that are missing, and those that can go."""
    return pg.health.advise(ctx)
