"""Writes under random faults: ``python -m benchmarks.faults.increments [N] [--candidate NAME] [--seed SEED]``.

Threads write, each write with an id of its own, until N were acknowledged. Then: acknowledged but absent is lost, twice
there is double, raised is unknown (it may be there once). The standby is synchronous, so that an error may come after
the commit. Exit 1 on a lost or double write.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .candidates import candidate
from .chaos import WRITES
from .crowd import Call, Crowd
from .lab import USER, Lab, LabError, wait_for

CALLERS, PAUSE = 8, 0.02
LIMIT = 900  # s


class Account(NamedTuple):
    """What became of the writes. `unknown`: calls that raised or never returned; `landed`: those that are there."""

    acknowledged: int
    lost: int
    double: int
    unknown: int
    landed: int

    @property
    def clean(self) -> bool:
        """Whether no write was lost or done twice."""
        return not self.lost and not self.double


def account(calls: Iterable[Call], written: Iterable[int]) -> Account:
    """Compare what callers were told with the ids that are in the table."""
    there, told = Counter(written), {call.key: call.end is not None and call.error is None for call in calls}
    good = {key for key, acknowledged in told.items() if acknowledged}
    return Account(
        acknowledged=len(good),
        lost=sum(key not in there for key in good),
        double=sum(number > 1 for number in there.values()),
        unknown=len(told) - len(good),
        landed=sum(key in there for key in told.keys() - good),
    )


def torture(lab: Lab, name: str, number: int, dice: random.Random) -> tuple[Account, Counter[str]]:
    """Let callers write until `number` writes were acknowledged; what became of them, and how often what struck."""
    lab.primary.admin("TRUNCATE written")
    lab.primary.admin("UPDATE counters SET n = 0")
    lab.synchronous(on=True)
    struck: Counter[str] = Counter()
    with Crowd(name, lab.hosts(), call="write", callers=CALLERS, pause=PAUSE) as crowd:
        crowd.go()
        crowd.warm()
        end = time.monotonic() + LIMIT
        while sum(call.error is None for call in list(crowd.calls)) < number:
            if time.monotonic() > end:
                raise LabError(f"{number} writes were not acknowledged in {LIMIT} s; last: {crowd.last_error()}")
            fault = dice.choice(WRITES)
            fault(lab, dice)
            struck[fault.__name__] += 1
            time.sleep(dice.uniform(0.2, 1.5))
    lab.synchronous(on=False)
    busy = f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{USER}'"
    wait_for(lambda: lab.primary.admin(busy) == [(0,)], 30, "the end of the last write")
    written = [int(id_) for (id_,) in lab.primary.admin("SELECT id FROM written")]
    if lab.primary.admin("SELECT sum(n)::int FROM counters") != [(len(written),)]:
        raise LabError("the counters and their proofs differ: the lab itself lost something")
    return account(crowd.calls, written), struck


def main(words: Sequence[str] | None = None) -> int:
    """Torture and print; 0, 1 on a lost or double write, 2 when the lab cannot come up."""
    parser = argparse.ArgumentParser("python -m benchmarks.faults.increments", description="No write lost or double.")
    parser.add_argument("number", nargs="?", type=int, default=10_000, help="writes to acknowledge (default 10000)")
    parser.add_argument("--candidate", default="pgcohesion")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    options = parser.parse_args(words)
    candidate(options.candidate)
    print(f"{options.candidate}: {options.number} increments, seed {options.seed}", flush=True)
    started = time.monotonic()
    try:
        with Lab() as lab:
            verdict, struck = torture(lab, options.candidate, options.number, random.Random(options.seed))
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{struck.total()} faults in {time.monotonic() - started:.0f} s:", dict(struck.most_common()))
    print(
        f"{verdict.acknowledged} acknowledged, {verdict.lost} lost, {verdict.double} double,"
        f" {verdict.unknown} unknown ({verdict.landed} of them written)"
    )
    return 0 if verdict.clean else 1


if __name__ == "__main__":
    sys.exit(main())
