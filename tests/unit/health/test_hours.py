"""Hours of the week."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pgcohesion.health.hours import within

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("written", "now", "expected"),
    [
        ("Sun 02:00-05:00", "2026-11-22T02:00", True),  # a Sunday
        ("Sun 02:00-05:00", "2026-11-22T05:00", False),
        ("Sun 02:00-05:00", "2026-11-23T03:00", False),
        ("Sun 02:00-05:00 Europe/Berlin", "2026-11-22T01:00", True),
        ("Sun 02:00-05:00 Europe/Berlin", "2026-11-22T04:00", False),
        ("Mon-Fri 22:00-06:00", "2026-11-23T23:00", True),
        ("Mon-Fri 22:00-06:00", "2026-11-23T05:00", False),  # the night of Sunday
        ("Mon-Fri 22:00-06:00", "2026-11-28T05:00", True),  # the night of Friday
        ("Fri-Mon 00:00-23:59", "2026-11-22T12:00", True),
        ("Fri-Mon 00:00-23:59", "2026-11-25T12:00", False),
        ("22:00-06:00 UTC", "2026-11-25T01:00", True),
    ],
)
def test_hours(written: str, now: str, expected: bool) -> None:
    assert within(written, datetime.fromisoformat(now).replace(tzinfo=UTC)) is expected


@pytest.mark.parametrize(
    "written", ["", "Sun", "25:00-26:00", "Sun 2-5", "Sun 02:00-05:00 Nowhere/City", "Sun 02:00-05:00 ../x"]
)
def test_what_is_no_hours(written: str) -> None:
    with pytest.raises(ValueError, match=r"no hours|time zone|hour must|in 0\.\.23"):
        within(written, datetime.now(UTC))
