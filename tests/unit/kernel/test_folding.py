"""Prose fits a narrow terminal; what is to be pasted, and what goes into a pipe, stays in one piece."""

from __future__ import annotations

import pytest

from pgcohesion.errors import CohesionError
from pgcohesion.output import text
from pgcohesion.output.text import Painter
from pgcohesion.redact import redact, remember
from pgcohesion.view import Grade, Line, Table, View

PLAIN = Painter(colour=False)
FIX = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = 4711 AND state = 'idle';"
FOUND = Line(
    "blocked_sessions: process 4711 of app blocks 5, the longest for 29 s",
    grade=Grade.WARN,
    details=("why:  Only the root is named: to end one in the middle moves it on", f"fix:  {FIX}"),
)


def shown(width: int, *blocks: Line | Table, verdict: str = "") -> list[str]:
    return list(text.view(View(blocks, verdict), "test", PLAIN, terminal=bool(width), width=width))


def test_a_finding_is_folded_and_its_fix_is_not() -> None:
    assert shown(40, FOUND) == [
        "warn    blocked_sessions: process 4711",
        "        of app blocks 5, the longest for",
        "        29 s",
        "    why:  Only the root is named: to end",
        "          one in the middle moves it on",
        f"    fix:  {FIX}",
    ]


def test_a_pipe_gets_a_line_a_thing() -> None:
    assert shown(0, FOUND)[0] == f"warn    {FOUND.text}"
    assert len(shown(0, FOUND)) == 3


def test_what_is_to_be_pasted_stays_whole() -> None:
    assert shown(40, Line(FIX)) == [FIX]
    assert max(map(len, shown(40, Line(FIX, prose=True)))) <= 40


def test_the_verdict_keeps_its_colour_in_each_line() -> None:
    view = View((), "fail: 61 checks: 58 ok, 2 warn, 1 fail (0.8 s)", Grade.FAIL)
    first, rest = text.view(view, "test", Painter(colour=True), terminal=True, width=40)
    assert first == "test: \x1b[31mfail: 61 checks: 58 ok, 2 warn, 1\x1b[0m"
    assert rest == "\x1b[31m    fail (0.8 s)\x1b[0m"


WHAT = "when they run out, nobody gets in any more"


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (0, [f"connections  {WHAT}"]),
        (50, ["connections  when they run out, nobody gets in any", "             more"]),
        (30, ["connections", "    when they run out, nobody", "    gets in any more"]),
        (200, [f"connections  {WHAT}"]),
    ],
)
def test_prose_in_the_last_column_is_folded(width: int, lines: list[str]) -> None:
    assert shown(width, Table(("check", "what"), (("connections", WHAT),), prose=True))[-len(lines) :] == lines


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (0, ["a   size  fix", "1   2 B   VACUUM t;", "10  20 B  ANALYZE t;"]),
        (20, ["a   size  fix", "1   2 B   VACUUM t;", "10  20 B  ANALYZE t;"]),
        (15, ["a   size", "    fix", "1   2 B", "    VACUUM t;", "10  20 B", "    ANALYZE t;"]),
        (6, ["a", "    size  fix", "1", "    2 B   VACUUM t;", "10", "    20 B  ANALYZE t;"]),
    ],
)
def test_columns_that_do_not_fit_stand_below(width: int, lines: list[str]) -> None:
    table = Table(("a", "size", "fix"), ((1, "2 B", "VACUUM t;"), (10, "20 B", "ANALYZE t;")))
    assert shown(width, table) == lines


def test_an_error_is_folded_and_its_fix_is_not() -> None:
    problem = CohesionError("a b c d e f g h i j k l m n o p q", why="x " * 30, fix="y " * 30 + "z")
    lines = list(text.error(problem, PLAIN, 32))
    assert lines[:2] == ["error: a b c d e f g h i j k l m", "       n o p q"]
    assert lines[-1] == f"  fix: {problem.fix}"


def test_a_secret_with_spaces_is_masked_before_it_is_broken() -> None:
    remember("correct horse battery staple")
    lines = shown(40, Line("the password is correct horse battery staple, they say", grade=Grade.WARN))
    assert "horse" not in " ".join(map(redact, lines))
