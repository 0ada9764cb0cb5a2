"""Statements for real: what is counted, new, slower after an index has gone, spilled; plans without executing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from pgcohesion.context import Context, Options
from pgcohesion.errors import UsageError
from pgcohesion.health import queries
from pgcohesion.health.queries import Cost, Sampled
from pgcohesion.opening import open_context
from tests.pg.seeded.stage import wait_for
from tests.support import Project, project

pytestmark = pytest.mark.pg
LOADED = ("settings.shared_preload_libraries=pg_stat_statements",)


@pytest.fixture(scope="module")
def counting() -> Iterator[Project]:
    with project() as made:
        done = made.inv("db.setup", "--env=test", "--set", *LOADED)
        assert done.returncode == 0, done.stderr
        yield made


@pytest.fixture
def ctx(counting: Project) -> Iterator[Context]:
    with closing(open_context("test", root=counting.root, options=Options(env="test", set=LOADED))) as context:
        yield context


@pytest.fixture
def app(ctx: Context) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(**ctx.server.parameters(), dbname="chanuka", autocommit=True) as connection:  # type: ignore[arg-type]
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        connection.execute("SELECT pg_stat_statements_reset()")
        yield connection


def cost(ctx: Context, by: str = "time") -> Cost:
    answer = queries.show(ctx, by)
    assert isinstance(answer, Cost)
    return answer


def test_a_statement_that_loses_its_index_is_slower(ctx: Context, app: psycopg.Connection[Any]) -> None:
    app.execute("CREATE TABLE public.many AS SELECT n AS a, repeat('x', 50) AS b FROM generate_series(1, 100000) n")
    app.execute("CREATE INDEX many_a ON public.many (a)")
    app.execute("ANALYZE public.many")
    ask = "SELECT b FROM public.many WHERE a = %s"
    try:
        for turn in range(2):
            for n in range(50):
                app.execute(ask, [n])
            assert cost(ctx).slower == (), turn
        app.execute("DROP INDEX public.many_a")
        for n in range(20):
            app.execute(ask, [n])
        answer = cost(ctx)
        (slower,) = answer.slower
        assert "FROM public.many WHERE a = $1" in slower.statement.text
        assert slower.factor > 5
        assert answer.since is not None
        assert slower.statement.calls == 20  # of this window only
        plan = queries.plan(ctx, slower.statement.id).plan
        assert any("Scan on many" in line for line in plan)
    finally:
        app.execute("DROP TABLE public.many")


def test_new_statements_and_those_that_spill(ctx: Context, app: psycopg.Connection[Any]) -> None:
    app.execute("SELECT count(*) FROM chanuka.bills")
    cost(ctx)
    app.execute("SET work_mem = '64kB'")
    app.execute("SELECT max(x) FROM (SELECT n AS x FROM generate_series(1, 300000) n ORDER BY -n) s")
    answer = cost(ctx, "temp")
    assert any("generate_series" in one.text for one in answer.new)
    assert "generate_series" in answer.spilled[0].text
    assert answer.top[0] == answer.spilled[0]
    assert answer.view().verdict.endswith("1 new, 0 slower") or answer.new
    assert isinstance(answer.as_dict()["top"][0]["id"], str)


def test_a_plan_is_only_of_what_has_one_and_writes_nothing(ctx: Context, app: psycopg.Connection[Any]) -> None:
    app.execute("CREATE TABLE public.kept (a int)")
    app.execute("INSERT INTO public.kept VALUES (1)")
    try:
        found = {one.text: one.id for one in cost(ctx, "calls").top}
        insert = next(key for text, key in found.items() if text.startswith("INSERT INTO public.kept"))
        assert queries.plan(ctx, insert).plan[0].startswith("Insert on kept")
        assert app.execute("SELECT count(*) FROM public.kept").fetchone() == (1,)
        with pytest.raises(UsageError):
            queries.plan(ctx, "12345")
        app.execute("DISCARD PLANS")
        with pytest.raises(UsageError, match="nothing goes by"):
            queries.show(ctx, "nonsense")
    finally:
        app.execute("DROP TABLE public.kept")


def test_where_nothing_is_counted_sessions_are_looked_at(shared: Project) -> None:
    with closing(open_context("test", root=shared.root)) as ctx:
        with closing(psycopg.connect(**ctx.server.parameters(), dbname="chanuka", autocommit=True)) as busy:  # type: ignore[arg-type]
            busy.pgconn.send_query(b"SELECT pg_sleep(5), 'a secret value', 42")
            active = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%%secret%%' AND pid = {}"
            wait_for(lambda: ctx.db.execute(active.format(busy.info.backend_pid).replace("%%", "%")))
            answer = queries.show(ctx, sample=0.3)
            busy.cancel_safe()
        assert isinstance(answer, Sampled)
        (text,) = [text for _, _, text in answer.seen if "pg_sleep" in text]
        assert "secret" not in text
        assert "shared_preload_libraries" in str(answer.view())
