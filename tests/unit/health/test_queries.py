"""What is slower, and what a window is, as tables."""

from __future__ import annotations

import pytest

from pgcohesion.health.queries import judged, normal
from pgcohesion.health.queries.statements import COUNTERS, Earlier, Snapshot, Statement

pytestmark = pytest.mark.unit
ZERO = dict.fromkeys(COUNTERS, 0.0)


def statement(calls: float, ms: float, text: str = "SELECT 1", **more: float) -> Statement:
    values = {**ZERO, "calls": calls, "ms": ms, **more}
    return Statement("1", "d", "r", text, **values)


def past(at: float, calls: float, ms: float, reset: float = 1.0) -> Earlier:
    return Earlier(at, reset, 0, {"1 d r": {**ZERO, "calls": calls, "ms": ms}})


@pytest.mark.parametrize(
    ("before", "now", "factor"),
    [
        ([past(0, 100, 100)], statement(200, 200), None),
        ([past(0, 100, 100)], statement(200, 600), 5),
        ([past(0, 100, 100)], statement(103, 600), None),  # too few calls to tell
        ([past(0, 100, 10)], statement(110, 16), None),  # too little time to care
        ([past(0, 100, 100), past(60, 110, 160)], statement(200, 600), None),  # as slow as it has been before
        ([past(0, 100, 100, reset=0.5)], statement(200, 2000), None),  # counting began anew
    ],
)
def test_slower(before: list[Earlier], now: Statement, factor: float | None) -> None:
    answer = judged(Snapshot(120, 1.0, 0, (now,)), before, {"1 d r": 0}, "time", 10)
    assert [one.factor for one in answer.slower] == ([] if factor is None else [pytest.approx(factor)])


def test_the_window_is_the_last_hour_or_what_there_is() -> None:
    now = Snapshot(7200, 1.0, 5, (statement(100, 100),))
    assert judged(now, [past(0, 10, 10), past(5000, 50, 50)], {}, "time", 10).since == 5000
    assert judged(now, [past(0, 10, 10)], {}, "time", 10).since == 0
    assert judged(now, [], {}, "time", 10).since is None
    assert judged(now, [past(0, 10, 10)], {}, "time", 10).top[0].calls == 90


def test_literals_are_left_out() -> None:
    assert normal("SELECT 'it''s', 42, a1 FROM t WHERE x = 1.5") == "SELECT $, $, a1 FROM t WHERE x = $"
