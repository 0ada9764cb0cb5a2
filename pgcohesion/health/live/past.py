"""The bars of a former view: kept in the history of the environment, so that a new one does not begin blank."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..history import kept
from .memory import Point

if TYPE_CHECKING:
    from ...context import Context
    from ..history import History

STEP = 5.0  # seconds that a bar stands for
LOOKED_BACK = 3600.0
TABLE = "CREATE TABLE IF NOT EXISTS watched (at REAL, host TEXT, tps REAL, active REAL, waiting REAL)"


def binned(points: Sequence[Point], now: float, number: int) -> list[Point | None]:
    """Return the means of the last *number* times STEP seconds, the newest last; None where nothing was seen."""
    last = int(now // STEP)
    bins: dict[int, list[Point]] = {}
    for point in points:
        bins.setdefault(int(point.at // STEP), []).append(point)
    return [_mean(bins[at]) if at in bins else None for at in range(last - number + 1, last + 1)]


def _mean(points: Sequence[Point]) -> Point:
    many = len(points)
    tps, active, waiting = (sum(getattr(one, name) for one in points) / many for name in ("tps", "active", "waiting"))
    return Point(points[0].at, tps, active, waiting)


class Past:
    """The points of one host. A history that cannot be kept is none: no view fails for its sake."""

    def __init__(self, ctx: Context) -> None:
        self._ctx, self._usable = ctx, True
        self._kept_until = time.time()

    def recall(self) -> list[Point]:
        """Return what was seen of late."""
        since = time.time() - LOOKED_BACK
        rows: list[Point] = []
        with kept(self._ctx) as history:
            if history is None:
                self._usable = False
                return []
            try:
                history.ensure(TABLE)
                found = history.connection.execute(
                    "SELECT at, tps, active, waiting FROM watched WHERE host = ? AND at >= ? ORDER BY at",
                    (self._ctx.host, since),
                )
                rows = [Point(*row) for row in found]
            except sqlite3.Error:
                self._usable = False
        return rows

    def keep(self, points: Sequence[Point]) -> None:
        """Write down what is new and complete: a mean of each STEP."""
        until = time.time() // STEP * STEP
        new = [point for point in points if self._kept_until <= point.at < until]
        if not self._usable or not new:
            return
        number = int((until - new[0].at) // STEP) + 2
        means = [one for one in binned(new, until, number) if one is not None]
        with kept(self._ctx) as history:
            self._usable = history is not None and self._written(history, means)
        self._kept_until = until

    def _written(self, history: History, means: Sequence[Point]) -> bool:
        values = [(one.at, self._ctx.host, one.tps, one.active, one.waiting) for one in means]
        try:
            history.connection.execute("DELETE FROM watched WHERE at < ?", (means[-1].at - LOOKED_BACK,))
            history.connection.executemany("INSERT INTO watched VALUES (?, ?, ?, ?, ?)", values)
        except sqlite3.Error:
            return False
        return True
