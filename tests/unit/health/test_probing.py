"""The background runs, and what a request makes of them."""

from __future__ import annotations

import base64
import threading
import time
from contextlib import closing

import pytest
from msgspec.structs import replace

from pgcohesion.errors import CohesionError
from pgcohesion.health.facts import Facts
from pgcohesion.health.probing import Prober, State
from pgcohesion.health.registry import Finding
from pgcohesion.health.report import Report
from pgcohesion.health.serving import allowed, prefers_openmetrics
from pgcohesion.opening import open_context
from pgcohesion.redact import Secret
from pgcohesion.view import Grade
from tests.support import REPO

pytestmark = pytest.mark.unit


def finding(check: str, host: str = "", **more: object) -> Finding:
    return Finding(Grade.OK, "", check=check, host=host, **more)  # type: ignore[arg-type]


def report(*findings: Finding) -> Report:
    return Report(findings, 0.1, "test", time.time())


DOWN = Finding(Grade.FAIL, "refused: no", check="availability", kind="refused")


def test_readiness_has_a_class() -> None:
    now = time.monotonic()
    assert State().ready(9) == (False, "starting: the first run has not ended")
    assert State(report(DOWN), ended=now).ready(9) == (False, "refused: no")
    assert State(report(finding("a")), ended=now).ready(9) == (True, "ok")
    assert State(report(finding("a")), ended=now - 10).ready(9)[1].startswith("stale: ")
    busy = replace(DOWN, kind="read_only")
    assert State(report(busy), ended=now).ready(9) == (True, "ok")  # it answers


def test_runs_go_on_whatever_one_of_them_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pgcohesion.health.probing.read", lambda _: Facts("18"))
    called: list[str] = []
    enough = threading.Event()

    def check(profile: str) -> Report:
        called.append(profile)
        if len(called) == 1:
            raise CohesionError("no way", why="because")
        if len(called) == 2:
            raise ValueError("a bug")
        if len(called) == 5:
            enough.set()
        return report(finding("a"))

    with closing(open_context("test", root=REPO)) as ctx:
        prober = Prober(ctx, check, 0)
        prober.start()
        assert enough.wait(20)
        prober.stop(20)
    assert not prober.alive
    assert called[:5] == ["standard", "standard", "standard", "quick", "quick"]
    assert prober.state.runs["standard", "unreachable"] == 2
    assert prober.state.runs["standard", "ok"] == 1
    assert prober.state.facts.version == "18"
    assert prober.state.answered == pytest.approx(time.time(), abs=20)


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", False),
        ("*/*", False),
        ("text/html,*/*;q=0.8", False),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1", True),
        ("application/openmetrics-text;q=0.2, text/plain;q=0.9", False),
        ("application/openmetrics-text;q=0, */*", False),
        ("application/openmetrics-text;q=x, text/plain", False),
        (";;,,q=1,=", False),
    ],
)
def test_a_scraper_says_what_it_understands(accept: str, wanted: bool) -> None:
    assert prefers_openmetrics(accept) is wanted


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("shown", "wanted"),
    [
        ("Bearer schlüssel-zum-ganzen".encode().decode("latin-1"), True),  # as http.server reads what is sent
        ("bearer  schlüssel-zum-ganzen ".encode().decode("latin-1"), True),
        (basic("me:schlüssel-zum-ganzen"), True),
        (basic(":schlüssel-zum-ganzen"), True),
        (basic("schlüssel-zum-ganzen"), False),
        (basic("me:schlüssel-zum-ganze"), False),
        ("Bearer ", False),
        ("", False),
        ("Basic \u00ff\u00ff", False),
        ("Bearer \u20ac", False),
    ],
)
def test_the_token(shown: str, wanted: bool) -> None:
    assert allowed(shown, Secret("schlüssel-zum-ganzen")) is wanted
