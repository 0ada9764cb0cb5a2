"""Performance data as the Monitoring Plugins' guidelines want it: 'label'=value;warn;crit."""

from __future__ import annotations

import pytest

from pgcohesion.health.formats.nagios import text
from pgcohesion.health.registry import Finding
from pgcohesion.health.report import Report
from pgcohesion.view import Grade


@pytest.mark.parametrize(
    ("grade", "threshold", "number"),
    [
        (Grade.OK, None, "'c o'=0.5"),
        (Grade.WARN, 0.2, "'c o'=0.5;0.2"),
        (Grade.FAIL, 0.4, "'c o'=0.5;;0.4"),
    ],
)
def test_a_limit_stands_in_the_place_of_its_grade(grade: Grade, threshold: float | None, number: str) -> None:
    finding = Finding(grade, "half", "mend it", "o", 0.5, check="c", threshold=threshold)
    assert text(Report((finding,), 0.1, "test")).splitlines()[0].endswith(f"| {number}")
