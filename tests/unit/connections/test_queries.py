"""What is counted of queries: their shape, not their values, in bounded memory."""

from __future__ import annotations

import random

import pytest
from psycopg.sql import SQL, Identifier

from pgcohesion.connections.queries import OTHER, Queries, normalise, written


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT  *\n FROM t WHERE a = 1", "SELECT * FROM t WHERE a = ?"),
        ("select 'it''s', 2.5, $$x$$, $q$ $$ $q$", "select ?, ?, ?, ?"),
        ("select * from t where id in (1, 2,3)", "select * from t where id in (?, ...)"),
        ("insert into t1 values (%s, %s)", "insert into t1 values (?, ...)"),
        ("select %(a)s -- a secret: 'x'\n, 1 /* and\n another */", "select ? , ?"),
        ("select a1 from t2", "select a1 from t2"),
    ],
)
def test_literals_lists_and_comments_go(text: str, expected: str) -> None:
    assert normalise(text) == expected


def test_percentiles_are_right_within_a_tenth() -> None:
    queries = Queries(10, 1e9, lambda *_: None)
    log = queries.log()
    chance = random.Random(7)
    times = sorted(chance.lognormvariate(-7, 1) for _ in range(20_000))
    for seconds in times:
        log.add("select 1", seconds, 1, False)
    (query,) = queries.all()
    assert (query.calls, query.rows, query.errors) == (20_000, 20_000, 0)
    for share, got in ((0.5, query.p50), (0.95, query.p95), (0.99, query.p99)):
        assert got == pytest.approx(times[int(share * len(times))], rel=0.1)
    assert query.total == pytest.approx(sum(times))


def test_memory_is_bounded_and_nothing_is_lost() -> None:
    queries = Queries(20, 1e9, lambda *_: None)
    first, second = queries.log(), queries.log()
    for number in range(1000):
        first.add(f"select a{number}", 0.001, 0, False)
        second.add(f"select {number}", 0.001, 0, True)
    queries.retire(first)
    found = {query.text: query for query in queries.all()}
    assert len(found) <= 22
    assert sum(query.calls for query in found.values()) == 2000
    assert sum(query.errors for query in found.values()) == 1000
    assert OTHER in found
    assert len(first._written) <= 20


def test_a_slow_query_is_told_without_its_values() -> None:
    told: list[tuple[str, float]] = []
    log = Queries(10, 0.5, lambda text, seconds: told.append((text, seconds))).log()
    log.report("select 'secret'", 0.7)
    assert told == [("select ?", 0.7)]
    assert log.longest == 0.7


def test_every_form_of_a_query_has_a_text() -> None:
    assert written(b"select 1") == "select 1"
    assert written(SQL("select {}").format(Identifier("a b"))) == 'select "a b"'
