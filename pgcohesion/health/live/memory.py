"""What one look cannot tell: rates, a minute of waits, the last values of a few numbers, statements' gains."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from .facts import Counters, Facts, Statement

MINUTE = 60.0
POINTS = 300  # of each line of bars
BEGUN = "CPU"  # what an active session does that waits for nothing
GROWING = ("commits", "rollbacks", "hits", "reads", "temp", "deadlocks", "wal")


class Rates(Struct, frozen=True):
    """Gains a second over the last refresh; None: nobody knows yet, or the counters were reset. *hit* is a share."""

    tps: float | None = None
    rollbacks: float | None = None
    hit: float | None = None
    reads: float | None = None
    temp: float | None = None
    deadlocks: float | None = None
    wal: float | None = None


class Point(Struct, frozen=True):
    """A moment of the past (epoch seconds): transactions a second, active sessions, sessions that wait for locks."""

    at: float
    tps: float
    active: float
    waiting: float


class Gain(Struct, frozen=True):
    """What a statement did a second of the last while: *time* milliseconds, *calls*, *rows*; *mean* ms a call."""

    id: int
    query: str
    time: float
    calls: float
    rows: float
    mean: float


def rates(before: Counters | None, now: Counters) -> Rates:
    """Return what has grown between two looks at the same server."""
    if before is None or now.at <= before.at or now.uptime < before.uptime:
        return Rates()
    seconds = now.at - before.at
    gains = {name: _gain(getattr(before, name), getattr(now, name), seconds) for name in GROWING}
    hits, reads = gains.pop("hits"), gains["reads"]
    looked = (hits or 0.0) + (reads or 0.0)
    hit = hits / looked if hits is not None and reads is not None and looked > 0 else None
    return Rates(tps=gains.pop("commits"), hit=hit, **gains)


def _gain(before: float | None, now: float | None, seconds: float) -> float | None:
    return None if before is None or now is None or now < before else (now - before) / seconds


def gains(before: Mapping[int, Statement], now: Mapping[int, Statement], seconds: float) -> list[Gain]:
    """Return what each statement did between two looks, the most expensive first, without their texts."""
    found = []
    for id_, statement in now.items():
        old = before.get(id_)
        if old is None or old.calls > statement.calls:  # new, or the counters were reset
            old = Statement(id_, 0.0, 0.0, 0.0)
        calls, time = statement.calls - old.calls, statement.time - old.time
        if calls > 0 and seconds > 0:
            rows = statement.rows - old.rows
            found.append(Gain(id_, "", time / seconds, calls / seconds, rows / seconds, time / calls))
    return sorted(found, key=lambda gain: (-gain.time, gain.id))


class Memory:
    """Takes in one look after the other. Times are epoch seconds of this machine."""

    def __init__(self, points: Iterable[Point] = ()) -> None:
        self.points: deque[Point] = deque(points, POINTS)
        self.rates = Rates()
        self._before: Counters | None = None
        self._waits: deque[tuple[float, Counter[str]]] = deque()

    def add(self, facts: Facts, now: float) -> None:
        """Take in what was read *now*."""
        counters = facts.counters
        self.rates = rates(self._before, counters)
        self._before = counters
        active = Counter(one.wait or BEGUN for one in facts.sessions if one.state == "active")
        self._waits.append((now, active))
        while self._waits[0][0] < now - MINUTE:
            self._waits.popleft()
        if self.rates.tps is not None:
            self.points.append(Point(now, self.rates.tps, counters.active, counters.waiting))

    def remember(self, points: Sequence[Point]) -> None:
        """Put what an earlier run has seen in front of what this one has."""
        first = self.points[0].at if self.points else float("inf")
        older = [point for point in points if point.at < first]
        self.points = deque([*older, *self.points], POINTS)

    def waits(self) -> tuple[tuple[str, float], ...]:
        """Return what active sessions were seen at in the last minute, with the share of each, the highest first."""
        seen: Counter[str] = Counter()
        for _, sample in self._waits:
            seen.update(sample)
        total = seen.total()
        return tuple((name, number / total) for name, number in sorted(seen.items(), key=lambda one: (-one[1], one[0])))
