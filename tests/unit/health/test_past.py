"""What came and went, and how it looks."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from threading import Timer

import pytest
from msgspec.structs import replace

from pgcohesion.errors import UsageError
from pgcohesion.health.changes import Known, compare
from pgcohesion.health.curves import Curve, curves, of_objects, sparkline, thinned
from pgcohesion.health.history import History, Past
from pgcohesion.health.past import Looked, episodes, seconds
from pgcohesion.health.registry import Finding, Limits, load
from pgcohesion.health.report import Report
from pgcohesion.health.units import shown, unit_of
from pgcohesion.view import Grade, Line, Table

pytestmark = pytest.mark.unit

DAY = 86400.0
NOW = 1_800_000_000.0


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    made = History(tmp_path / "health.sqlite")
    yield made
    made.close()


def test_a_file_that_another_has_only_just_begun_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "health.sqlite"
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE runs (id INTEGER PRIMARY KEY, at REAL, grade TEXT, seconds REAL, checks TEXT)")
    other.execute("BEGIN IMMEDIATE")
    ends = Timer(0.2, other.execute, ["COMMIT"])
    ends.start()
    History(file).close()
    ends.join()
    other.close()


def known(mark: str, grade: Grade = Grade.WARN, check: str = "a") -> Known:
    return Known(mark, check, grade, mark, "", "", 1.0, 1.0, f"{mark} is bad")


def told(*runs: tuple[str, list[Known]]) -> list[tuple[str, float, float | None, bool, Grade]]:
    past = [Past(n, float(n), "ok", 0.1, frozenset(checks)) for n, (checks, _) in enumerate(runs)]
    found = episodes(past, ((n, known) for n, (_, known) in enumerate(runs)))
    return [(one.finding.fingerprint, one.since, one.until, one.first, one.worst) for one in found]


def test_a_finding_comes_gets_worse_and_goes() -> None:
    assert told(("a", []), ("a", [known("x")]), ("a", [known("x", Grade.FAIL)]), ("a", [known("x")]), ("a", [])) == [
        ("x", 1, 4, False, Grade.FAIL)
    ]


def test_it_may_come_again_and_stay() -> None:
    assert told(("a", [known("x")]), ("a", []), ("a", [known("x")])) == [
        ("x", 0, 1, True, Grade.WARN),
        ("x", 2, None, False, Grade.WARN),
    ]


def test_a_run_that_did_not_look_or_could_not_ends_nothing() -> None:
    assert told(("a", [known("x")]), ("b", []), ("a", [known("y", Grade.UNKNOWN)]), ("a", [known("x")])) == [
        ("x", 0, None, True, Grade.WARN)
    ]


@pytest.mark.parametrize(
    ("check", "grade"), [("databases", Grade.UNKNOWN), ("databases", Grade.WARN), ("availability", Grade.FAIL)]
)
def test_what_stands_where_nobody_could_look_is_not_gone(check: str, grade: Grade) -> None:
    there = Known("x", "a", Grade.WARN, "t", "b", "db2", 1.0, 1.0, "bad")
    unasked = Known("y", check, grade, "b", "b" if check == "databases" else "", "db2", None, None, "no answer")
    ended = [since for mark, since, until, *_ in told(("a", [there]), ("a", [unasked])) if mark == "x" and until]
    assert ended == []


def test_a_trouble_that_is_told_unasked_hides_no_change(history: History) -> None:
    """A database that is missing is told whatever was asked for: the run before still looked at the same."""
    fine = Finding(Grade.OK, "", check="a")
    history.record(Report((fine,), 0.1, "test", NOW))
    missing = Finding(Grade.FAIL, "missing", check="databases", object="b")
    changes = compare(history, [fine, missing], NOW + 60)
    assert changes
    assert changes.new == (missing.fingerprint,)


def test_many_quick_runs_do_not_hide_the_last_whole_one(history: History) -> None:
    """A server that is looked at every few seconds, and the checks of an hour before."""
    quick, slow = Finding(Grade.OK, "", check="quick"), Finding(Grade.WARN, "", check="slow")
    history.record(Report((quick, slow), 0.1, "test", NOW))
    for n in range(240):
        history.record(Report((quick,), 0.1, "test", NOW + 15 * (n + 1)))
    changes = compare(history, [quick, replace(slow, grade=Grade.OK)], NOW + 3700)
    assert changes
    assert [one.check for one in changes.gone] == ["slow"]


def test_what_is_ignored_is_gone() -> None:
    assert told(("a", [known("x")]), ("a", [known("x", Grade.INFO)])) == [("x", 0, 1, True, Grade.WARN)]


@pytest.mark.parametrize(
    ("text", "wanted"), [("90s", 90), ("30min", 1800), ("1.5h", 5400), (" 7d ", 7 * DAY), ("2w", 14 * DAY)]
)
def test_lengths_of_time(text: str, wanted: float) -> None:
    assert seconds(text) == wanted


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "7 fortnights", "0d", "1e9d", "\u0667d d"])
def test_what_is_none(text: str) -> None:
    with pytest.raises(UsageError):
        seconds(text)


def test_sparklines() -> None:
    assert sparkline([(float(n), float(n)) for n in range(8)], 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([(0.0, 5.0), (9.0, 5.0)], 4) == "▁▁"
    assert sparkline([(0.0, 1.0), (0.1, 1.0), (0.2, 1.0), (9.0, 5.0)], 3) == "▁ █"
    assert thinned([(0.0, 1.0), (1.0, 9.0), (1.5, 2.0), (10.0, 3.0)], 2) == [(1.0, 2.0), (10.0, 3.0)]


def filled(history: History, days: int = 7) -> None:
    for hour in range(days * 24 + 1):
        at = NOW - days * DAY + hour * 3600
        share = 0.3 + 0.05 * hour / 24
        found = (
            Finding(Grade.OK, "", "", "", share, "wraparound"),
            Finding(Grade.WARN, "", "", "votes_id_seq", 0.8, "sequences", database="chanuka"),
            Finding(Grade.OK, "", "", "topics_id_seq", 0.1, "sequences", database="chanuka"),
        )
        history.record(Report(found, 0.1, "test", at))


def test_curves_show_the_worst_of_each_run_or_each_object(history: History) -> None:
    filled(history)
    checks = {check.id: check for check in load()}
    limits = {"sequences": Limits(0.75, 0.95)}
    by_name = {curve.name: curve for curve in curves(history, checks.values(), limits, NOW - 8 * DAY)}
    assert list(by_name) == ["chanuka: sequences", "wraparound"]
    assert set(by_name["chanuka: sequences"].values) == {0.8}
    assert by_name["chanuka: sequences"].warn == 0.75
    assert len(by_name["wraparound"].points) == 7 * 24 + 1
    objects = list(of_objects(history, checks["sequences"], "sequences", None, NOW - DAY))
    assert [(curve.object, len(curve.points)) for curve in objects] == [("votes_id_seq", 25), ("topics_id_seq", 25)]


def test_a_forecast_is_a_sentence() -> None:
    points = tuple((NOW + hour * 3600, 0.3 + 0.05 * hour / 24) for hour in range(7 * 24 + 1))
    curve = Curve("wraparound", "", points, "share", full=1.0)
    assert curve.forecast == "full in 7 d at the present rate (last 7 d)"
    assert Curve("wraparound", "", points, "share").forecast == ""


def test_the_answer(history: History) -> None:
    filled(history)
    runs = history.runs(NOW - 7 * DAY)
    found = episodes(runs, ((run.id, history.findings(run.id)) for run in runs))
    answer = Looked("test", NOW, NOW - 7 * DAY, tuple(runs), tuple(found), tuple(curves(history, [], {}, 0)))
    view = answer.view()
    assert view.verdict == "169 runs in 7 d: 169 warn; 1 finding, 1 still there"
    still, line = (block for block in view.blocks if isinstance(block, Line))
    assert still.text == "1 measure did not move"
    assert line.text.startswith("sequences: chanuka: ")
    assert line.details[0].startswith("at least since ")
    document = answer.as_dict()
    assert len(document["runs"]) == 169
    assert document["findings"][0]["until"] is None
    assert {one["check"]: one["max"] for one in document["series"]} == pytest.approx(
        {"wraparound": 0.65, "sequences": 0.8}
    )


def test_units_come_from_the_words_of_the_title() -> None:
    units = {check.id: unit_of(check) for check in load()}
    assert units["idle_in_transaction"] == "seconds"
    assert units["inactive_slots"] == "bytes"
    assert units["connections"] == units["sequences"] == "share"
    assert units["never_analyzed"] == "rows"
    assert units["cleartext_sessions"] == ""


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.734, "share", "73.4 %"),
        (1.2, "share", "120 %"),
        (0.0042, "seconds", "4.2 ms"),
        (0.0, "seconds", "0 s"),
        (0.00002, "share", "< 0.01 %"),
        (90.0, "seconds", "90 s"),
        (-7200.0, "seconds", "-2 h"),
        (1536.0, "bytes", "1.5 KiB"),
        (1e6, "transactions", "1,000,000 transactions"),
        (1.0, "rows", "1 row"),
        (2.5, "", "2.5"),
        (None, "bytes", ""),
    ],
)
def test_values_with_units(value: float | None, unit: str, text: str) -> None:
    assert shown(value, unit) == text


def test_what_moves_by_less_than_is_shown_did_not_move() -> None:
    still = Curve("version", "t", ((0.0, -1446.1), (60.0, -1446.2)), "days")
    view = Looked("test", 60.0, 0.0, (), (), (still,)).view()
    assert [block.text for block in view.blocks if isinstance(block, Line)] == ["1 measure did not move"]


def test_what_has_no_number_now_shows_none() -> None:
    curve = Curve("dead_rows", "t", ((0.0, 0.5), (60.0, 0.75)), "share")
    for at, now in ((60.0, "75 %"), (120.0, "")):
        run = Past(1, at, "ok", 0.1, frozenset({"dead_rows"}))
        (table,) = Looked("test", 120.0, 0.0, (run,), (), (curve,)).view().blocks
        assert isinstance(table, Table)
        assert table.rows[0][-1] == now
