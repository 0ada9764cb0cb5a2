"""When something will be full, from what it was: a robust trend, or nothing where there is none to be seen."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import isfinite
from statistics import median

Point = tuple[float, float]

DAY = 86400.0
LEAST_SPAN = 3600.0
"""Seconds that a trend must have been seen for."""
LEAST_POINTS = 6
MOST_POINTS = 60
"""A longer series is thinned to so many medians: the work is the square of it."""
RISING = 0.8
"""The share of pairs in which the later value is higher; noise has a half."""
FAR = 10
"""How many times its own span a trend is drawn out."""
CYCLES = 2
"""So many falls make a cycle: something that empties by itself."""


def days_until(series: list[Point], full: float) -> float | None:
    """Return in how many days, from the last point on, *series* reaches *full* at its present rate.

    *series*: (epoch seconds, value). 0 when it is full already; None when it cannot be told: too few points or too
    short a time, no steady rise, further away than ten times what was seen, or a cycle that has always turned before.
    The trend is the median of all slopes (Theil-Sen) since the last fall; of the whole time and its latest half,
    quarter and so on the most pressing counts, for what was quiet for a week may fill up within a day.
    """
    points = sorted(point for point in series if isfinite(point[0]) and isfinite(point[1]))
    if not points:
        return None
    if points[-1][1] >= full:
        return 0.0
    climb = _last_climb(points)
    found = [days for window in _windows(climb) if (days := _reached(window, full)) is not None]
    return min(found, default=None)


def _last_climb(points: list[Point]) -> list[Point]:
    """Return the points since the last fall by more than half of the whole range, from its lowest one on.

    Nothing where falls are usual and the height at which they began is not passed by a tenth of it.
    """
    values = _without_spikes([value for _, value in points])
    extent = max(values) - min(values)
    start, falls, peak = 0, 0, values[0]
    for position, value in enumerate(values):
        if peak - value > extent / 2:
            falls += 1
            start, peak = position, value
        elif value < values[start]:
            start, peak = position, value
        peak = max(peak, value)
    if falls >= CYCLES and values[-1] <= max(values[:start]) + extent / 10:
        return []
    return points[start:]


def _without_spikes(values: list[float]) -> list[float]:
    return [median(values[max(at - 2, 0) : at + 3]) for at in range(len(values))]


def _windows(points: list[Point]) -> list[list[Point]]:
    """Return *points*, the latest half of their time, the latest quarter and so on, thinned."""
    windows = []
    while len(points) >= LEAST_POINTS and points[-1][0] - points[0][0] >= LEAST_SPAN:
        windows.append(_thinned(points))
        middle = (points[0][0] + points[-1][0]) / 2
        points = [point for point in points if point[0] >= middle]
    return windows


def _thinned(points: list[Point]) -> list[Point]:
    """Return at most MOST_POINTS: medians of neighbours."""
    size = -(-len(points) // MOST_POINTS)
    groups = [points[at : at + size] for at in range(0, len(points), size)]
    return [(median(at for at, _ in group), median(value for _, value in group)) for group in groups]


def _reached(points: Sequence[Point], full: float) -> float | None:
    slope, rising = trend(points)
    if rising < RISING or slope <= 0:
        return None
    end = points[-1][0]
    level = median(value + slope * (end - at) for at, value in points)
    seconds = max(full - level, 0.0) / slope
    return seconds / DAY if seconds <= FAR * (end - points[0][0]) else None


def trend(points: Sequence[Point]) -> tuple[float, float]:
    """Return the median slope (units a second) of all pairs of points, and the share of pairs that rise."""
    slopes = [(b - a) / (then - at) for (at, a), (then, b) in combinations(points, 2) if then > at]
    if not slopes:
        return 0.0, 0.0
    return median(slopes), sum(slope > 0 for slope in slopes) / len(slopes)
