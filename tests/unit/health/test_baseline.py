"""What a baseline makes info, and what it never does."""

from __future__ import annotations

from msgspec.structs import replace

from pgcohesion.health.baseline import known
from pgcohesion.health.registry import Finding
from pgcohesion.view import Grade

FOUND = Finding(Grade.WARN, "t has no primary key", "add one", "t", check="no_primary_key", undo="drop it")


def test_what_is_known_is_info_with_nothing_to_do_or_undo() -> None:
    (one,) = known([FOUND], "2026-11-23", {FOUND.fingerprint: Grade.WARN})
    assert (one.grade, one.fix, one.undo) == (Grade.INFO, "", "")


def test_what_is_worse_stays() -> None:
    (one,) = known([replace(FOUND, grade=Grade.FAIL)], "2026-11-23", {FOUND.fingerprint: Grade.WARN})
    assert (one.grade, "worse" in one.text) == (Grade.FAIL, True)


def test_a_server_that_is_gone_is_never_known() -> None:
    gone = Finding(Grade.FAIL, "refused: it is stopped", "start it", "db1", check="availability", kind="refused")
    assert list(known([gone], "2026-11-23", {gone.fingerprint: Grade.FAIL})) == [gone]
