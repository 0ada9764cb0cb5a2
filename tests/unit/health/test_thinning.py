"""What is kept of a past of many runs."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from pgcohesion.health.history import DAY, EVERY, History
from pgcohesion.health.registry import Finding
from pgcohesion.health.report import Report
from pgcohesion.view import Grade

pytestmark = pytest.mark.unit

NOW = 1_800_000_000.0
QUICK = (Finding(Grade.OK, "", value=0.5, check="connections"),)
STANDARD = (*QUICK, Finding(Grade.OK, "", value=0.1, check="wraparound"))


def test_frequent_quick_runs_do_not_push_out_the_others(tmp_path: Path) -> None:
    history = History(tmp_path / "health.sqlite")
    start = NOW - 3 * DAY
    for n in range(0, round(3 * DAY), 300):  # every five minutes; of each hour's twelve one looks at everything
        history.record(Report(STANDARD if n % 3600 == 1800 else QUICK, 0.1, "test", start + n))
    rest = EVERY - history.runs()[-1].id % EVERY
    for n in range(rest):
        history.record(Report(QUICK, 0.1, "test", NOW + n / 100))
    old = [run for run in history.runs() if run.at < NOW - 2 * DAY]
    full = [run.at for run in old if "wraparound" in run.checks]
    assert {round(b - a) for a, b in pairwise(full)} == {3600}
    assert len(old) == 2 * len(full)
    assert [at for at, _ in history.series("wraparound") if at < NOW - 2 * DAY] == full
    history.close()


def test_a_run_every_few_seconds_is_soon_one_a_minute(tmp_path: Path) -> None:
    history = History(tmp_path / "health.sqlite")
    for n in range(0, 4 * 3600, 15):
        history.record(Report(QUICK, 0.1, "test", NOW + n))
    times = [run.at for run in history.runs()]
    old = [at for at in times if at < times[-1] - 2.5 * 3600]
    assert {round(b - a) for a, b in pairwise(old)} == {60}
    assert {round(b - a) for a, b in pairwise(times) if a > times[-1] - 1.9 * 3600} == {15}
    history.close()
