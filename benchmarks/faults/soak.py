"""A soak: ``python -m benchmarks.faults.soak [MINUTES] [--candidate NAME] [--seed SEED]``.

Threads read and write under random faults; the process that holds the candidate is measured every few seconds. Flat
means that a line fitted to the samples after the warm-up rises by no more than the limit over that time. Exit 1 when
something is not flat.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from .candidates import candidate
from .chaos import ANY
from .crowd import Crowd
from .lab import Lab, LabError

CALLERS, PAUSE, EVERY = 8, 0.01, 5.0  # threads, s, s
WARM_UP = 1 / 3  # of the samples


class Sample(NamedTuple):
    """The process at a moment: `rss` in MiB, open files, connections that the candidate says it holds."""

    at: float
    rss: float
    threads: int
    files: int
    connections: int | None


class Growth(NamedTuple):
    """How much something rose over the measured time, and how much it may."""

    what: str
    rise: float
    limit: float

    @property
    def flat(self) -> bool:
        """Whether it kept within its limit."""
        return self.rise <= self.limit


def growth(samples: Sequence[Sample]) -> list[Growth]:
    """Fit a line to each number after the warm-up."""
    kept = samples[int(len(samples) * WARM_UP) :]
    if len(kept) < 3:
        return []
    limits = {"rss": max(2.0, 0.05 * kept[0].rss), "threads": 2.0, "files": 2.0}
    times = [sample.at for sample in kept]
    span = times[-1] - times[0]
    fitted = {what: statistics.linear_regression(times, [getattr(s, what) for s in kept]).slope for what in limits}
    return [Growth(what, fitted[what] * span, limit) for what, limit in limits.items()]


def soak(lab: Lab, name: str, seconds: float, dice: random.Random) -> tuple[list[Sample], int, int]:
    """Load a candidate for so long; the samples, the good calls and the errors."""
    samples: list[Sample] = []
    with Crowd(name, lab.hosts(), call="mixed", callers=CALLERS, pause=PAUSE) as crowd:
        crowd.go()
        crowd.warm()
        started = time.monotonic()
        while (at := time.monotonic() - started) < seconds:
            crowd.go()
            time.sleep(0.2)
            samples.append(_sample(at, crowd))
            print(_line(samples[-1]), flush=True)
            dice.choice(ANY)(lab, dice)
            time.sleep(max(0.0, started + at + EVERY - time.monotonic()))
    good = sum(call.error is None for call in crowd.calls)
    return samples, good, len(crowd.calls) - good


def _sample(at: float, crowd: Crowd) -> Sample:
    process = Path(f"/proc/{crowd.pid}")
    pages = int((process / "statm").read_text().split()[1])
    rss = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    return Sample(at, rss, _count(process / "task"), _count(process / "fd"), crowd.connections)


def _count(folder: Path) -> int:
    return sum(1 for _ in folder.iterdir())


def _line(sample: Sample) -> str:
    held = "?" if sample.connections is None else sample.connections
    return f"{sample.at:6.0f} {sample.rss:10.1f} {sample.threads:8} {sample.files:6} {held:>12}"


def main(words: Sequence[str] | None = None) -> int:
    """Soak and print; 0, 1 when something grows, 2 when the lab cannot come up."""
    parser = argparse.ArgumentParser("python -m benchmarks.faults.soak", description="Memory and threads stay flat.")
    parser.add_argument("minutes", nargs="?", type=float, default=5, help="default 5")
    parser.add_argument("--candidate", default="pgcohesion")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    options = parser.parse_args(words)
    candidate(options.candidate)
    print(f"{options.candidate}: {options.minutes:g} min of soak, seed {options.seed}")
    print(f"{'s':>6} {'rss MiB':>10} {'threads':>8} {'files':>6} {'connections':>12}", flush=True)
    try:
        with Lab() as lab:
            samples, good, errors = soak(lab, options.candidate, options.minutes * 60, random.Random(options.seed))
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{good} good calls, {errors} errors")
    found = growth(samples)
    for what, rise, limit in found:
        print(f"{what}: {rise:+.1f} after the warm-up, {'flat' if rise <= limit else f'not flat (limit {limit:.1f})'}")
    return 0 if found and all(one.flat for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
