"""The record of what was healed, as a person reads it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from pgcohesion.config.model import Heal
from pgcohesion.health.healing import _proposals
from pgcohesion.health.healing.record import Audit, Healed
from pgcohesion.health.registry import Finding
from pgcohesion.view import Grade, Line


def test_an_attempt_shows_what_was_done_and_its_undo() -> None:
    done = Healed(
        1e9, "me", "invalid_indexes", "public.i", "app", "before", "DROP INDEX i", "CREATE INDEX i;\nANALYZE;", "a\nb"
    )
    (line,) = Audit((done,)).view().blocks
    assert isinstance(line, Line)
    assert line.text.endswith("ago: invalid_indexes: app: public.i: a; b")
    assert line.details == ("DROP INDEX i", "undo: CREATE INDEX i;", "      ANALYZE;")


def test_nothing_was_healed_is_one_line() -> None:
    assert Audit(()).view().blocks == ()


def test_what_is_wrong_on_a_replica_is_said_and_left() -> None:
    found = Finding(Grade.WARN, "replay is paused", check="replay_paused", host="db2")
    rules = Heal(allow=["resume_replay"])
    ctx = cast("Any", SimpleNamespace(config=SimpleNamespace(health=SimpleNamespace(heal=rules))))
    (left,) = _proposals(ctx, cast("Any", None), [found])
    assert left.act is None
    assert left.line().text.startswith("replay_paused: db2: replay is paused: not done: it is on db2")
