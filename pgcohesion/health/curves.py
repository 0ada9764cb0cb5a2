"""What checks measured over time: a curve each, thinned for a plot or a sparkline, with its forecast."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from statistics import median

from msgspec import Struct

from .forecast import DAY, Point, days_until
from .history import History
from .registry import Check, Limits
from .units import shown, unit_of

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 24
PLACES = """SELECT host, database, check_id FROM series WHERE at >= ?
 GROUP BY host, database, check_id HAVING count(DISTINCT at) > 1 ORDER BY check_id, host, database"""
WORST = """SELECT at, max(value) FROM series
 WHERE host = ? AND database = ? AND check_id = ? AND at >= ? GROUP BY at ORDER BY at"""
OBJECTS = """SELECT object FROM series WHERE host = ? AND database = ? AND check_id = ? AND at >= ? AND object <> ''
 GROUP BY object HAVING count(*) > 1 ORDER BY max(value) DESC LIMIT ?"""
MOST_OBJECTS = 20


class Curve(Struct, frozen=True):
    """What *check* measured (*unit* as :func:`unit_of` has it); without *object*, the worst of all in each run.

    *points*: (epoch seconds, value), the oldest first, at least two. *full*: the value at which something is used up.
    """

    check: str
    title: str
    points: tuple[Point, ...]
    unit: str = ""
    object: str = ""
    database: str = ""
    host: str = ""
    warn: float | None = None
    fail: float | None = None
    full: float | None = None

    @property
    def name(self) -> str:
        """Where and what: ``db2: chanuka: sequences votes_id_seq``."""
        return ": ".join(filter(None, (self.host, self.database, f"{self.check} {self.object}".strip())))

    @property
    def values(self) -> list[float]:
        """The values alone."""
        return [value for _, value in self.points]

    @property
    def span(self) -> float:
        """The seconds from the first point to the last."""
        return self.points[-1][0] - self.points[0][0]

    @property
    def days(self) -> float | None:
        """In how many days it is full, at the present rate."""
        return None if self.full is None else days_until(list(self.points), self.full)

    @property
    def forecast(self) -> str:
        """The sentence of *days*: ``full in 9 d at the present rate (last 7 d)``."""
        days = self.days
        if days is None:
            return ""
        return f"full in {shown(days * DAY, 'seconds')} at the present rate (last {shown(self.span, 'seconds')})"

    def shown(self, value: float) -> str:
        """Return a value with its unit."""
        return shown(value, self.unit)


def curves(history: History, checks: Iterable[Check], limits: Mapping[str, Limits], since: float) -> Iterator[Curve]:
    """Yield a curve for each check, host and database that was measured more than once since a moment."""
    known = {check.id: check for check in checks}
    for host, database, name in history.connection.execute(PLACES, (since,)).fetchall():
        points = history.connection.execute(WORST, (host, database, name, since)).fetchall()
        yield _curve(known.get(name), name, points, limits.get(name), host=host, database=database)


def of_objects(
    history: History, check: Check | None, name: str, limits: Limits | None, since: float
) -> Iterator[Curve]:
    """Yield the curves of the single objects of one check, those with the highest values first."""
    for host, database, at in history.connection.execute(PLACES, (since,)).fetchall():
        if at == name:
            found = history.connection.execute(OBJECTS, (host, database, name, since, MOST_OBJECTS)).fetchall()
            for (about,) in found:
                points = history.series(name, object=about, database=database, host=host, since=since)
                yield _curve(check, name, points, limits, host=host, database=database, object=about)


def _curve(check: Check | None, name: str, points: list[Point], limits: Limits | None, **where: str) -> Curve:
    """*check* is None for one that is no more."""
    of = limits.of_object(where.get("object", "")) if limits else Limits()
    title, unit, full = (check.title, unit_of(check), check.full) if check else (name, "", None)
    return Curve(name, title, tuple(points), unit, **where, warn=of.warn, fail=of.fail, full=full)


def thinned(points: Iterable[Point], columns: int) -> list[Point | None]:
    """Return a median for each of *columns* equal parts of the time; None where nothing was measured."""
    points = list(points)
    start, end = points[0][0], points[-1][0]
    parts: list[list[Point]] = [[] for _ in range(columns)]
    for point in points:
        parts[min(int((point[0] - start) / ((end - start) or 1) * columns), columns - 1)].append(point)
    return [(median(at for at, _ in part), median(value for _, value in part)) if part else None for part in parts]


def sparkline(points: Iterable[Point], columns: int = WIDTH) -> str:
    """Return the shape of a curve in a line of text, from its lowest value to its highest; a few points as they are."""
    points = list(points)
    parts = thinned(points, columns) if len(points) > columns else points
    values = [part[1] for part in parts if part]
    low, extent = min(values), max(values) - min(values)
    levels = (None if part is None else (part[1] - low) / extent if extent else 0 for part in parts)
    return "".join(" " if level is None else BARS[round(level * (len(BARS) - 1))] for level in levels)
