"""A forecast is right where there is a trend, and silent where there is none."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from math import inf, nan, pi, sin

import pytest

from pgcohesion.health.forecast import DAY, Point, days_until

pytestmark = pytest.mark.unit

HOUR = 3600.0
NOW = 1_800_000_000.0


def hourly(value: Callable[[float], float], hours: int = 7 * 24, seed: int = 1, noise: float = 0) -> list[Point]:
    """Return a value an hour, the last one now; *value* gets days since the first."""
    some = random.Random(seed)
    return [(NOW - (hours - n) * HOUR, value(n / 24) + some.uniform(-noise, noise)) for n in range(hours + 1)]


def test_a_straight_line_is_followed() -> None:
    assert days_until(hourly(lambda day: 50 + 2 * day), 100) == pytest.approx(18)


@pytest.mark.parametrize("seed", range(20))
def test_noise_and_outliers_move_it_little(seed: int) -> None:
    series = hourly(lambda day: 50 + 2 * day, seed=seed, noise=1)
    series[-5:-3] = [(series[-5][0], 95.0), (series[-4][0], 96.0)]  # a query's temporary files
    days = days_until(series, 100)
    assert days is not None
    assert 9 < days < 22


@pytest.mark.parametrize("seed", range(20))
def test_noise_alone_is_no_trend(seed: int) -> None:
    assert days_until(hourly(lambda day: 50, seed=seed, noise=5), 100) is None


@pytest.mark.parametrize(
    ("why", "series"),
    [
        ("nothing", []),
        ("one point", hourly(lambda day: day, 0)),
        ("too few points", hourly(lambda day: 50 + 2 * day, 4)),
        ("too short", [(NOW - 60 * n, 99.9 - n) for n in range(20)]),
        ("flat", hourly(lambda day: 50)),
        ("falling", hourly(lambda day: 90 - day)),
        ("too far away to tell", hourly(lambda day: 10 + 0.1 * day)),
        ("one load, then quiet", hourly(lambda day: 20 if day < 3 else 60)),
        ("at one moment", [(NOW, float(n)) for n in range(20)]),
        ("no numbers", [(NOW + n * HOUR, nan if n % 2 else inf) for n in range(20)]),
    ],
)
def test_unknown_is_better_than_nonsense(why: str, series: list[Point]) -> None:
    assert days_until(series, 100) is None


@pytest.mark.parametrize(
    "value",
    [
        lambda day: 20 + 60 * (day * 1.5 % 1),  # transaction ids: they grow, VACUUM brings them back
        lambda day: 50 - 30 * sin(2 * pi * day),  # connections: office hours
    ],
)
def test_what_empties_by_itself_is_not_filling_up(value: Callable[[float], float]) -> None:
    for hours in range(3 * 24, 7 * 24):
        assert days_until(hourly(value, hours), 100) is None, hours


def test_a_cycle_that_does_not_turn_this_time_is_filling_up() -> None:
    days = days_until(hourly(lambda day: 20 + 30 * (day % 1 if day < 6 else day - 6) * (1 if day < 6 else 2)), 100)
    assert days == pytest.approx((100 - 80) / 60, rel=0.1)


def test_after_somebody_made_room_only_the_time_since_counts() -> None:
    series = hourly(lambda day: 80 + 2 * day if day < 5 else 40 + 10 * (day - 5))
    assert days_until(series, 100) == pytest.approx(4, rel=0.05)


def test_what_was_quiet_and_fills_up_since_some_hours_is_seen() -> None:
    series = hourly(lambda day: 50 if day < 6.5 else 50 + 60 * (day - 6.5))
    assert days_until(series, 100) == pytest.approx(20 / 60, rel=0.1)


def test_full_is_full() -> None:
    assert days_until([(NOW, 100.0)], 100) == 0


def test_a_load_every_night_is_a_trend() -> None:
    assert days_until(hourly(lambda day: 50 + 4 * int(day)), 100) == pytest.approx(22 / 4, abs=1)


def test_the_order_of_the_points_does_not_matter_nor_how_many_they_are() -> None:
    series = [(NOW + n * 15, 50 + n * 15 / DAY * 10) for n in range(40_000)]
    random.Random(1).shuffle(series)
    started = time.process_time()
    assert days_until(series, 130) == pytest.approx((130 - 50 - 40_000 * 15 / DAY * 10) / 10, rel=0.05)
    assert time.process_time() - started < 2
