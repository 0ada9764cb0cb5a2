"""What the registry does for every check."""

from __future__ import annotations

import pytest

from pgcohesion.health.registry import Finding, load, most
from pgcohesion.view import Grade

pytestmark = pytest.mark.unit


def test_a_view_that_moved_is_asked_where_it_was_on_older_servers() -> None:
    (check,) = (one for one in load() if one.id == "requested_checkpoints")
    assert [("pg_stat_bgwriter" in check.query_on(version)) for version in (14, 16, 17, 18)] == [
        True,
        True,
        False,
        False,
    ]


def test_findings_stop_at_twenty_the_worst_first() -> None:
    found = [Finding(Grade.WARN, str(n), "mend") for n in range(25)] + [Finding(Grade.FAIL, "bad", "mend")]
    shown = most(found)
    assert len(shown) == 21
    assert shown[0].text == "bad"
    assert (shown[-1].text, shown[-1].grade) == ("and 6 more like these", Grade.WARN)
    assert most(found[:20]) == found[:20]
