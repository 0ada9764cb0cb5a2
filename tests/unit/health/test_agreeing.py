"""What one node uses is used."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

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
        ([there(Grade.OK, "")], Grade.OK),
        ([there(Grade.WARN, "another")], Grade.OK),
        ([there(Grade.UNKNOWN)], Grade.UNKNOWN),
        ([there(Grade.SKIPPED, "")], Grade.UNKNOWN),
        ([there(Grade.UNKNOWN, "")], Grade.UNKNOWN),
        ([], Grade.UNKNOWN),
    ],
)
def test_a_replica_that_uses_it_or_is_silent(theirs: list[Finding], grade: Grade) -> None:
    """That nothing is left to tell is told, too: else what was told before would never be over."""
    one, other = agreed([UNUSED, OTHER, *theirs], {"unused"}, ["db2"])
    assert other == OTHER
    assert (one.check, one.database, one.grade) == ("unused", "d", grade)
    assert bool(one.fix) is (grade is Grade.WARN)


@pytest.mark.parametrize(("standbys", "grade"), [(1, Grade.WARN), (2, Grade.UNKNOWN)])
def test_a_standby_that_nobody_declared(standbys: int, grade: Grade) -> None:
    one = replace(UNUSED, kind=f"standbys:{standbys}")
    (found,) = agreed([one, there(Grade.WARN)], {"unused"}, ["db2"])
    assert (found.grade, found.kind, bool(found.fix)) == (grade, "", grade is Grade.WARN)


def test_the_rest_is_counted_after_all_agreed() -> None:
    ours = [replace(UNUSED, object=f"i{n}") for n in range(30)]
    theirs = [there(Grade.WARN, f"i{n}") for n in range(5, 35)]
    found = list(agreed([*ours, *theirs], {"unused"}, ["db2"]))
    assert [one.object for one in found] == [*(f"i{n}" for n in range(5, 25)), ""]
    assert (found[-1].text, found[-1].check, found[-1].database) == ("and 5 more like these", "unused", "d")
