"""What one node uses is used."""

from __future__ import annotations

import pytest

from pgcohesion.health.agreeing import agreed
from pgcohesion.health.registry import Finding
from pgcohesion.view import Grade

pytestmark = pytest.mark.unit
UNUSED = Finding(Grade.WARN, "not used", "drop it", "i", check="unused", database="d", undo="make it")
OTHER = Finding(Grade.WARN, "x", check="other", host="db2")


def there(grade: Grade, name: str = "i") -> Finding:
    return Finding(grade, "x", object=name, check="unused", database="d", host="db2")


def test_without_replicas_all_stays() -> None:
    assert list(agreed([UNUSED, OTHER], {"unused"}, [])) == [UNUSED, OTHER]


@pytest.mark.parametrize(
    ("theirs", "grade"),
    [
        ([there(Grade.WARN)], Grade.WARN),
        ([there(Grade.OK, "")], None),
        ([there(Grade.WARN, "another")], None),
        ([there(Grade.UNKNOWN)], Grade.UNKNOWN),
        ([there(Grade.SKIPPED, "")], Grade.UNKNOWN),
        ([], Grade.UNKNOWN),
    ],
)
def test_a_replica_that_uses_it_or_is_silent(theirs: list[Finding], grade: Grade | None) -> None:
    found = list(agreed([UNUSED, OTHER, *theirs], {"unused"}, ["db2"]))
    assert found[-1 if grade is None else 1] == OTHER
    assert [one.grade for one in found if one.check == "unused"] == ([] if grade is None else [grade])
    assert all(one.fix == "" for one in found if one.grade is Grade.UNKNOWN)
