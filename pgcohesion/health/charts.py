"""A curve as the numbers of an SVG: axes with units and times, limits, and where it leads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from math import ceil, floor, log10
from statistics import median

from msgspec import Struct

from .curves import Curve, thinned
from .forecast import DAY, Point

WIDTH, HEIGHT = 360, 170
LEFT, RIGHT, TOP, BOTTOM = 62, 8, 10, 24
"""Room for the words around the plot, in units of the SVG."""
TEXT = 10.5
COLUMNS = 150
MOST_TICKS = 4
AHEAD = 0.5
"""How much of the time that was seen is shown of the future, at most."""
TIMES = (
    60,
    300,
    900,
    1800,
    3600,
    3 * 3600,
    6 * 3600,
    12 * 3600,
    DAY,
    2 * DAY,
    4 * DAY,
    7 * DAY,
    14 * DAY,
    28 * DAY,
    91 * DAY,
)
SPANS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 6 * 3600, 12 * 3600, DAY, 2 * DAY, 7 * DAY, 28 * DAY)


class Tick(Struct, frozen=True):
    """A place on an axis, and its words."""

    at: float
    text: str


class Level(Struct, frozen=True):
    """A line across the plot: warn, fail or full; *word* is where its word stands, above it or below."""

    at: float
    text: str
    word: float


class Chart(Struct, frozen=True):
    """What a template draws. *lines* are SVG paths, *dots* points that stand alone; *ahead* is the forecast's path."""

    curve: Curve
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    lines: tuple[str, ...]
    dots: tuple[Point, ...]
    levels: tuple[Level, ...]
    ahead: str
    words: str


class _Frame(Struct, frozen=True):
    """The part of time and values that is drawn."""

    start: float
    end: float
    low: float
    high: float

    def place(self, point: Point) -> Point:
        """Return where a point lies in the SVG."""
        at, value = point
        x = LEFT + (at - self.start) / (self.end - self.start) * (WIDTH - LEFT - RIGHT)
        return round(x, 1), self.height(value)

    def height(self, value: float) -> float:
        """Return how far down a value lies in the SVG."""
        share = (value - self.low) / (self.high - self.low)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)


def chart(curve: Curve) -> Chart:
    """Return the drawing of *curve*, which spans some time."""
    points = [part for part in thinned(curve.points, COLUMNS) if part]
    ahead = _ahead(curve)
    frame = _frame(curve, [value for _, value in (*points, *ahead)], ahead[-1][0] if ahead else curve.points[-1][0])
    words = {curve.shown(value): frame.height(value) for value in _values(frame, curve.unit)}  # each word once
    segments = [[frame.place(point) for point in part] for part in _unbroken(points)]
    return Chart(
        curve,
        tuple(Tick(frame.place((at, frame.low))[0], text) for at, text in _times(frame.start, frame.end)),
        tuple(Tick(at, text) for text, at in words.items()),
        tuple(_path(part) for part in segments if len(part) > 1),
        tuple(part[0] for part in segments if len(part) == 1),
        tuple(_levels(curve, frame)),
        _path([frame.place(point) for point in ahead]) if ahead else "",
        _words(curve),
    )


def _words(curve: Curve) -> str:
    values = curve.values
    low, middle, high = (curve.shown(value) for value in (min(values), median(values), max(values)))
    return f"last {curve.shown(values[-1])}; lowest {low}, median {middle}, highest {high}"


def _limits(curve: Curve) -> list[tuple[str, float]]:
    named = (("warn", curve.warn), ("fail", curve.fail), ("full", curve.full))
    return [(word, value) for word, value in named if value is not None]


def _levels(curve: Curve, frame: _Frame) -> Iterator[Level]:
    """Yield the limits in view from the top down; a word that would stand in the one above goes below its line."""
    above = 0.0
    for word, value in reversed(_limits(curve)):
        if frame.low <= value <= frame.high:
            at = frame.height(value)
            yield Level(at, word, at - 3 if at - above > TEXT + 4 else at + TEXT)
            above = at


def _ahead(curve: Curve) -> list[Point]:
    """Return the line from the last point to where it is full, or as much of it as is shown."""
    days = curve.days
    if not days or curve.full is None:
        return []
    (at, value), shown = curve.points[-1], min(days * DAY, curve.span * AHEAD)
    return [(at, value), (at + shown, value + (curve.full - value) * shown / (days * DAY))]


def _frame(curve: Curve, values: Sequence[float], end: float) -> _Frame:
    low, high = min(values), max(values)
    near = [value for _, value in _limits(curve) if low < value <= high + (high - min(low, 0)) / 2]
    high = max([high, *near])
    if 0 <= low < high / 2 or low == high:
        low = min(low, 0.0)
    high = high if high > low else low + 1
    return _Frame(curve.points[0][0], end, low, high + (high - low) * 0.04)


def _unbroken(points: Sequence[Point]) -> Iterator[list[Point]]:
    """Yield the parts between which much longer than usual nothing was measured."""
    gaps = [b - a for (a, _), (b, _) in pairwise(points)]
    usual = median(gaps) if gaps else 0.0
    part = [points[0]]
    for gap, point in zip(gaps, points[1:], strict=True):
        if len(gaps) >= 20 and gap > 6 * usual:
            yield part
            part = []
        part.append(point)
    yield part


def _path(points: Sequence[Point]) -> str:
    return "M" + " L".join(f"{x:g} {y:g}" for x, y in points)


def _values(frame: _Frame, unit: str) -> list[float]:
    step = _step(frame.high - frame.low, unit)
    first = ceil(frame.low / step - 1e-9)
    return [n * step for n in range(first, floor(frame.high / step + 1e-9) + 1)]


def _step(extent: float, unit: str) -> float:
    """Return a round distance that makes at most MOST_TICKS of *extent*."""
    least = extent / MOST_TICKS
    if unit == "seconds" and least > 1:
        return next((step for step in SPANS if step >= least), ceil(least / (28 * DAY)) * 28 * DAY)
    if unit == "bytes" and least > 1:
        return float(2 ** ceil(least).bit_length())
    power = 10.0 ** floor(log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * 0.999)


def _times(start: float, end: float) -> Iterator[tuple[float, str]]:
    """Yield round moments of local time, and their words."""
    step = next((step for step in TIMES if step >= (end - start) / MOST_TICKS), 365 * DAY)
    offset = (datetime.fromtimestamp(start).astimezone().utcoffset() or timedelta()).total_seconds()
    clock = "%H:%M:%S" if step < 60 else "%H:%M"
    form = "%d %b" if step >= DAY else clock if end - start <= DAY else f"%d %b {clock}"
    at = ceil((start + offset) / step) * step - offset
    while at <= end:
        yield at, datetime.fromtimestamp(at).astimezone().strftime(form)
        at += step
