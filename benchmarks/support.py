"""Interleaved measurement: each round runs every command once; medians and their ratios are what counts."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

REPO = Path(__file__).resolve().parents[1]


class Command(NamedTuple):
    """Something to time. *before* runs first, untimed."""

    name: str
    argv: Sequence[str]
    cwd: Path
    env: Mapping[str, str]
    before: Callable[[], None] | None = None


class Sample(NamedTuple):
    """Seconds of one run."""

    wall: float
    cpu: float


def environment(**more: str) -> dict[str, str]:
    """Return a clean process environment in which bytecode is cached, as on a user's machine."""
    drop = ("PG", "PYTHONDONTWRITEBYTECODE", "DATABASE_URL")
    return {**{name: value for name, value in os.environ.items() if not name.startswith(drop)}, **more}


def once(command: Command) -> Sample:
    """Run *command* and return what it took. A failure ends the benchmark."""
    if command.before:
        command.before()
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command.argv, cwd=command.cwd, env=dict(command.env), capture_output=True, check=False)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{command.name} failed ({done.returncode}): {done.stderr.decode()[-2000:]}")
    return Sample(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def rounds(commands: Sequence[Command], number: int) -> dict[str, list[Sample]]:
    """Run all commands *number* times, interleaved, after one round that is not counted."""
    samples: dict[str, list[Sample]] = {command.name: [] for command in commands}
    for turn in range(number + 1):
        for command in commands:
            sample = once(command)
            if turn:
                samples[command.name].append(sample)
    return samples


def table(samples: Mapping[str, Sequence[Sample]], ratios: Sequence[tuple[str, str, float]]) -> None:
    """Print medians, then each (name, floor, goal) as the median of the rounds' own ratios."""
    print(f"{'command':44} {'wall ms':>9} {'cpu ms':>9}")
    for name, taken in samples.items():
        wall, cpu = (statistics.median(getattr(s, kind) for s in taken) * 1000 for kind in ("wall", "cpu"))
        print(f"{name:44} {wall:9.1f} {cpu:9.1f}")
    print(f"\n{'ratio':64} {'wall':>6} {'cpu':>6} {'goal':>6}")
    for name, floor, goal in ratios:
        pairs = list(zip(samples[name], samples[floor], strict=True))
        wall, cpu = (statistics.median(getattr(a, k) / getattr(b, k) for a, b in pairs) for k in ("wall", "cpu"))
        word = "reached" if wall <= goal else "missed"
        print(f"{name + ' / ' + floor:64} {wall:6.2f} {cpu:6.2f} {goal:6.2f} {word}")
