"""What one look cannot tell: rates, waits of a minute, gains of statements, bars."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from pgcohesion.health.history import History
from pgcohesion.health.live.facts import Facts, Session, Statement
from pgcohesion.health.live.memory import Memory, Point, Rates, gains, rates
from pgcohesion.health.live.past import STEP, Past, binned
from tests.unit.health.watching import COUNTERS, FACTS, NOW

LATER = replace(COUNTERS, at=NOW + 2, uptime=3602.0, commits=1010.0, hits=5090.0, reads=110.0, wal=1e9 + 4096)


def test_rates_are_gains_a_second() -> None:
    found = rates(COUNTERS, LATER)
    assert (found.tps, found.rollbacks, found.reads, found.wal, found.hit) == (5.0, 0.0, 5.0, 2048.0, 0.9)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (None, COUNTERS),
        (COUNTERS, COUNTERS),  # no time has passed
        (LATER, COUNTERS),  # the clock went back
        (COUNTERS, replace(LATER, uptime=1.0)),  # restarted
    ],
)
def test_without_two_looks_at_one_server_nothing_is_known(before: object, now: object) -> None:
    assert rates(before, now) == Rates()  # type: ignore[arg-type]


def test_counters_that_were_reset_or_cannot_be_seen_have_no_rate() -> None:
    found = rates(COUNTERS, replace(LATER, commits=3.0, wal=None))
    assert (found.tps, found.wal, found.reads) == (None, None, 5.0)
    assert rates(replace(COUNTERS, hits=LATER.hits, reads=LATER.reads), LATER).hit is None


def test_statements_are_compared_and_the_most_expensive_come_first() -> None:
    before = {1: Statement(1, 10, 100, 10), 2: Statement(2, 5, 50, 5), 3: Statement(3, 9, 9, 9)}
    now = {
        1: Statement(1, 20, 200, 30),
        2: Statement(2, 5, 50, 5),  # not called
        3: Statement(3, 1, 300, 1),  # reset since
        4: Statement(4, 2, 20, 0),  # new
    }
    found = gains(before, now, 10.0)
    assert [(one.id, one.time, one.calls, one.mean) for one in found] == [
        (3, 30.0, 0.1, 300.0), (1, 10.0, 1.0, 10.0), (4, 2.0, 0.2, 10.0),
    ]  # fmt: skip
    assert gains(before, now, 0.0) == []


def seen(*waits: str) -> Facts:
    sessions = (replace(FACTS.sessions[1], pid=n, wait=wait) for n, wait in enumerate(waits))
    idle: Session = FACTS.sessions[4]
    return replace(FACTS, sessions=(*sessions, idle))


def shares(memory: Memory) -> Mapping[str, float]:
    return dict(memory.waits())


def test_waits_are_those_of_the_last_minute() -> None:
    memory = Memory()
    memory.add(seen("IO:DataFileRead", ""), NOW)
    assert shares(memory) == {"CPU": 0.5, "IO:DataFileRead": 0.5}
    memory.add(seen("Lock:relation", "", ""), NOW + 30)
    assert shares(memory) == {"CPU": 0.6, "IO:DataFileRead": 0.2, "Lock:relation": 0.2}
    memory.add(seen("Lock:relation"), NOW + 65)
    assert shares(memory) == {"CPU": 0.5, "Lock:relation": 0.5}
    memory.add(seen(), NOW + 300)
    assert shares(memory) == {}


def test_the_past_stands_in_front_of_what_is_seen_now() -> None:
    memory = Memory()
    memory.add(FACTS, NOW)
    memory.add(replace(FACTS, counters=LATER), NOW + 2)
    memory.remember([Point(NOW - 10, 1, 1, 1), Point(NOW + 5, 9, 9, 9)])
    assert [point.at for point in memory.points] == [NOW - 10, NOW + 2]


def test_bars_are_means_of_five_seconds_with_gaps() -> None:
    points = [Point(100, 2, 0, 0), Point(103, 4, 1, 0), Point(111, 7, 0, 0)]
    found = binned(points, 114.0, 4)
    assert [None if one is None else one.tps for one in found] == [None, 3.0, None, 7.0]


def test_a_view_that_stays_open_keeps_an_hour_of_bars(tmp_path: Path) -> None:
    ctx = SimpleNamespace(state=tmp_path, host="db1")
    past = Past(ctx)  # type: ignore[arg-type]
    past.recall()
    start = time.time() // STEP * STEP
    with closing(History(tmp_path / "health.sqlite")) as history:
        for hour in range(3):
            means = [Point(start + hour * 3600 + n * STEP, 1.0, 0, 0) for n in range(720)]
            assert past._written(history, means)
        ((kept,),) = history.connection.execute("SELECT count(*) FROM watched")
    assert 720 <= kept <= 1440
