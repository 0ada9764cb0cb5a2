"""How fast a server is, and whether two measurements differ: ``inv health.bench``."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec import json

from ...errors import UsageError
from ...plan import Change, Plan, Planned, Step
from ..history import History, kept
from .answers import Compared, Measured, Run, Runs, side_by_side
from .measuring import PREFIX, Wanted, run, wanted

if TYPE_CHECKING:
    from ...context import Context

SCHEMA = "CREATE TABLE IF NOT EXISTS bench_kept (id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL, run BLOB)"
MOST = 500  # runs that are kept


def measure(
    ctx: Context, *, seconds: float = 30, rounds: int = 6, scale: int = 10, clients: int = 4, workload: str = "tpcb"
) -> Measured | Planned:
    """Measure in a scratch database of its own, which goes afterwards. With ``--dry-run`` only say what would be done.

    *workload*: tpcb, select, update, or the path of a pgbench script. Raises UsageError, Refused, CommandFailed.
    """
    asked = wanted(seconds, rounds, scale, clients, workload)
    made: list[Measured] = []
    ctx.ours()
    ctx.running()
    answer = ctx.apply(Plan(ctx.env, (_change(asked, made),)))
    if isinstance(answer, Planned):
        return answer
    (measured,) = made
    return measured


def _change(asked: Wanted, made: list[Measured]) -> Change:
    name = f"{PREFIX}{os.getpid()}"

    def work(ctx: Context) -> None:
        found = run(ctx, name, asked)
        with kept(ctx) as history:
            made.append(Measured(_keep(history, found) if history else None, found))

    what = f"measure {asked.workload} for {asked.seconds:g} s in a database of its own, {name}"
    return Change("run", what, Step(work), f"scale {asked.scale}, {asked.clients} clients, {asked.rounds} rounds")


# --- keeping and comparing --------------------------------------------------------------------------------------------


def _keep(history: History, found: Run) -> int:
    history.ensure(SCHEMA)
    with history.transaction() as connection:
        number = connection.execute(
            "INSERT INTO bench_kept (at, run) VALUES (?, ?)", (found.at, json.encode(found))
        ).lastrowid
        connection.execute("DELETE FROM bench_kept WHERE id <= ?", ((number or 0) - MOST,))
    assert number is not None
    return number


def runs(ctx: Context) -> Runs:
    """Return the runs that are kept, the oldest first."""
    with kept(ctx) as history:
        if history is None:
            return Runs(())
        history.ensure(SCHEMA)
        rows = history.connection.execute("SELECT id, run FROM bench_kept ORDER BY id").fetchall()
    return Runs(tuple((number, json.decode(found, type=Run)) for number, found in rows))


def compared(ctx: Context, which: str, slower_by: float | None = None) -> Compared:
    """Compare two runs, ``1,2`` or ``previous,last``; the older one is where the newer one starts from.

    *slower_by*: percent; more, for sure, is a failure. Raises UsageError, also for runs of different work.
    """
    if slower_by is not None and not 0 <= slower_by < 100:
        raise UsageError("`--fail-on-regression` is from 0 to 100 percent", fix="--fail-on-regression=10")
    known = dict(runs(ctx).runs)
    names = re.findall(r"[^\s,.]+", which)
    if len(names) != 2:
        raise UsageError("two runs are compared", fix="--compare=previous,last")
    first, second = (_number(name, known) for name in names)
    if first == second:
        raise UsageError(f"run {first} is compared with itself", fix="inv health.bench --list")
    old, new = known[first], known[second]
    if old.work != new.work:
        words = [", ".join(str(part) for part in one.work if part != "") for one in (old, new)]
        why = f"workload, scale, clients: {words[0]} against {words[1]}"
        raise UsageError("the two runs did not do the same work", why=why, fix="inv health.bench --list")
    return side_by_side((first, old), (second, new), slower_by)


def _number(name: str, known: dict[int, Run]) -> int:
    """Return a run's number: ``last`` is the newest, ``previous`` the one before it that did the same."""
    numbers = list(known)
    if name in ("last", "previous") and numbers:
        same = [number for number in numbers if known[number].work == known[numbers[-1]].work]
        if name == "last" or len(same) > 1:
            return same[-1 if name == "last" else -2]
    with suppress(ValueError):
        if int(name) in known:
            return int(name)
    there = f"there are {', '.join(map(str, numbers[-20:]))}" if numbers else "there is none yet"
    raise UsageError(f"no run `{name}`", why=there, fix="inv health.bench")


__all__ = ["Compared", "Measured", "Runs", "compared", "measure", "runs"]
