"""Keys as terminals send them, and a fix from its plan to its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pgcohesion import health
from pgcohesion.context import Context
from pgcohesion.errors import Refused
from pgcohesion.health.registry import Finding
from pgcohesion.health.watch.mending import Mender
from pgcohesion.opening import open_context
from pgcohesion.output.live import keys
from pgcohesion.plan import Applied, Change, Plan, Planned, Step
from pgcohesion.view import Grade
from tests.support import REPO
from tests.unit.health.watching import FOUND


@pytest.mark.parametrize(
    ("sent", "names"),
    [
        ("q", ["q"]), ("\x1b[A\x1b[B", ["up", "down"]), ("\x1bOA", ["up"]), ("\r\n", ["enter", "enter"]),
        ("\x1b", ["escape"]),
        ("\t\x1b[Z", ["tab", "backtab"]), ("\x7f", ["backspace"]), ("\x1b[5~\x1b[6~", ["pageup", "pagedown"]),
        ("\x1b[1;5A", []), ("\x1b[200~", []), ("\x01\x00", []), ("jé漢", ["j", "é", "漢"]), ("", []),
        ("\x1b\x1b[A", ["escape", "up"]),
    ],
)  # fmt: skip
def test_keys(sent: str, names: list[str]) -> None:
    assert keys(sent) == names


class Healing:
    """A stand-in for the room's healing: one step that takes note of what it was asked."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str, str]] = []

    def __call__(self, ctx: Context, *, check: str, object: str) -> Planned | Applied:  # noqa: A002
        step = Step(lambda ctx: self.done.append((check, object, ctx.options.yes)))
        return ctx.apply(Plan(ctx.env, (Change("drop", f"slot {object}", step, "inactive for 3 h"),)))


@pytest.fixture
def healing(monkeypatch: pytest.MonkeyPatch) -> Healing:
    made = Healing()
    monkeypatch.setattr(health, "heal", made, raising=False)
    return made


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    (tmp_path / "environments").symlink_to(REPO / "environments")
    return open_context("test", root=tmp_path)


def worked(mender: Mender, start: Any, *given: Any) -> str:
    """Let a step run to its end and return how it ended."""
    from threading import Event

    came = Event()
    mender._wake = came.set
    start(*given)
    assert came.wait(10)
    assert mender.mending is not None
    return mender.mending.stage


def test_a_fix_is_planned_then_done_in_the_name_of_the_environment(ctx: Context, healing: Healing) -> None:
    mender = Mender(ctx, lambda: None)
    assert worked(mender, mender.plan, FOUND) == "ready"
    assert mender.mending is not None
    assert mender.mending.lines[0] == "- slot s  (inactive for 3 h)"
    assert healing.done == []
    assert worked(mender, mender.do) == "done"
    assert healing.done == [("inactive_slots", "s", "test")]
    mender.do()  # once
    assert healing.done == [("inactive_slots", "s", "test")]


def test_what_cannot_be_mended_says_so(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(ctx: Context, *, check: str, object: str) -> Planned:  # noqa: A002
        raise Refused("the kill switch is on", why="HEALING_OFF is set")

    monkeypatch.setattr(health, "heal", refuses, raising=False)
    mender = Mender(ctx, lambda: None)
    assert worked(mender, mender.plan, FOUND) == "failed"
    assert mender.mending is not None
    assert mender.mending.lines == ("error: the kill switch is on", "why: HEALING_OFF is set")
    mender.do()
    assert mender.mending.stage == "failed"


def test_a_bug_in_a_fix_does_not_end_the_view(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "heal", lambda *_, **__: 1 / 0, raising=False)
    mender = Mender(ctx, lambda: None)
    assert worked(mender, mender.plan, FOUND) == "failed"
    assert mender.mending is not None
    assert "ZeroDivisionError" in mender.mending.lines[0]


def test_a_plan_that_was_put_aside_does_not_come_back(ctx: Context, healing: Healing) -> None:
    mender = Mender(ctx, lambda: None)
    worked(mender, mender.plan, FOUND)
    mender.forget()
    assert mender.mending is None
    mender.do()
    assert healing.done == []
    other = Finding(Grade.WARN, "x", check="y")
    assert worked(mender, mender.plan, other) == "ready"
