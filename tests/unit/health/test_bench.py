"""Whether two runs differ, what of them can be compared, and what is measured at all."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from pgcohesion.errors import UsageError
from pgcohesion.health.bench.answers import Run, side_by_side
from pgcohesion.health.bench.comparing import compare
from pgcohesion.health.bench.measuring import commit, wanted
from pgcohesion.view import Grade, Line

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


def test_the_fewest_rounds_can_show_a_difference() -> None:
    assert compare([100, 101, 102, 103], [50, 51, 52, 53]).differs
    assert compare([5.0] * 4, [5.0] * 4).p == 1
    assert compare([5.0] * 4, [5.0] * 4).needed is None
    with pytest.raises(ValueError, match="4 rounds"):
        compare([100.0, 101.0, 102.0], QUIET)


def test_chance_alone_differs_about_as_often_as_it_says() -> None:
    chance = random.Random(7)
    runs = [[chance.gauss(100, 5) for _ in range(6)] for _ in range(400)]
    found = [compare(a, b) for a, b in zip(runs[::2], runs[1::2], strict=True)]
    assert sum(one.differs for one in found) <= 20  # 5 % of 200 is 10
    assert sum(not one.low <= 1 <= one.high for one in found) <= 24
    assert sum(one.differs is (one.low <= 1 <= one.high) for one in found) <= 8  # the test and the interval agree


def test_as_many_rounds_as_it_says_show_five_percent() -> None:
    chance = random.Random(11)
    noise = [chance.gauss(100, 3) for _ in range(6)]
    needed = compare(noise, noise[::-1]).needed
    assert needed
    shown = 0
    for _ in range(100):
        before = [chance.gauss(100, 3) for _ in range(needed)]
        shown += compare(before, [chance.gauss(95, 3) for _ in range(needed)]).differs
    assert shown >= 60


def test_many_rounds_are_drawn_not_all_looked_at() -> None:
    chance = random.Random(7)
    before = [chance.gauss(100, 2) for _ in range(30)]
    assert compare(before, [value * 0.95 for value in before]).differs


# --- side by side -----------------------------------------------------------------------------------------------------


def run(at: float, speed: float, environment: dict[str, str] | None = None, *, tps: bool = True) -> Run:
    rounds = {"commit": [1 / speed / value * 1000 for value in QUIET]}
    if tps:
        rounds["tps"] = [value * speed for value in QUIET]
    latencies = {"commit": {"p50": 1.0, "p95": 2.0, "p99": 3.0, "max": 4.0}}
    return Run(at, "select", "", 10, 4, 6.0, rounds, latencies, environment or {})


def test_the_older_run_comes_first_whatever_was_typed() -> None:
    found = side_by_side((2, run(20, 0.8)), (1, run(10, 1)), slower_by=10)
    assert found.numbers == (1, 2)
    assert found.failed
    assert "run 1 -> run 2: 20.0% slower" in found.view().verdict
    assert found.view().grade is Grade.FAIL
    assert not side_by_side((2, run(20, 0.8)), (1, run(10, 1)), slower_by=25).failed
    assert not side_by_side((2, run(20, 0.8)), (1, run(10, 1))).failed
    assert not side_by_side((1, run(10, 1)), (2, run(20, 1.3)), slower_by=1).failed


def test_without_pgbench_commits_are_what_counts() -> None:
    found = side_by_side((1, run(10, 1)), (2, run(20, 0.8, tps=False)), slower_by=10)
    assert found.main
    assert found.main.name == "commit"
    assert found.main.result.ratio == pytest.approx(0.8)
    assert found.failed
    commits = side_by_side((1, run(10, 1)), (2, run(20, 1.25))).as_dict()["measures"]["commit"]
    assert commits["differs"]
    assert commits["result"]["ratio"] == pytest.approx(1.25)  # less time is more speed


def test_another_place_is_told() -> None:
    def warnings(**later: str) -> list[str]:
        first = {"machine.cpus": "4", "machine.kernel": "6.1", "settings.jit": "on"}
        view = side_by_side((1, run(10, 1, first)), (2, run(20, 1, {**first, **later}))).view()
        return [line.text for line in view.blocks if isinstance(line, Line) and line.grade is Grade.WARN]

    assert warnings() == []
    assert warnings(**{"settings.jit": "off", "machine.kernel": "6.2"}) == []
    (said,) = warnings(**{"machine.cpus": "8", "settings.jit": "off"})
    assert "machine.cpus" in said
    assert "jit" not in said


def test_what_the_machine_lost_is_not_the_servers() -> None:
    def at(second: float, speed: float, machine: float) -> Run:
        made = run(second, speed)
        return Run(
            **{
                **{name: getattr(made, name) for name in made.__struct_fields__},
                "rounds": {**made.rounds, "control": [1000 / value / machine for value in QUIET]},
            }
        )

    same = side_by_side((1, at(10, 1, 1)), (2, at(20, 0.8, 1)), slower_by=10)
    assert same.failed
    assert same.comparable
    busy = side_by_side((1, at(10, 1, 1)), (2, at(20, 0.8, 0.8)), slower_by=10)
    assert not busy.failed
    assert not busy.comparable
    assert "20% slower at run 2" in str(busy.view())
    assert side_by_side((1, at(10, 1, 1)), (2, at(20, 0.6, 0.8)), slower_by=10).failed
    assert side_by_side((1, at(10, 1, 1)), (2, at(20, 0.8, 1.2)), slower_by=10).failed


def test_too_few_rounds_are_not_compared() -> None:
    short = Run(30, "select", "", 10, 4, 6.0, {"tps": [1.0, 2.0]}, {}, {})
    found = side_by_side((1, run(10, 1)), (2, short), slower_by=1)
    assert found.main is None
    assert not found.failed
    assert "no 4 rounds" in found.view().verdict


# --- what is measured -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"rounds": 3}, "4 rounds"),
        ({"seconds": 5.9}, "of a second or more"),
        ({"seconds": float("inf")}, "of a second or more"),
        ({"scale": 0}, "1 or more"),
        ({"clients": -1}, "1 or more"),
        ({"workload": "selct"}, "no workload"),
        ({"workload": "/"}, "no workload"),
    ],
)
def test_what_cannot_be_measured(values: dict[str, float], said: str) -> None:
    usual = {"seconds": 30, "rounds": 6, "scale": 1, "clients": 1, "workload": "tpcb"}
    with pytest.raises(UsageError, match=said):
        wanted(**{**usual, **values})  # type: ignore[arg-type]


def test_a_script_is_known_by_its_text(tmp_path: Path) -> None:
    file = tmp_path / "own.sql"
    digests = set()
    for text in ("SELECT 1;\n", "SELECT 2;\n"):
        file.write_text(text)
        asked = wanted(6, 6, 1, 1, str(file))
        assert (asked.workload, asked.text) == ("own.sql", text)
        digests.add(asked.script)
    assert len(digests) == 2


def test_the_commit_of_the_repository(tmp_path: Path) -> None:
    assert commit(tmp_path) == ""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    (tmp_path / "file").write_text("1")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"], ["tag", "-am", "v1", "v1"]):
        subprocess.run([*git, *words], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
    assert head.startswith(commit(tmp_path))
    (tmp_path / "file").write_text("2")
    assert commit(tmp_path).endswith("-dirty")
