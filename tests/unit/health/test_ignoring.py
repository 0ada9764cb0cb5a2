"""Findings to live with: for a reason, until a day, of one object or of all."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace as Row

import pytest
from msgspec.structs import replace

from pgcohesion.config.model import Ignore
from pgcohesion.health.ignoring import ignoring
from pgcohesion.health.registry import Check, Finding, Limits
from pgcohesion.view import Grade

TODAY = date(2026, 11, 23)
FOUND = Finding(Grade.WARN, "slot s keeps 3 GiB", "drop it", "s", check="inactive_slots")


@pytest.mark.parametrize(
    ("rule", "grade", "words"),
    [
        (Ignore(check="inactive_slots", reason="a test"), Grade.INFO, "(ignored: a test)"),
        (Ignore(check="inactive_slots", reason="a test", object="s"), Grade.INFO, "(ignored: a test)"),
        (Ignore(check="inactive_slots", reason="a test", object="t"), Grade.WARN, "slot s keeps 3 GiB"),
        (Ignore(check="archiver", reason="a test"), Grade.WARN, "slot s keeps 3 GiB"),
        (
            Ignore(check="inactive_slots", reason="move", until="2026-11-23"),
            Grade.INFO,
            "(ignored until 2026-11-23: move)",
        ),
        (Ignore(check="inactive_slots", reason="move", until="2026-11-22"), Grade.WARN, "(it was ignored until"),
    ],
)
def test_a_rule_ignores_what_it_names_until_its_day(rule: Ignore, grade: Grade, words: str) -> None:
    (finding,) = ignoring([FOUND], [rule], TODAY)
    assert finding.grade is grade
    assert words in finding.text
    assert bool(finding.fix) == (grade is Grade.WARN)


def test_what_is_ignored_needs_no_undo() -> None:
    (finding,) = ignoring([replace(FOUND, undo="create it")], [Ignore(check="inactive_slots", reason="r")], TODAY)
    assert not finding.undo


def test_what_is_ok_or_unknown_stays_so() -> None:
    findings = [Finding(grade, "x", check="inactive_slots") for grade in (Grade.OK, Grade.UNKNOWN, Grade.SKIPPED)]
    assert list(ignoring(findings, [Ignore(check="inactive_slots", reason="r")], TODAY)) == findings


def test_an_object_has_limits_of_its_own() -> None:
    check = Check(id="c", title="t", evaluate=lambda rows, limits: [], warn=1, fail=2)
    changed = Row(warn=None, fail=5, objects={"big": Row(warn=10, fail=None, objects={})})
    limits = Limits.of(check, changed)
    assert (limits.warn, limits.fail) == (1, 5)
    assert (limits.of_object("big").warn, limits.of_object("big").fail) == (10, 5)
    assert limits.finding(7, "x", fix="f", object="big").grade is Grade.FAIL
    assert limits.finding(4, "x", fix="f", object="big").grade is Grade.OK
    assert limits.finding(4, "x", fix="f", object="small").grade is Grade.WARN


def test_a_fingerprint_is_of_check_database_and_object() -> None:
    same = Finding(Grade.FAIL, "other words", object="s", check="inactive_slots")
    assert FOUND.fingerprint == same.fingerprint
    assert FOUND.fingerprint != Finding(Grade.FAIL, "x", object="t", check="inactive_slots").fingerprint
