"""The record of what was healed, as a person reads it."""

from __future__ import annotations

from pgcohesion.health.healing.record import Audit, Healed
from pgcohesion.view import Line


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
