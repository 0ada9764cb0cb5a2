"""Which indexes the text of a statement asks for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pgcohesion.health.whatif import Candidate, candidates

pytestmark = pytest.mark.unit


def table(name: str, **columns: str) -> SimpleNamespace:
    return SimpleNamespace(
        name=f"public.{name}",
        schema="public",
        bare=name,
        bytes=1e6,
        columns=list(columns),
        types=list(columns.values()),
    )


VOTES = table("votes", id="bigint", bill="integer", at="date", note="text")
BILLS = table("bills", id="integer", title="text", at="date")
ODD = table('Odd "t', **{"a b": "integer"})


def asked(text: str, *tables: SimpleNamespace) -> list[tuple[str, list[tuple[str, str]]]]:
    statement = SimpleNamespace(query=text, calls=2.0, seconds=3.0)
    found = candidates([statement], tables or (VOTES,))
    return [(one.table.bare, [(name, how) for name, _, how in one.conditions]) for one in found]


@pytest.mark.parametrize(
    ("text", "conditions"),
    [
        ("SELECT * FROM votes WHERE bill = $1", [("bill", "=")]),
        ("select * from public.votes v where v.bill=$1 and at >= $2 and v.note < $3", [("bill", "="), ("at", ">=")]),
        ("SELECT 1 FROM votes AS v WHERE v.at BETWEEN $1 AND $2", [("at", ">=")]),
        ("SELECT 1 FROM votes WHERE bill IN ($1, $2)", [("bill", "=")]),
        ("SELECT 1 FROM votes WHERE bill = ANY ($1)", [("bill", "=")]),
        ("UPDATE votes SET note = $1 WHERE bill = $2", [("bill", "=")]),
        ("DELETE FROM ONLY votes WHERE bill = $1", [("bill", "=")]),
        ("WITH x AS (SELECT 1) SELECT * FROM x, votes WHERE bill = $1", [("bill", "=")]),
    ],
)
def test_conditions(text: str, conditions: list[tuple[str, str]]) -> None:
    assert asked(text) == [("votes", conditions)]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM votes",
        "SELECT * FROM other WHERE bill = $1",
        "SELECT * FROM votes WHERE bill = $1 OR at = $2",
        "SELECT * FROM votes WHERE NOT bill = $1",
        "SELECT * FROM votes WHERE bill <> $1",
        "SELECT * FROM votes v, other o WHERE o.bill = $1",
        "SELECT * FROM votes WHERE what = $1",
        "INSERT INTO votes SELECT $1 WHERE bill = $2",
        "INSERT INTO votes VALUES ($1) ON CONFLICT DO UPDATE SET bill = $1 WHERE at = $2",
    ],
)
def test_what_cannot_be_told(text: str) -> None:
    assert asked(text) == []


def test_a_column_of_two_tables_needs_its_name() -> None:
    text = "SELECT * FROM votes v JOIN bills b ON b.id = v.bill WHERE {} = $1"
    assert asked(text.format("at"), VOTES, BILLS) == []
    assert asked(text.format("b.at"), VOTES, BILLS) == [("bills", [("at", "=")])]
    assert asked(text.format("title"), VOTES, BILLS) == [("bills", [("title", "=")])]


def test_odd_names_are_quoted() -> None:
    text = 'SELECT * FROM public."Odd ""t" AS "O" WHERE "O"."a b" = $1'
    assert asked(text, ODD) == [('Odd "t', [("a b", "=")])]
    query = Candidate(ODD, (("a b", "integer", "="),), 1, 1).query.as_string(None)
    assert query.endswith('FROM ONLY "public"."Odd ""t" WHERE "a b" = (SELECT NULL::integer)')


def test_statements_of_one_condition_are_added_up() -> None:
    texts = ("SELECT 1 FROM votes WHERE bill = $1", "SELECT 2 FROM votes WHERE bill = $1")
    statements = [SimpleNamespace(query=text, calls=2.0, seconds=3.0) for text in texts]
    (found,) = candidates(statements, [VOTES])
    assert (found.calls, found.seconds) == (4.0, 6.0)
