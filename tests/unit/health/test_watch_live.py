"""Keys as terminals send them, and a fix from its plan to its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from psycopg.sql import SQL, Composed

from pgcohesion.context import Context
from pgcohesion.errors import Refused
from pgcohesion.health import healing
from pgcohesion.health.healing import Healing, Proposal
from pgcohesion.health.healing.remedies import Act
from pgcohesion.health.live.mending import Mender
from pgcohesion.health.registry import Finding
from pgcohesion.opening import open_context
from pgcohesion.output.live import keys
from pgcohesion.plan import Change, Plan, Planned, Step
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


class Healer:
    """A stand-in for the room's healing: one step that takes note of what it was asked."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str, str]] = []

    def __call__(self, ctx: Context, *, apply: bool, check: str, object: str) -> Healing:  # noqa: A002
        step = Step(lambda ctx: self.done.append((check, object, ctx.options.yes)))
        plan = Plan(ctx.env, (Change("drop", f"slot {object}", step),))
        act = Act("drop it", Composed([SQL("SELECT pg_drop_replication_slot('s')")]))
        proposals = (Proposal(FOUND, "opt-in", "drop_slot", act),)
        return Healing(proposals, ctx.apply(plan) if apply else Planned(plan))


@pytest.fixture
def healer(monkeypatch: pytest.MonkeyPatch) -> Healer:
    made = Healer()
    monkeypatch.setattr(healing, "heal", made)
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


def test_a_fix_is_planned_then_done_in_the_name_of_the_environment(ctx: Context, healer: Healer) -> None:
    mender = Mender(ctx, lambda: None)
    assert worked(mender, mender.plan, FOUND) == "ready"
    assert mender.mending is not None
    assert mender.mending.lines[:2] == ("> inactive_slots: s: drop it", "    SELECT pg_drop_replication_slot('s')")
    assert healer.done == []
    assert worked(mender, mender.do) == "done"
    assert healer.done == [("inactive_slots", "s", "test")]
    mender.do()  # once
    assert healer.done == [("inactive_slots", "s", "test")]


def test_what_cannot_be_mended_says_so(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(ctx: Context, *, apply: bool, check: str, object: str) -> Healing:  # noqa: A002
        raise Refused("the kill switch is on", why="HEALING_OFF is set")

    monkeypatch.setattr(healing, "heal", refuses)
    mender = Mender(ctx, lambda: None)
    assert worked(mender, mender.plan, FOUND) == "failed"
    assert mender.mending is not None
    assert mender.mending.lines == ("error: the kill switch is on", "why: HEALING_OFF is set")
    mender.do()
    assert mender.mending.stage == "failed"


def test_what_nothing_mends_shows_its_fix(ctx: Context) -> None:
    mender = Mender(ctx, lambda: None)
    assert worked(mender, mender.plan, replace(FOUND, check="sequences", fix="ALTER ...;")) == "failed"
    assert mender.mending is not None
    first, fix = mender.mending.lines
    assert "nothing mends `sequences` by itself" in first
    assert fix == "    ALTER ...;"


def test_a_bug_in_a_fix_does_not_end_the_view(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(healing, "heal", lambda *_, **__: 1 / 0)
    mender = Mender(ctx, lambda: None)
    assert worked(mender, mender.plan, FOUND) == "failed"
    assert mender.mending is not None
    assert "ZeroDivisionError" in mender.mending.lines[0]


def test_a_plan_that_was_put_aside_does_not_come_back(ctx: Context, healer: Healer) -> None:
    mender = Mender(ctx, lambda: None)
    worked(mender, mender.plan, FOUND)
    mender.forget()
    assert mender.mending is None
    mender.do()
    assert healer.done == []
    other = Finding(Grade.WARN, "x", check="dead_rows")
    assert worked(mender, mender.plan, other) == "ready"
