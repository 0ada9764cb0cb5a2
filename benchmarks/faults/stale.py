"""Stale reads: ``python -m benchmarks.faults.stale [SECONDS] [--candidate NAME] [--seed SEED]``.

Sessions write and read back through the candidate while the replica's replay pauses at random. A read that knows less
than its own session wrote is stale. How many reads the replica served is counted there. Exit 1 on a stale read.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

from .candidates import ReadsOwnWrites, candidate
from .crowd import Crowd
from .lab import Lab, LabError

CALLERS, PAUSE = 8, 0.005
SERVED = "SELECT coalesce(seq_scan, 0) + coalesce(idx_scan, 0) FROM pg_stat_user_tables WHERE relname = 'own'"


class Stale(NamedTuple):
    """What the sessions saw; `replica`: reads that the replica served; `longest`: s of one write and read."""

    good: int
    stale: int
    errors: int
    replica: int
    longest: float

    def __str__(self) -> str:
        share = self.replica / max(self.good, 1)
        return (
            f"{self.good} writes read back, {self.stale} stale, {self.errors} errors,"
            f" {self.replica} reads by the replica ({share:.0%}), longest {self.longest:.2f} s"
        )


def torture(lab: Lab, name: str, seconds: float, dice: random.Random) -> Stale:
    """Let sessions write and read for so long, half of the time with a replica that replays nothing."""
    before = _served(lab)
    with Crowd(name, lab.hosts(), call="own", callers=CALLERS, pause=PAUSE) as crowd:
        crowd.go()
        crowd.warm()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            lab.standby.admin("SELECT pg_wal_replay_pause()", database="postgres")
            time.sleep(dice.uniform(0.02, 0.6))
            lab.standby.admin("SELECT pg_wal_replay_resume()", database="postgres")
            time.sleep(dice.uniform(0.02, 0.6))
    time.sleep(1)  # the ends of backends are what puts their statistics down
    done = [call for call in crowd.calls if call.end is not None]
    pairs = [(call.result[0], call.result[1]) for call in done if call.error is None]
    return Stale(
        good=len(pairs),
        stale=sum(read < wrote for wrote, read in pairs),
        errors=len(done) - len(pairs),
        replica=_served(lab) - before,
        longest=max(call.end - call.start for call in done if call.end),
    )


def _served(lab: Lab) -> int:
    return int(lab.standby.admin(SERVED)[0][0])


def main(words: Sequence[str] | None = None) -> int:
    """Torture and print; 0, 1 on a stale read, 2 when the lab cannot come up."""
    parser = argparse.ArgumentParser("python -m benchmarks.faults.stale", description="No session reads the past.")
    parser.add_argument("seconds", nargs="?", type=float, default=30, help="default 30")
    parser.add_argument("--candidate", default="pgcohesion")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    options = parser.parse_args(words)
    if not isinstance(candidate(options.candidate), ReadsOwnWrites):
        parser.error(f"{options.candidate} has no write_then_read")
    print(f"{options.candidate}: {options.seconds:g} s of stale-read torture, seed {options.seed}", flush=True)
    try:
        with Lab() as lab:
            verdict = torture(lab, options.candidate, options.seconds, random.Random(options.seed))
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(verdict)
    return 1 if verdict.stale else 0


if __name__ == "__main__":
    sys.exit(main())
