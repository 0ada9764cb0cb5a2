"""Who is told what and when: tables of runs, without a clock."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from pgcohesion.config.model import Alerts
from pgcohesion.health.alerts import Told
from pgcohesion.health.alerts.deciding import Case, decide
from pgcohesion.health.alerts.message import message, trial
from pgcohesion.health.alerts.routes import signed
from pgcohesion.health.registry import Finding
from pgcohesion.view import Grade

pytestmark = pytest.mark.unit
RULES = Alerts(lasting=60, recover_after=120, repeat=3600)
OK, WARN, FAIL, UNKNOWN = Grade.OK, Grade.WARN, Grade.FAIL, Grade.UNKNOWN


def play(steps: list[tuple[float, Grade | None]], *, quiet: tuple[float, float] = (0, 0)) -> list[tuple[float, str]]:
    """Return (when, kind) of what is told; each step is a time and the grade found then (None: it was not asked)."""
    cases: dict[str, Case] = {}
    told: list[tuple[float, str]] = []
    for now, grade in steps:
        found = [Finding(OK, "x", check="other")]
        if grade is not None:
            found.append(Finding(grade, "words", "mend", "o", check="c"))
        hush = quiet[0] <= now < quiet[1]
        cases, events = decide(cases, found, {"c": "area"}, RULES, now, quiet=hush)
        told += [(now, event.kind) for event in events]
    return told


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([(0, OK), (60, OK)], []),
        ([(0, WARN)], []),
        ([(0, WARN), (59, WARN)], []),
        ([(0, WARN), (60, WARN), (120, WARN)], [(60, "trouble")]),
        ([(0, WARN), (30, OK), (200, WARN), (259, WARN)], []),
        ([(0, WARN), (30, OK), (60, WARN)], [(60, "trouble")]),
        ([(0, WARN), (60, WARN), (90, OK), (200, OK)], [(60, "trouble")]),
        ([(0, WARN), (60, WARN), (90, OK), (210, OK)], [(60, "trouble"), (210, "recovery")]),
        ([(0, WARN), (60, WARN), (90, OK), (150, WARN), (180, OK), (290, OK)], [(60, "trouble")]),
        ([(0, WARN), (60, WARN), (90, FAIL), (100, WARN), (110, FAIL)], [(60, "trouble"), (90, "worse")]),
        ([(0, FAIL), (60, FAIL), (3660, FAIL)], [(60, "trouble"), (3660, "reminder")]),
        ([(0, WARN), (60, WARN), (90, UNKNOWN), (900, UNKNOWN)], [(60, "trouble")]),
        (
            [(0, WARN), (60, WARN), (90, None), (900, None), (910, OK), (1030, OK)],
            [(60, "trouble"), (1030, "recovery")],
        ),
        ([(0, Grade.INFO), (60, Grade.INFO)], []),
    ],
)
def test_what_is_told(steps: list[tuple[float, Grade | None]], told: list[tuple[float, str]]) -> None:
    assert play(steps) == told


def test_in_quiet_hours_warnings_wait_and_failures_do_not() -> None:
    assert play([(0, WARN), (60, WARN), (600, WARN)], quiet=(0, 500)) == [(600, "trouble")]
    assert play([(0, FAIL), (60, FAIL)], quiet=(0, 500)) == [(60, "trouble")]
    assert play([(0, WARN), (60, WARN), (90, FAIL)], quiet=(0, 500)) == [(90, "trouble")]


def test_a_message_says_all_that_is_needed() -> None:
    finding = Finding(
        FAIL, "99 of 100 slots", "end some;\nthen more;", "slots", 0.99, check="c", threshold=0.95, why="all stops"
    )
    _, (event,) = decide({}, [finding], {}, Alerts(lasting=0), 1e9, quiet=False)
    said = message("k", "production", 1e9, [event])
    for words in (
        "99 of 100",
        "limit 0.95",
        "why: all stops",
        "fix: end some;",
        "     then more;",
        finding.fingerprint,
    ):
        assert words in said.body
    assert said.title == "production: fail: c of slots"
    assert said.document["events"][0]["fingerprint"] == finding.fingerprint


def test_a_trial_says_that_it_is_one() -> None:
    assert trial("k", "production", 1e9, "team").document["test"] is True
    assert message("k", "production", 1e9, []).document["test"] is False


def test_a_route_says_when_it_is_tried_again() -> None:
    assert Told("hook", 2).line.text == "hook: 2 sent"
    assert Told("hook", 0, 3, "503", 15).line.text == "hook: 0 sent, 3 waiting, tried again in 15 s: 503"
    assert Told("hook", 0, error="503").line.text == "hook: 0 sent: 503"  # a trial: nothing waits


def test_a_signature_can_be_verified_as_it_is_documented() -> None:
    at, _, mark = signed("key", b"body", 12.9).partition(",")
    assert at == "t=12"
    assert mark == "v1=" + hmac.new(b"key", b"12.body", hashlib.sha256).hexdigest()
