"""Whether two runs differ, or only seem to: an exact permutation test, and an interval by bootstrap.

Both know the spread of the rounds within a run, not what changed between the two runs besides: a neighbour of the
machine, a checkpoint that one of them met. The control shows the first; who wants to be sure measures both again.

Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 and 15; Hesterberg, What Teachers Should Know
About the Bootstrap (2015): few values give too narrow an interval, unless one fewer is drawn of them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import combinations
from math import ceil, comb
from statistics import fmean as mean
from statistics import stdev

from msgspec import Struct

EXACT = 20_000  # arrangements that are all looked at; more are drawn
DRAWN = 10_000
RESAMPLED = 2000
SEED = 20_261_123
SURE = 0.05
LEAST = 4  # rounds: of three against three no difference, however large, is less likely than 0.1


class Comparison(Struct, frozen=True):
    """*ratio* of the later to the earlier mean, with its interval of 95 %; *p* that they are the same; *needed* rounds.

    *needed* is how many rounds each would show a difference of 5 %, None where the noise is not known.
    """

    ratio: float
    low: float
    high: float
    p: float
    needed: int | None

    @property
    def differs(self) -> bool:
        """Whether the difference is more than noise."""
        return self.p < SURE


def compare(before: Sequence[float], after: Sequence[float]) -> Comparison:
    """Compare the rounds of two runs. Raises ValueError when one has fewer than four."""
    if min(len(before), len(after)) < LEAST:
        raise ValueError(f"a run needs {LEAST} rounds to be compared")
    chance = random.Random(SEED)  # noqa: S311  (statistics)

    def drawn(values: Sequence[float]) -> float:
        return mean(chance.choices(values, k=len(values) - 1))

    ratios = sorted(drawn(after) / drawn(before) for _ in range(RESAMPLED))
    low, high = ratios[int(RESAMPLED * SURE / 2)], ratios[-1 - int(RESAMPLED * SURE / 2)]
    return Comparison(mean(after) / mean(before), low, high, _p(before, after, chance), _needed(before, after))


def _p(before: Sequence[float], after: Sequence[float], chance: random.Random) -> float:
    """Return how often chance alone makes as large a difference of the means."""
    both = [*before, *after]
    seen, total = abs(mean(after) - mean(before)), sum(both)
    size, rest = len(before), len(after)

    def as_large(part: float) -> bool:
        return abs((total - part) / rest - part / size) >= seen - 1e-12 * total

    if comb(len(both), size) <= EXACT:
        parts = [sum(chosen) for chosen in combinations(both, size)]
        return sum(map(as_large, parts)) / len(parts)
    drawn = sum(as_large(sum(chance.sample(both, size))) for _ in range(DRAWN))
    return (drawn + 1) / (DRAWN + 1)


def _needed(before: Sequence[float], after: Sequence[float]) -> int | None:
    """Return the rounds a run to see 5 %: 80 % power at the 5 % level (normal approximation)."""
    noise = max(stdev(values) / mean(values) for values in (before, after))
    return max(LEAST, ceil(2 * ((1.96 + 0.84) * noise / 0.05) ** 2)) if noise else None
