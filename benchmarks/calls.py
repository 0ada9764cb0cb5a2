"""What a call costs beside its query, in nanoseconds: no server takes part.

    python -m benchmarks.calls [ROUNDS]

Each line is the best of ROUNDS interleaved batches, less the empty loop. *retry + breaker* is what core.md's table
has: the loop that would try again and the breaker that lets the call pass, around a function that does nothing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from itertools import count
from typing import Any

from pgcohesion.config.model import Breaker as Settings
from pgcohesion.config.model import Monitoring
from pgcohesion.connections.breaker import Breaker
from pgcohesion.connections.holders import holder
from pgcohesion.connections.queries import Queries

BATCH = 20_000
FLOOR = "the function itself"
GOAL = 1000.0


class Parts:
    """What is timed."""

    def __init__(self) -> None:
        self._breaker = Breaker(Settings())
        self._log = Queries(Monitoring().queries, 1.0, lambda *_: None).log()

    def nothing(self) -> None:
        """Do nothing."""

    def retry(self) -> None:
        """Call it in a loop that would try again."""
        for _attempt in count():
            try:
                self.nothing()
            except ValueError:
                continue
            return

    def breaker(self) -> None:
        """Call it when the breaker lets it pass."""
        if self._breaker.allow():
            self.nothing()
            self._breaker.success()

    def both(self) -> None:
        """Do both."""
        for _attempt in count():
            try:
                self.breaker()
            except ValueError:
                continue
            return

    def statistics(self) -> None:
        """Time it and count it as a query."""
        started = time.perf_counter()
        self.nothing()
        self._log.add("SELECT * FROM bills WHERE id = %s", time.perf_counter() - started, 1, False)


def parts() -> dict[str, Callable[[], Any]]:
    """Return name -> call."""
    made = Parts()
    return {
        FLOOR: made.nothing,
        "retry": made.retry,
        "breaker": made.breaker,
        "retry + breaker": made.both,
        "query statistics": made.statistics,
        "note of the holder": holder,
    }


def main(rounds: int) -> None:
    """Print the table."""
    found = parts()
    best = dict.fromkeys(found, float("inf"))
    for _ in range(rounds):
        for name, call in found.items():
            started = time.perf_counter()
            for _ in range(BATCH):
                call()
            best[name] = min(best[name], (time.perf_counter() - started) / BATCH * 1e9)
    floor = best[FLOOR]
    for name, seconds in best.items():
        print(f"{name:28}{seconds - (0 if name == FLOOR else floor):8.0f} ns")
    cost = best["retry + breaker"] - floor
    print(f"\nretry + breaker: {cost:.0f} ns (goal {GOAL:.0f}) {'reached' if cost <= GOAL else 'missed'}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 21)
