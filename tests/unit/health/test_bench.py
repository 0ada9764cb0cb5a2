"""Whether two runs differ."""

from __future__ import annotations

import random

import pytest

from pgcohesion.health.bench.comparing import compare

pytestmark = pytest.mark.unit
QUIET = [1000.0, 1010.0, 990.0, 1005.0, 995.0, 1002.0]


def test_a_difference_that_is_there() -> None:
    found = compare(QUIET, [value * 0.9 for value in QUIET])
    assert found.differs
    assert found.low < 0.9 < found.high < 1
    assert found.p == pytest.approx(2 / 924)  # the least that six against six can give


def test_none_that_these_rounds_can_show() -> None:
    found = compare([1000, 1300, 800, 1100], [1010, 1290, 830, 1090])
    assert not found.differs
    assert found.low < 1 < found.high
    assert found.needed
    assert found.needed > 50


def test_equal_rounds_and_too_few() -> None:
    assert compare([5.0] * 3, [5.0] * 3).p == 1
    assert compare([5.0] * 3, [5.0] * 3).needed is None
    with pytest.raises(ValueError, match="three rounds"):
        compare([1.0, 2.0], QUIET)


def test_chance_alone_differs_about_as_often_as_it_says() -> None:
    chance = random.Random(7)
    runs = [[chance.gauss(100, 5) for _ in range(6)] for _ in range(400)]
    false = sum(compare(a, b).differs for a, b in zip(runs[::2], runs[1::2], strict=True))
    assert false <= 20  # 5 % of 200 is 10


def test_many_rounds_are_drawn_not_all_looked_at() -> None:
    chance = random.Random(7)
    before = [chance.gauss(100, 2) for _ in range(30)]
    assert compare(before, [value * 0.95 for value in before]).differs
