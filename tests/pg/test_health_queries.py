"""Statements for real: what is counted, new, slower after an index has gone, spilled; plans without executing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgcohesion import health
from pgcohesion.context import Context, Options
from pgcohesion.errors import CohesionError, ServerError, UsageError
from pgcohesion.health import history, queries
from pgcohesion.health.queries import Cost, Sampled, statements
from pgcohesion.health.queries.plans import explain
from pgcohesion.opening import open_context
from tests.pg.seeded.stage import wait_for
from tests.support import Project, missing, project

pytestmark = pytest.mark.pg
OLD = Path("/usr/lib/postgresql/15/bin")
LOADED = 'shared_preload_libraries = "pg_stat_statements"'


@pytest.fixture(scope="module", params=[18, 15], ids=["18", "15"])
def counting(request: pytest.FixtureRequest) -> Iterator[Project]:
    version: int = request.param
    if version == 15 and not (OLD / "initdb").exists():
        missing("PostgreSQL 15 (apt-get install postgresql-15)")
    with project() as made:
        file = made.root / "environments/test.toml"
        where = f'[postgresql]\nversion = 15\nbin = "{OLD}"\n' if version == 15 else ""
        file.write_text(file.read_text().replace("[settings]\n", f"[settings]\n{LOADED}\n", 1) + where)
        done = made.inv("db.setup", "--env=test")
        assert done.returncode == 0, done.stderr
        with closing(open_context("test", root=made.root)) as ctx:
            ctx.db.execute("CREATE EXTENSION pg_stat_statements")
        yield made


@pytest.fixture
def ctx(counting: Project) -> Iterator[Context]:
    (counting.root / ".pgcohesion/test/health.sqlite").unlink(missing_ok=True)
    with closing(open_context("test", root=counting.root)) as context:
        yield context


def connect(ctx: Context, **parameters: Any) -> psycopg.Connection[Any]:
    return psycopg.connect(**{"dbname": "chanuka", **ctx.server.parameters(), "autocommit": True, **parameters})


@pytest.fixture
def app(ctx: Context) -> Iterator[psycopg.Connection[Any]]:
    with closing(connect(ctx)) as connection:
        connection.execute("SELECT pg_stat_statements_reset()")
        yield connection


@pytest.fixture
def mallory(ctx: Context) -> Iterator[psycopg.Connection[Any]]:
    """Somebody who may do little."""
    with closing(connect(ctx)) as owner:
        owner.execute("CREATE ROLE mallory LOGIN PASSWORD 'a secret of hers'")
        owner.execute("GRANT CONNECT ON DATABASE chanuka TO mallory; CREATE SCHEMA mallory AUTHORIZATION mallory")
        with closing(connect(ctx, user="mallory", password="a secret of hers")) as connection:
            yield connection
        owner.execute("DROP OWNED BY mallory; DROP ROLE mallory")


def cost(ctx: Context, by: str = "time", **how: Any) -> Cost:
    answer = queries.show(ctx, by, **{"limit": 1000, **how})
    assert isinstance(answer, Cost)
    return answer


def id_of(ctx: Context, part: str) -> str:
    found = [one.id for one in cost(ctx, since="reset").top if part in one.text]
    assert found, part
    return found[0]


def test_a_statement_that_loses_its_index_is_slower_until_the_window_ends(
    ctx: Context, app: psycopg.Connection[Any]
) -> None:
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
        for _ in range(2):
            for n in range(20):
                app.execute(ask, [n])
            answer = cost(ctx)
            (slower,) = answer.slower
            assert "FROM public.many WHERE a = $1" in slower.statement.text
            assert slower.factor > 5
        assert slower.statement.calls in (40, 90)  # since the index has gone, or the machine was slow before that, too
        assert answer.since is not None
        assert slower.since > answer.since
        assert "slower: " in str(answer.view())
        assert cost(ctx, since="reset").slower == ()
        plan = queries.plan(ctx, slower.statement.id)
        assert any("Scan on many" in line for line in plan.plan)
        assert any("$1" in line for line in plan.plan)
    finally:
        app.execute("DROP TABLE public.many")


def test_new_statements_and_those_that_spill(ctx: Context, app: psycopg.Connection[Any]) -> None:
    app.execute("SELECT count(*) FROM chanuka.bills")
    cost(ctx)
    app.execute("SET work_mem = '64kB'")
    app.execute("SELECT max(x) FROM (SELECT n AS x FROM generate_series(1, 300000) n ORDER BY -n) s")
    for _ in range(2):
        answer = cost(ctx, "temp")
        assert ["generate_series" in one.text for one in answer.new] == [True]
        assert "generate_series" in answer.spilled[0].text
        assert answer.top[0] == answer.spilled[0]
        assert answer.view().verdict.endswith("1 new, 0 slower")
    assert cost(ctx, since="last").new == ()
    document = json.loads(json.dumps(answer.as_dict()))
    assert isinstance(document["top"][0]["id"], str)
    assert document["spilled"][0]["temp"] > 0
    assert document["seconds"] > 0


@pytest.mark.parametrize("by", queries.BY)
def test_every_order(ctx: Context, app: psycopg.Connection[Any], by: str) -> None:
    app.execute("CREATE TABLE public.kept AS SELECT n FROM generate_series(1, 1000) n")
    app.execute("DROP TABLE public.kept")
    found = [queries.BY[by](one) for one in cost(ctx, by).top]
    assert found == sorted(found, reverse=True)
    view = cost(ctx, by).view()
    assert "counting began" not in view.verdict
    with pytest.raises(UsageError, match="nothing goes by"):
        queries.show(ctx, "nonsense")
    with pytest.raises(UsageError, match="no length of time"):
        queries.show(ctx, since="nonsense")


def test_only_from_now_on(ctx: Context, app: psycopg.Connection[Any]) -> None:
    app.execute("SELECT pg_sleep(0.05), 'before'")
    with closing(connect(ctx)) as busy:
        busy.pgconn.send_query(b"SELECT count(*), pg_sleep(1) FROM generate_series(1, 10)")
        answer = cost(ctx, sample_seconds=1.5)
    texts = [one.text for one in answer.top]
    assert any("generate_series" in text for text in texts)
    assert not any("pg_sleep($1), $2" in text for text in texts)


def test_what_a_function_sends_is_told_from_what_clients_send(ctx: Context, app: psycopg.Connection[Any]) -> None:
    app.execute("SET pg_stat_statements.track = 'all'")
    app.execute(
        "CREATE FUNCTION public.nest() RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM count(*) FROM pg_class; END'"
    )
    try:
        for _ in range(2):
            for _ in range(3):
                app.execute("SELECT public.nest()")
            app.execute("SELECT count(*) FROM pg_class")
            answer = cost(ctx, since="last")
        both = {one.toplevel: one.calls for one in answer.top if one.text == "SELECT count(*) FROM pg_class"}
        assert both == {True: 1, False: 3}
    finally:
        app.execute("DROP FUNCTION public.nest()")


def test_no_password_is_shown_and_no_database_that_is_gone(ctx: Context, app: psycopg.Connection[Any]) -> None:
    app.execute("CREATE ROLE shown PASSWORD 'hunter2-and-more'")
    app.execute("DROP ROLE shown")
    app.execute("CREATE DATABASE gone TEMPLATE template0")
    with closing(connect(ctx, dbname="gone")) as there:
        there.execute("SELECT count(*), 'of a database that goes' FROM pg_class")
    answer = cost(ctx)
    assert "gone" in {one.database for one in answer.top}
    assert "hunter2" not in json.dumps(answer.as_dict())
    app.execute("DROP DATABASE gone")
    assert {one.database for one in cost(ctx, since="reset").top} <= {"chanuka", "postgres"}
    assert b"hunter2" not in (ctx.state / "health.sqlite").read_bytes()


def test_other_databases_and_their_plans(ctx: Context, app: psycopg.Connection[Any]) -> None:
    app.execute("CREATE DATABASE another TEMPLATE template0")
    try:
        with closing(connect(ctx, dbname="another")) as there:
            there.execute("CREATE TABLE only_there (a int)")
            there.execute("SELECT a FROM only_there WHERE a > 5")
        plan = queries.plan(ctx, id_of(ctx, "FROM only_there"))
        assert plan.database == "another"
        assert any("only_there" in line for line in plan.plan)
    finally:
        app.execute("DROP DATABASE another WITH (FORCE)")


def test_a_role_sees_what_it_may_and_is_told(
    ctx: Context, counting: Project, app: psycopg.Connection[Any], mallory: psycopg.Connection[Any]
) -> None:
    mallory.execute("SELECT 'hers', count(*) FROM pg_class")
    app.execute("SELECT 'ours', sum(relpages) FROM pg_class")
    as_mallory = Options(env="test", set=("health.role=mallory",))
    with closing(open_context("test", root=counting.root, options=as_mallory)) as restricted:
        answer = cost(restricted)
        assert not any("relpages" in one.text for one in answer.top)
        assert answer.hidden == "statements of other roles are hidden: GRANT pg_read_all_stats TO mallory;"
        assert answer.hidden in str(answer.view())
        app.execute(answer.hidden.partition(": ")[2])
        with closing(open_context("test", root=counting.root, options=as_mallory)) as allowed:
            answer = cost(allowed)
            assert answer.hidden == ""
            assert any("relpages" in one.text for one in answer.top)


# --- plans ------------------------------------------------------------------------------------------------------------


def test_a_plan_writes_nothing(ctx: Context, app: psycopg.Connection[Any]) -> None:
    app.execute("CREATE TABLE public.kept (a int)")
    app.execute("INSERT INTO public.kept VALUES (1)")
    app.execute("WITH gone AS (DELETE FROM public.kept WHERE a = 7 RETURNING a) SELECT * FROM gone")
    app.execute("MERGE INTO public.kept k USING public.kept v ON k.a = v.a AND v.a = 8 WHEN MATCHED THEN DELETE")
    app.execute("SELECT FROM public.kept JOIN (VALUES (8)) v (n) ON a = n")
    try:
        assert queries.plan(ctx, id_of(ctx, "INSERT INTO public.kept")).plan[0].startswith("Insert on kept")
        assert queries.plan(ctx, id_of(ctx, "WITH gone AS")).plan[0].startswith("CTE Scan")
        assert queries.plan(ctx, id_of(ctx, "MERGE INTO")).plan[0].startswith("Merge on kept")
        assert app.execute("SELECT a FROM public.kept").fetchall() == [(1,)]
        with pytest.raises(ServerError, match="no plan") as refused:
            queries.plan(ctx, id_of(ctx, "JOIN (VALUES"))
        assert "$1::int" in refused.value.fix
        with pytest.raises(UsageError, match="no statement"):
            queries.plan(ctx, "12345")
        with pytest.raises(UsageError, match="no plan"):
            create = "SELECT queryid::text FROM pg_stat_statements WHERE query LIKE 'CREATE TABLE public.kept%'"
            queries.plan(ctx, app.execute(create).fetchall()[0][0])
    finally:
        app.execute("DROP TABLE public.kept")


def test_nothing_in_a_plan_runs_as_superuser(
    ctx: Context, app: psycopg.Connection[Any], mallory: psycopg.Connection[Any]
) -> None:
    app.execute("CREATE TABLE public.heard (who text)")
    app.execute("GRANT INSERT ON public.heard TO PUBLIC; GRANT SELECT ON public.heard TO mallory")
    try:
        mallory.execute("""CREATE FUNCTION mallory.does() RETURNS int LANGUAGE plpgsql AS $$
            DECLARE word text;
            BEGIN
              FOREACH word IN ARRAY ARRAY['RESET ROLE', 'SET ROLE postgres', 'RESET SESSION AUTHORIZATION', 'RESET ALL',
                  'SET TRANSACTION READ WRITE', 'ALTER ROLE mallory SUPERUSER', 'SET lock_timeout = 0',
                  'INSERT INTO public.heard VALUES (current_user)', 'CREATE ROLE evil SUPERUSER'] LOOP
                BEGIN EXECUTE word; EXCEPTION WHEN OTHERS THEN NULL; END;
              END LOOP;
              RAISE WARNING 'planned as %', current_user;
              RETURN 1;
            END $$""")
        mallory.execute(
            "CREATE FUNCTION mallory.constant() RETURNS int IMMUTABLE LANGUAGE plpgsql"
            " AS $$BEGIN RETURN mallory.does(); END$$"
        )
        mallory.execute("SELECT who FROM public.heard WHERE mallory.constant() = 1")
        mallory.execute("""CREATE FUNCTION mallory.length(text) RETURNS int LANGUAGE plpgsql AS $$
            BEGIN PERFORM mallory.does(); RETURN 1; END$$""")
        app.execute("ALTER DATABASE chanuka SET search_path = mallory, pg_catalog")  # as its owner could
        app.execute("DELETE FROM public.heard")
        plan = queries.plan(ctx, id_of(ctx, "mallory.constant() ="))
        assert plan.role == "mallory"
        assert plan.plan
        roles = app.execute("SELECT rolname FROM pg_roles WHERE rolsuper").fetchall()
        assert roles == [("postgres",)]
        assert app.execute("SELECT who FROM public.heard").fetchall() == []
        log = ctx.server.log_file.read_text()  # type: ignore[attr-defined]
        assert "planned as mallory" in log
        assert "planned as postgres" not in log
    finally:
        app.execute("ALTER DATABASE chanuka RESET search_path")
        app.execute("DROP TABLE public.heard")


def test_only_one_statement_is_planned(ctx: Context, app: psycopg.Connection[Any]) -> None:
    app.execute("CREATE TABLE public.stays (a int)")
    try:
        with pytest.raises(ServerError, match="no plan"):
            explain(ctx.db, "chanuka", "postgres", "SELECT 1; DROP TABLE public.stays")
        with pytest.raises(ServerError, match="no plan"):
            explain(ctx.db, "chanuka", "postgres", "SELECT 1; COMMIT; DROP TABLE public.stays")
        with pytest.raises(UsageError, match="no plan"):
            explain(ctx.db, "chanuka", "postgres", "ANALYZE SELECT pg_sleep(9)")
        with pytest.raises(UsageError, match="is gone"):
            explain(ctx.db, "chanuka", "nobody at all", "SELECT 1")
        app.execute("SELECT a FROM public.stays")
    finally:
        app.execute("DROP TABLE public.stays")


def test_a_plan_waits_for_nobody(ctx: Context, app: psycopg.Connection[Any]) -> None:
    app.execute("CREATE TABLE public.locked (a int)")
    app.execute("SELECT a FROM public.locked")
    queryid = id_of(ctx, "FROM public.locked")
    try:
        with app.transaction():
            app.execute("LOCK TABLE public.locked")
            with pytest.raises(ServerError) as refused:
                queries.plan(ctx, queryid)
        assert refused.value.sqlstate == "55P03"
        assert "lock" in refused.value.fix
    finally:
        app.execute("DROP TABLE public.locked")
    with pytest.raises(ServerError) as refused:
        queries.plan(ctx, queryid)
    assert "gone" in refused.value.fix


def test_names_are_found_as_the_role_finds_them(
    ctx: Context, app: psycopg.Connection[Any], mallory: psycopg.Connection[Any]
) -> None:
    mallory.execute('CREATE TABLE mallory.own (a int); ALTER ROLE mallory SET search_path = "$user"')
    mallory.execute("SET search_path = mallory")
    mallory.execute("SELECT a FROM own WHERE a = 1")
    queryid = id_of(ctx, "FROM own")
    assert any("own" in line for line in queries.plan(ctx, queryid).plan)
    with closing(ctx.db.as_role("mallory")) as hers:
        with pytest.raises(UsageError, match="only a superuser") as refused:
            explain(hers, "chanuka", "postgres", "SELECT 1")
        assert "EXPLAIN (GENERIC_PLAN) SELECT 1;" in refused.value.fix


# --- keeping ----------------------------------------------------------------------------------------------------------


def test_who_looks_anyway_keeps_a_snapshot_now_and_then(ctx: Context, app: psycopg.Connection[Any]) -> None:
    def kept() -> int:
        rows = past.connection.execute("SELECT count(*) FROM statement_snapshots").fetchall()
        return int(rows[0][0])

    with closing(history.of(ctx)) as past:
        health.look(ctx)
        queries.note(ctx, past)
        assert kept() == 1
        past.connection.execute("UPDATE statement_snapshots SET at = at - 301")
        health.look(ctx, "quick")
        assert kept() == 1
        queries.note(ctx, past)
        assert kept() == 2
    queries.note(ctx, past)  # it is closed: nobody minds


def test_without_a_history_it_still_answers(ctx: Context, app: psycopg.Connection[Any]) -> None:
    file = ctx.state / "health.sqlite"
    file.mkdir()
    try:
        answer = cost(ctx)
        assert answer.since is None
        assert answer.top
    finally:
        file.rmdir()


def test_the_command(counting: Project, ctx: Context, app: psycopg.Connection[Any]) -> None:
    app.execute("SELECT count(*) FROM chanuka.bills")
    document = counting.json("health.queries", "--env=test", "--by=calls", "--limit=500")
    (one,) = [one for one in document["result"]["top"] if "FROM chanuka.bills" in one["statement"]]
    done = counting.inv("health.queries", "--env=test", f"--plan={one['id']}")
    assert done.returncode == 0, done.stderr
    assert "Seq Scan on bills" in done.stdout
    assert "nothing was executed" in done.stdout


# --- where nothing is counted -----------------------------------------------------------------------------------------


def test_sessions_are_looked_at_and_the_steps_lead_to_counters(fresh: Project) -> None:
    file = fresh.root / "environments/test.toml"
    text = file.read_text()
    assert fresh.inv("db.setup", "--env=test").returncode == 0
    with closing(open_context("test", root=fresh.root)) as ctx:
        with closing(connect(ctx)) as busy:
            busy.pgconn.send_query(b"SELECT pg_sleep(30), 'a secret value', 42")
            seen = "SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE %s"
            wait_for(lambda: ctx.db.execute(seen, ["SELECT pg_sleep(30)%"]))
            answer = queries.show(ctx, sample_seconds=0.3)
            busy.cancel_safe()
        assert isinstance(answer, Sampled)
        assert [text for _, _, text in answer.seen if "pg_sleep" in text] == ["SELECT pg_sleep($), $, $"]
        assert answer.looks >= 2
        ctx.db.execute("CREATE EXTENSION pg_stat_statements")  # made, not loaded
        answer = queries.show(ctx, sample_seconds=0.1)
        assert isinstance(answer, Sampled)
        ctx.db.execute("DROP EXTENSION pg_stat_statements")
    steps = {line.strip().partition(" = ")[0]: line.strip() for line in answer.steps}
    text = text.replace("[settings]\n", f"[settings]\n{steps['shared_preload_libraries']}\n", 1)
    text = text.replace("shared_buffers", '"pg_stat_statements.max" = 100\nshared_buffers', 1)
    file.write_text(f"{text}\n[databases.chanuka]\n{steps['extensions']}\n")
    done = fresh.inv(*answer.steps[-1].partition("inv ")[2].partition("   ")[0].split())
    assert done.returncode == 0, done.stderr
    with closing(open_context("test", root=fresh.root)) as ctx:
        with closing(connect(ctx)) as many:
            for n in range(1, 200):
                many.execute("SELECT " + " + ".join(["1"] * n))
        answer = queries.show(ctx)
        assert isinstance(answer, Cost)
        assert answer.evicted > 0
        assert "raise pg_stat_statements.max" in str(answer.view())


def test_an_extension_in_the_maintenance_database_is_enough(ctx: Context, app: psycopg.Connection[Any]) -> None:
    app.execute("DROP EXTENSION pg_stat_statements")
    with closing(connect(ctx, dbname="postgres")) as maintenance:
        maintenance.execute('CREATE SCHEMA "odd name"; CREATE EXTENSION pg_stat_statements SCHEMA "odd name"')
        try:
            app.execute("SELECT count(*) FROM chanuka.bills")
            assert any("chanuka.bills" in one.text for one in cost(ctx).top)
        finally:
            maintenance.execute('DROP EXTENSION pg_stat_statements; DROP SCHEMA "odd name"')
            app.execute("CREATE EXTENSION pg_stat_statements")


def test_an_extension_that_is_older_than_its_server(ctx: Context, app: psycopg.Connection[Any]) -> None:
    app.execute("DROP EXTENSION pg_stat_statements")
    rows = app.execute(
        "SELECT version FROM pg_available_extension_versions WHERE name = 'pg_stat_statements'"
    ).fetchall()
    versions = sorted((row[0] for row in rows), key=lambda version: int(version.partition(".")[2]))
    known = versions[versions.index("1.8") :]  # 13, 14, 15 and 16, 17 ...
    assert len(known) >= 3
    for version in known:
        try:
            app.execute(f"CREATE EXTENSION pg_stat_statements VERSION '{version}'".encode())
            app.execute("SELECT count(*) FROM chanuka.bills")
            assert any("chanuka.bills" in one.text for one in cost(ctx).top), version
            assert statements.read(ctx.db), version
        finally:
            app.execute("DROP EXTENSION IF EXISTS pg_stat_statements")
    app.execute("CREATE EXTENSION pg_stat_statements")


def test_counters_that_refuse_say_why(ctx: Context, app: psycopg.Connection[Any]) -> None:
    with closing(connect(ctx)) as owner:
        owner.execute("REVOKE SELECT ON pg_stat_statements FROM PUBLIC")
        owner.execute("CREATE ROLE blind NOLOGIN")
        try:
            with closing(ctx.db.as_role("blind")) as blind, pytest.raises(CohesionError):
                statements.read(blind)
        finally:
            owner.execute("GRANT SELECT ON pg_stat_statements TO PUBLIC; DROP ROLE blind")
