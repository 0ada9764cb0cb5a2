"""What is slower, what a window is, and texts, as tables."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from pgcohesion.health.history import History
from pgcohesion.health.queries import judged, statements
from pgcohesion.health.queries.plans import EXPLAINABLE
from pgcohesion.health.queries.statements import COUNTERS, DAY, HOUR, MINUTE, MOST, Earlier, Snapshot, Statement
from pgcohesion.health.queries.texts import normal, tidy

pytestmark = pytest.mark.unit
ZERO = dict.fromkeys(COUNTERS, 0.0)


def statement(calls: float, ms: float, text: str = "SELECT 1", *, id: str = "1", **more: float) -> Statement:  # noqa: A002
    squares = ms * ms / calls if calls else 0.0  # every call took as long as the others
    values = {**ZERO, "calls": calls, "ms": ms, "squares": squares, **more}
    return Statement(id, "d", "r", True, text, None, **values)


def past(at: float, calls: float, ms: float, floor: float = 0.0) -> Earlier:
    one = statement(calls, ms)
    return Earlier(at, 1.0, 0, floor, {one.key: one.counters})


def snapshot(at: float, *found: Statement, evicted: float = 0.0) -> Snapshot:
    return Snapshot(at, 1.0, evicted, found)


@pytest.mark.parametrize(
    ("before", "now", "factor"),
    [
        ([past(0, 100, 100)], statement(200, 200), None),
        ([past(0, 100, 100)], statement(200, 600), 5),
        ([past(0, 100, 100)], statement(103, 600), None),  # too few calls to tell
        ([past(0, 100, 10)], statement(110, 16), None),  # too little time to care
        ([past(0, 100, 100), past(60, 110, 160)], statement(200, 600), 5),  # it began between the two
        ([past(-9000, 100, 100), past(-8000, 110, 160), past(0, 120, 220)], statement(200, 600), None),  # as ever
        ([past(0, 100, 100), past(60, 105, 600)], statement(205, 1155), 1055 / 105),  # against the interval before
        ([past(0, 100, 100)], statement(110, 700, squares=600.0**2 + 109), None),  # one call of ten was slow
    ],
)
def test_slower(before: list[Earlier], now: Statement, factor: float | None) -> None:
    answer = judged(snapshot(120, now), before)
    assert [one.factor for one in answer.slower] == ([] if factor is None else [pytest.approx(factor)])


def test_chance_makes_nothing_slower() -> None:
    chance = random.Random(3)

    def calls(number: int) -> list[float]:
        return [chance.lognormvariate(0, 1.2) for _ in range(number)]

    false = 0
    for _ in range(300):
        first, second = calls(30), calls(10)
        both = first + second
        old = statement(30, sum(first), squares=sum(x * x for x in first))
        new = statement(40, sum(both), squares=sum(x * x for x in both))
        before = Earlier(0, 1.0, 0, 0.0, {old.key: old.counters})
        false += len(judged(snapshot(60, new), [before]).slower)
    assert false <= 2


def test_the_window_is_what_was_asked_or_what_there_is() -> None:
    now = snapshot(7200, statement(100, 100), evicted=5)
    assert judged(now, [past(0, 10, 10), past(5000, 50, 50)]).since == 5000
    assert judged(now, [past(0, 10, 10), past(5000, 50, 50)], length=9000).since == 0
    assert judged(now, [past(0, 10, 10), past(5000, 50, 50)], length=0).since == 5000
    assert judged(now, [past(0, 10, 10)]).since == 0
    assert judged(now, [past(0, 10, 10)]).top[0].calls == 90
    for ever in (judged(now, []), judged(now, [past(0, 10, 10)], length=None)):
        assert ever.since is None
        assert ever.top[0].calls == 100
        assert ever.evicted == 5


def test_what_was_below_the_others_is_not_of_this_window() -> None:
    small, large = statement(5000, 800, id="2"), statement(9, 1500, id="3")
    found = judged(snapshot(60, statement(20, 2000), large, small), [past(0, 10, 1000, floor=900)])
    assert [one.id for one in found.top] == ["3", "1"]  # 2 cost less than the 900 ms that it may have cost before
    complete = judged(snapshot(60, small), [past(0, 10, 1000)])
    assert [one.id for one in complete.top] == ["2"]


def test_counters_that_fell_and_entries_that_came_back_count_whole() -> None:
    assert judged(snapshot(60, statement(4, 40)), [past(0, 100, 1000)]).top[0].ms == 40
    back = Statement("1", "d", "r", True, "SELECT 1", 30.0, **{**ZERO, "calls": 200.0, "ms": 2000.0})
    assert judged(snapshot(60, back), [past(0, 100, 1000)]).top[0].ms == 2000


def test_what_functions_send_is_kept_apart_and_counts_once() -> None:
    nested = Statement("1", "d", "r", False, "SELECT 1", None, **{**ZERO, "calls": 5.0, "ms": 50.0})
    answer = judged(snapshot(60, statement(10, 100), nested), [])
    assert [(one.toplevel, one.ms) for one in answer.top] == [(True, 100), (False, 50)]
    assert answer.all_ms == 100


def test_new_is_what_was_first_seen_in_the_window() -> None:
    now = snapshot(7200, statement(10, 100), statement(10, 90, id="2"), statement(10, 80, id="3"))
    first = {statement(1, 1).key: 100.0, statement(1, 1, id="2").key: 5000.0}
    before = [past(0, 5, 50), past(4000, 6, 60)]
    assert [one.id for one in judged(now, before, first).new] == ["2", "3"]
    assert judged(now, [], first).new == ()


def test_snapshots_are_thinned_and_bounded(tmp_path: Path) -> None:
    history = History(tmp_path / "health.sqlite")
    many = tuple(statement(1, 2000 - n, id=str(n)) for n in range(MOST))
    full = Snapshot(0, 1.0, 0, many)
    assert full.floor == 2000 - MOST + 1
    try:
        start = 1_700_000_000.0
        for minute in range(0, 4 * 24 * 60, 7):
            statements.keep(history, Snapshot(start + minute * MINUTE, 1.0, 0, many[:3]))
        end = start + minute * MINUTE
        for second in range(120):
            statements.keep(history, Snapshot(end + second, 1.0, 0, many[:3]))
        ages = [end + 119 - one.at for one in statements.earlier(history, 1.0)]
        assert len(ages) < 120 + 20 + 48 + 4
        assert sum(age > 2 * DAY for age in ages) in (2, 3)
        assert sum(2 * HOUR < age <= 2 * DAY for age in ages) in (45, 46, 47, 48)
        assert statements.earlier(history, 2.0) == []
        statements.keep(history, Snapshot(end + 200, 2.0, 0, many))
        ((size,),) = history.connection.execute("SELECT max(length(counters)) FROM statement_snapshots")
        assert size < 80_000
        assert len(statements.seen(history)) == MOST
        statements.keep(history, Snapshot(end + 70 * DAY, 2.0, 0, many[:1]))
        assert list(statements.seen(history)) == [many[0].key]
    finally:
        history.close()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("SELECT 'it''s', 42, a1 FROM t WHERE x = 1.5", "SELECT $, $, a1 FROM t WHERE x = $"),
        (r"SELECT E'it\'s a secret', 1", "SELECT $, $"),
        ("SELECT $tag$ a secret $x$ $tag$, $$b$$, $1", "SELECT $, $, $1"),
        ('SELECT "a 1", t1.b2, 1e5 /* a secret */ -- another', 'SELECT "a 1", t1.b2, $'),
        ("ALTER ROLE x PASSWORD 'cut in the mid", "ALTER ROLE x PASSWORD $"),
        ("SELECT date'2020-01-01',\n\tx'FF', e", "SELECT date$, $, e"),
    ],
)
def test_literals_are_left_out(text: str, shown: str) -> None:
    assert normal(text) == shown


def test_texts_are_on_one_line_and_cut() -> None:
    assert tidy("SELECT $1,\n  'kept' /* trace='ab' */ FROM t") == "SELECT $1, 'kept' FROM t"
    assert tidy("CREATE ROLE x PASSWORD 'secret'") == "CREATE ROLE x PASSWORD $"
    assert len(tidy("SELECT " + "x" * 9000)) == 2000


@pytest.mark.parametrize(
    "text", ["SELECT 1", " (values (1))", "with a as (select 1) select", "merge INTO t", "\n(( SELECT"]
)
def test_what_has_a_plan(text: str) -> None:
    assert EXPLAINABLE.match(text)


@pytest.mark.parametrize(
    "text", ["SELECTED", "CREATE TABLE t AS SELECT 1", "EXPLAIN ANALYZE SELECT 1", "CALL x()", "COPY t"]
)
def test_what_has_none(text: str) -> None:
    assert not EXPLAINABLE.match(text)
