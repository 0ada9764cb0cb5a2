"""What counters have gained: since an earlier run, or since they began."""

from __future__ import annotations

from collections import namedtuple

import pytest

from pgcohesion.health.registry import Check, Finding
from pgcohesion.health.windows import sample, windowed
from pgcohesion.view import Grade

pytestmark = pytest.mark.unit
CHECK = Check(id="c", title="C", evaluate=lambda rows, limits: Finding(Grade.OK, ""), counters=("n",), key="name")
Row = namedtuple("Row", "name n age")  # noqa: PYI024  (as the driver gives them)
NOW = 1_800_000_000.0
DAY = 86400.0


@pytest.mark.parametrize(
    ("before", "later", "now", "gained", "seconds"),
    [
        (Row("a", 10, DAY), 600, Row("a", 15, DAY + 600), 5, 600),
        (Row("a", 10, DAY), 600, Row("a", 10, DAY + 609), 0, 600),  # this look took 9 s until it asked
        (Row("a", 10, None), 600, Row("a", 15, None), 5, 600),
        (Row("a", 10, DAY), 600, Row("a", 3, 60), 3, 60),  # reset
        (Row("a", 10, DAY), 600, Row("a", 30, 60), 30, 60),  # reset, and more than before
        (Row("a", 10, DAY), 600, Row("a", 99, 9 * DAY), 99, 9 * DAY),  # after a failover: another server's
        (Row("a", 10, DAY), 600, Row("a", 99, 2000), 99, 2000),
        (Row("b", 10, DAY), 600, Row("a", 15, DAY), 15, DAY),
    ],
)
def test_gains(before: Row, later: float, now: Row, gained: float, seconds: float) -> None:
    kept = sample(CHECK, [before], NOW)
    (row,) = windowed(CHECK, [now], NOW + later, NOW, kept)
    assert (row.n, row.seconds) == (gained, seconds)
