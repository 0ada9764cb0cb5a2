"""Who is told what and when: tables of runs, without a clock."""

from __future__ import annotations

import hashlib
import hmac
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from pgcohesion.config.model import Alerts, Route
from pgcohesion.health import alerts
from pgcohesion.health.alerts import Told
from pgcohesion.health.alerts.deciding import Case, decide
from pgcohesion.health.alerts.message import message, trial
from pgcohesion.health.alerts.outbox import Outbox
from pgcohesion.health.alerts.routes import NotSent, _command, _open, signed
from pgcohesion.health.history import History
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


@contextmanager
def answering(words: bytes) -> Iterator[int]:
    """Give the port of a server that answers one request with *words*, whatever it is."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(65536)
                client.sendall(words)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(5)


@pytest.mark.parametrize("words", [b"SSH-2.0-OpenSSH_9.2\r\n", b""])
def test_a_webhook_that_is_no_http_server_is_a_route_that_is_down(words: bytes) -> None:
    """Whatever else was raised would keep the routes behind it from their messages."""
    with answering(words) as port, pytest.raises(NotSent):
        _open(f"http://127.0.0.1:{port}/", b"{}", {}, 5)


def test_a_command_may_say_anything() -> None:
    route = Route(command=["/bin/sh", "-c", r"printf 'gesch\344ftig' >&2; exit 1"])
    with pytest.raises(NotSent, match="did not take") as caught:
        _command(route, message("k", "production", 1e9, []))
    assert "gesch" in caught.value.why


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with closing(History(tmp_path / "health.sqlite")) as history:
        outbox = Outbox(history)
        outbox.step(lambda cases: (cases, [("team", message("k", "production", 1e9, []))]))
        yield outbox


def test_who_took_a_message_has_two_minutes_to_send_it(outbox: Outbox) -> None:
    assert outbox.take("team", 1e9)
    assert outbox.take("team", 1e9 + 119) is None
    assert outbox.take("team", 1e9 + 121)


def test_a_clock_that_was_ahead_and_went_back_holds_no_message(outbox: Outbox) -> None:
    ahead = 1e9 + 365 * 86400
    one = outbox.take("team", ahead)
    assert one
    assert outbox.take("team", 1e9)
    outbox.failed(one, ahead, "down")
    assert outbox.take("team", 1e9)


def test_a_slow_route_is_not_taken_over_in_the_middle(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each message has its two minutes from when it is taken, not from when the run began."""
    outbox.step(lambda cases: (cases, [("team", message("l", "production", 1e9, []))]))
    clock, others = [1e9], []

    def send(*_: object) -> None:
        clock[0] += 100
        others.append(outbox.take("team", clock[0]))

    monkeypatch.setattr(alerts, "send", send)
    told = alerts._delivered(None, outbox, "team", Route(command=["x"]), lambda: clock[0])  # type: ignore[arg-type]
    assert (told.sent, told.waiting, others) == (2, 0, [None, None])


def after(case: Finding, *then: Finding) -> list[str]:
    """Return what is told, of a case that was told, after a run that found *then*."""
    rules = Alerts(lasting=0, recover_after=0)
    cases, _ = decide({}, [case], {}, rules, 0, quiet=False)
    _, events = decide(cases, then, {}, rules, 1000, quiet=False)
    return [event.kind for event in events]


def test_a_database_that_was_not_looked_at_has_not_recovered() -> None:
    case = Finding(WARN, "x", check="dead_rows", database="b", object="t")
    fine, other = Finding(OK, "", check="dead_rows", database="b"), Finding(OK, "", check="dead_rows", database="a")
    assert after(case, fine, other) == ["recovery"]
    assert after(case, other, Finding(UNKNOWN, "no time", check="databases", database="b", object="b")) == []
    assert after(case, other) == ["recovery"]  # it was dropped
