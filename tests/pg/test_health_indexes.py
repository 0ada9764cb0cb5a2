"""`inv health.indexes`, and what of the checks of indexes, schema and sequences no seeded fault can show."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from pgcohesion import health
from pgcohesion.context import Context, Options
from pgcohesion.health.checks import indexes
from pgcohesion.health.indexes import Advised
from pgcohesion.health.registry import Finding
from pgcohesion.opening import open_context
from pgcohesion.setup import setup
from pgcohesion.view import Grade, Table
from tests.pg.seeded.stage import wait_for
from tests.support import Project, missing, project

pytestmark = pytest.mark.pg
OLD = Path("/usr/lib/postgresql/15")
CHECKS = "indexes,schema,sequences"
WRONG = """
    CREATE TABLE public.target (id int PRIMARY KEY);
    CREATE TABLE public.t (id serial PRIMARY KEY, a int, b text, x int REFERENCES public.target);
    INSERT INTO public.t (a, b) SELECT g, 'x' || g FROM generate_series(1, 60000) g;
    CREATE INDEX one ON public.t (a);
    CREATE INDEX two ON public.t (a);
    CREATE INDEX short ON public.t (b);
    CREATE INDEX long ON public.t (b, id);
    CREATE INDEX idle ON public.t (lower(b));
    SELECT setval('public.t_id_seq', 2000000000);
    VACUUM ANALYZE public.t
"""


@pytest.fixture
def wrong(ctx: Context, database: str, shared: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Context]:
    """A context on a database in which much is wrong, with counters that seem old."""
    monkeypatch.setattr(indexes, "DAY", -1.0)
    with closing(session(ctx, database)) as connection:
        for statement in WRONG.split(";"):
            connection.execute(statement.encode())
    with opened(shared, database) as context:
        yield context


def session(ctx: Context, database: str, **more: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(**{**ctx.server.parameters(), "dbname": database, **more}, autocommit=True)  # type: ignore[arg-type]


@contextmanager
def opened(project: Project, database: str, *sets: str) -> Iterator[Context]:
    only = (
        f"databases.{database}.owner=chanuka_owner",
        f"application.database={database}",
        f"health.databases={database}",
    )
    context = open_context("test", root=project.root, options=Options(env="test", set=(*only, *sets)))
    with closing(context):
        yield context


def found(context: Context, only: str = CHECKS) -> list[Finding]:
    return list(health.check(context, only, remember=False).results)


def about(findings: list[Finding], check: str) -> list[Finding]:
    return [one for one in findings if one.check == check]


def advised(context: Context) -> Advised:
    answer = health.advise(context)
    assert isinstance(answer, Advised)
    return answer


# --- the checks -----------------------------------------------------------------------------------------------------


@contextmanager
def locked(ctx: Context, database: str, *, awaited: bool) -> Iterator[None]:
    """Hold ACCESS EXCLUSIVE on the table, or wait for it behind a reader; alter its sequence meanwhile."""
    with ExitStack() as stack:
        holder, other = (stack.enter_context(closing(session(ctx, database))) for _ in range(2))
        holder.execute("BEGIN; ALTER SEQUENCE public.t_id_seq CACHE 5")
        holder.execute(f"LOCK TABLE public.t IN ACCESS {'SHARE' if awaited else 'EXCLUSIVE'} MODE".encode())
        if awaited:
            thread = threading.Thread(target=other.execute, args=("LOCK TABLE public.t",), daemon=True)
            stack.callback(thread.join, 10)
            stack.callback(holder.execute, "ROLLBACK")
            other.execute("BEGIN")
            thread.start()
            with closing(session(ctx, database)) as looking:
                waits = "SELECT FROM pg_locks WHERE NOT granted AND relation = 'public.t'::regclass"
                wait_for(lambda: looking.execute(waits).fetchall())
        yield


@pytest.mark.parametrize("awaited", [False, True], ids=["held", "awaited"])
def test_nothing_waits_for_a_lock(wrong: Context, database: str, awaited: bool) -> None:
    with locked(wrong, database, awaited=awaited):
        findings = found(wrong)
    (sequence,) = about(findings, "sequences")
    assert (sequence.grade, sequence.object) == (Grade.UNKNOWN, "public.t_id_seq")
    assert [one.text for one in findings if one.grade is Grade.UNKNOWN and one is not sequence] == []
    (twin,) = about(findings, "duplicate_indexes")
    assert (twin.object, twin.undo) == ("public.two", "")
    assert twin.fix.startswith("SELECT pg_get_indexdef('public.two'::regclass);")


def test_a_role_that_may_not_read_sequences_is_told_the_grant(wrong: Context, database: str, shared: Project) -> None:
    with closing(session(wrong, database)) as connection, ExitStack() as stack:
        connection.execute("CREATE ROLE watcher IN ROLE pg_monitor")
        stack.callback(connection.execute, "DROP ROLE watcher")
        context = stack.enter_context(opened(shared, database, "health.role=watcher"))
        findings = found(context)
    skipped = [one for one in findings if one.grade is Grade.SKIPPED]
    assert [one.check for one in skipped] == ["sequences", "taken_numbers"]
    assert all("GRANT pg_read_all_data TO watcher;" in one.text for one in skipped)
    assert [one.object for one in about(findings, "duplicate_indexes")] == ["public.two"]


def test_a_constraint_that_is_not_enforced_is_a_note(ctx: Context, database: str, shared: Project) -> None:
    with closing(session(ctx, database)) as connection:
        connection.execute("CREATE TABLE public.t (id int PRIMARY KEY, CONSTRAINT c CHECK (id > 0) NOT ENFORCED)")
    with opened(shared, database) as context:
        (one,) = found(context, "unvalidated_constraints")
    assert (one.grade, one.object) == (Grade.INFO, "public.t.c")


PARTS = """
    CREATE TABLE public.{name} (at {kind}) PARTITION BY RANGE (at);
    CREATE TABLE public.{name}_1 PARTITION OF public.{name} FOR VALUES FROM (MINVALUE) TO ('2020-01-01');
    CREATE TABLE public.{name}_2 PARTITION OF public.{name} FOR VALUES FROM ('2020-01-01') TO ({end})
"""


@pytest.mark.parametrize(
    ("kind", "end", "written", "grade"),
    [
        ("date", "now() + interval '12 hours'", True, Grade.OK),  # an expression is the day after: cast to a date
        ("timestamptz", "now() + interval '12 hours'", True, Grade.WARN),
        ("timestamp", "now() + interval '12 hours'", False, Grade.INFO),
        ("timestamptz", "now() + interval '12 days'", True, Grade.OK),
        ("date", "MAXVALUE", True, Grade.OK),
        ("date", "'2020-02-01'", True, Grade.WARN),
    ],
)
def test_the_last_partition(
    ctx: Context, database: str, shared: Project, kind: str, end: str, written: bool, grade: Grade
) -> None:
    with closing(session(ctx, database)) as connection:
        if kind == "date" and end.startswith("now"):
            end = "current_date + 2"
        for statement in PARTS.format(name="t", kind=kind, end=end).split(";"):
            connection.execute(statement.encode())
        if written:
            connection.execute("INSERT INTO public.t VALUES ('2020-01-15')")
            connection.execute("SELECT pg_stat_force_next_flush()")
    with opened(shared, database) as context:
        (one,) = found(context, "future_partitions")
    assert one.grade is grade


def test_types_that_surprise(ctx: Context, database: str, shared: Project) -> None:
    with closing(session(ctx, database)) as connection:
        connection.execute("CREATE TABLE public.t (id serial PRIMARY KEY, a timestamp, b char(3), c money, d text)")
    with opened(shared, database) as context:
        (one,) = found(context, "column_types")
    assert one.text.startswith("4 columns: public.t.a (timestamp without time zone), public.t.b (character(3))")
    assert "public.t.id (serial)" in one.text


# --- the command ----------------------------------------------------------------------------------------------------


def test_the_command_on_a_healthy_database(shared: Project) -> None:
    done = shared.inv("health.indexes", "--env=test", "--set=health.databases=chanuka")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "test: 0 missing, 0 redundant, 0 unused, 0 invalid, 0 bloated"


def test_advice_of_all_kinds(wrong: Context) -> None:
    answer = advised(wrong)
    told = {(one.kind, one.object): one for one in answer.advice}
    assert sorted(told) == [
        ("missing", "public.t"),
        ("redundant", "public.short"),
        ("redundant", "public.two"),
        ("unused", "public.idle"),
    ]
    assert told["missing", "public.t"].line == "CREATE INDEX CONCURRENTLY ON public.t (x);"
    assert told["redundant", "public.two"].line == "DROP INDEX CONCURRENTLY public.two;"
    assert told["redundant", "public.short"].undo == "CREATE INDEX CONCURRENTLY short ON public.t USING btree (b);"
    assert (told["unused", "public.idle"].bytes or 0) > 1e6
    assert answer.counts == {"missing": 1, "redundant": 2, "unused": 1, "invalid": 0, "bloated": 0}
    view = answer.view()
    (table,) = (block for block in view.blocks if isinstance(block, Table))
    assert table.header == ("what", "size", "why", "fix")
    assert view.verdict.startswith("1 missing, 2 redundant, 1 unused, 0 invalid, 0 bloated; ")
    assert json.loads(json.dumps(answer.as_dict()))["counts"] == answer.counts


def test_all_advice_together_breaks_nothing(wrong: Context, database: str) -> None:
    """Follow all of it: each column that had an index at its beginning still has one, but for what nothing used."""
    leading = "SELECT DISTINCT indkey[0] FROM pg_index WHERE indrelid = 'public.t'::regclass"
    with closing(session(wrong, database)) as connection:
        before = set(connection.execute(leading).fetchall())
        for one in advised(wrong).advice:
            connection.execute(one.line.encode())
        assert set(connection.execute(leading).fetchall()) == (before - {(0,)}) | {(4,)}
    after = advised(wrong).counts
    assert (after["missing"], after["redundant"]) == (0, 0)


def test_a_node_that_does_not_answer_is_named(wrong: Context, database: str, shared: Project) -> None:
    here = ("hosts.db1.role=primary", "hosts.db2.role=replica")
    with opened(shared, database, *here) as context:
        assert advised(context).counts["unused"] == 1
    with opened(shared, database, *here) as context:
        away = {**context.server.parameters(), "host": "127.0.0.1", "port": "1"}
        context.on("db2").server.parameters = lambda: away  # type: ignore[method-assign]
        answer = advised(context)
    unsure = [one for one in answer.advice if one.kind == "unused"]
    assert answer.counts["unused"] == 0
    assert {(one.grade, one.line, "what db2 says is not known" in one.why) for one in unsure} == {
        (Grade.UNKNOWN, "", True)
    }
    assert "unused?" in {row[0] for block in answer.view().blocks if isinstance(block, Table) for row in block.rows}
    with opened(shared, database, "application.replicas=db9:5432") as context:
        assert {"what db9:5432 says" in one.why for one in advised(context).advice if one.kind == "unused"} == {True}


def test_a_server_that_is_away_is_another_exit_code(fresh: Project) -> None:
    assert fresh.inv("health.indexes", "--env=test").returncode == 2
    url = "postgresql://nobody@127.0.0.1:1/x"
    done = fresh.inv("health.indexes", "--env=test", "--set=health.url.env=AWAY", env={"AWAY": url})
    assert done.returncode == 3, done.stdout


@pytest.fixture(scope="module")
def planner() -> Iterator[Context]:
    """PostgreSQL 15, for which Debian has hypopg, with pg_stat_statements."""
    if not (OLD / "lib/hypopg.so").exists():
        missing("hypopg (apt-get install postgresql-15-hypopg)")
    with project() as made:
        file = made.root / "environments/test.toml"
        text = file.read_text().replace(
            "[settings]\n", '[settings]\nshared_preload_libraries = "pg_stat_statements"\n', 1
        )
        file.write_text(f'{text}\n[postgresql]\nversion = 15\nbin = "{OLD}/bin"\n')
        with closing(open_context("test", root=made.root)) as ctx:
            setup(ctx)
            yield ctx


@pytest.fixture
def asked(planner: Context) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A session in a database with a large table, and with the two extensions in a schema of their own."""
    with closing(session(planner, "postgres")) as connection:
        connection.execute('CREATE DATABASE "what if"')
    with closing(session(planner, "what if")) as connection:
        for statement in (
            'CREATE SCHEMA "ex t"',
            'CREATE EXTENSION pg_stat_statements SCHEMA "ex t"',
            'CREATE EXTENSION hypopg SCHEMA "ex t"',
            'CREATE TABLE public."odd ""t" (id serial PRIMARY KEY, "a b" int, at timestamptz, flag bool)',
            """INSERT INTO public."odd ""t" ("a b", at, flag)
               SELECT g, now(), g % 2 = 0 FROM generate_series(1, 50000) g""",
            'ANALYZE public."odd ""t"',
        ):
            connection.execute(statement.encode())
        yield connection
    planner.db.forget("what if")
    planner.watched.forget()
    with closing(session(planner, "postgres")) as connection:
        connection.execute('DROP DATABASE "what if" WITH (FORCE)')


@contextmanager
def what_if(planner: Context) -> Iterator[Context]:
    options = Options(env="test", set=("health.databases=what if",))
    with closing(open_context("test", root=planner.root, options=options)) as context:
        yield context


def test_what_an_index_would_gain(planner: Context, asked: psycopg.Connection[tuple[object, ...]]) -> None:
    for statement in (
        """SELECT * FROM public."odd ""t" AS "O" WHERE "O"."a b" = %s AND "O".at > %s""",
        """SELECT * FROM public."odd ""t" WHERE "a b" <> %s AND flag = %s""",
    ):
        asked.execute(statement.encode(), (5, "2020-01-01") if "at" in statement else (5, True))
    asked.execute('SELECT * FROM public."odd ""t" WHERE id = %s', [5])
    with what_if(planner) as ctx:
        gained = [one for one in advised(ctx).advice if one.gain is not None]
    (one,) = gained
    assert (one.kind, one.object) == ("missing", 'public."odd ""t"')
    assert one.line == 'CREATE INDEX CONCURRENTLY ON public."odd ""t" ("a b", "at");'
    assert (one.gain or 0) > 0.9
    assert "1 call" in one.why
    asked.execute(one.line.encode())
    asked.execute('ANALYZE public."odd ""t"')
    with what_if(planner) as ctx:
        assert [one for one in advised(ctx).advice if one.gain is not None] == []


def test_the_statements_of_others_are_not_planned(
    planner: Context, asked: psycopg.Connection[tuple[object, ...]]
) -> None:
    """Plan nobody's functions: one that is called immutable runs while its statement is planned, as whoever plans."""
    asked.execute("CREATE TABLE public.bait (a int) WITH (autovacuum_enabled = off)")
    asked.execute("INSERT INTO public.bait SELECT generate_series(1, 20000)")
    asked.execute("ANALYZE public.bait")
    asked.execute(
        """CREATE FUNCTION public.trap() RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
           BEGIN PERFORM nextval('public.sprung'); RETURN 1; END $$"""
    )
    asked.execute("CREATE SEQUENCE public.sprung")
    asked.execute("SELECT * FROM public.bait WHERE a = %s AND a > public.trap()", [5])
    ((before,),) = asked.execute("SELECT last_value FROM public.sprung").fetchall()
    with what_if(planner) as ctx:
        assert [one.object for one in advised(ctx).advice if one.gain] == ["public.bait"]
    assert asked.execute("SELECT last_value FROM public.sprung").fetchall() == [(before,)]


def test_a_table_whose_index_calls_somebody_is_not_planned(
    planner: Context, asked: psycopg.Connection[tuple[object, ...]]
) -> None:
    """Spare a table that would run its owner's function: planning evaluates what an index's expression says."""
    for statement in (
        "CREATE ROLE mallory; GRANT CREATE ON SCHEMA public TO mallory; SET ROLE mallory",
        "CREATE TABLE public.bait (a int) WITH (autovacuum_enabled = off)",
        "INSERT INTO public.bait SELECT generate_series(1, 20000)",
        "ANALYZE public.bait; CREATE SEQUENCE public.sprung",
        "CREATE FUNCTION public.trap(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1'",
        "CREATE INDEX bait_trap ON public.bait ((public.trap(1) + a))",
        """CREATE OR REPLACE FUNCTION public.trap(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
           BEGIN PERFORM nextval('public.sprung'); RETURN 1; END $$; RESET ROLE""",
    ):
        asked.execute(statement.encode())
    asked.execute("SET ROLE mallory")
    asked.execute("SELECT * FROM public.bait WHERE a = %s", [5])
    asked.execute("RESET ROLE")
    (before,) = asked.execute("SELECT last_value, is_called FROM public.sprung").fetchall()
    with what_if(planner) as ctx:
        assert not [one.object for one in advised(ctx).advice if one.gain]
    assert asked.execute("SELECT last_value, is_called FROM public.sprung").fetchall() == [before]


def test_without_hypopg_it_says_so(wrong: Context) -> None:
    assert any("pg_stat_statements" in note.text for note in advised(wrong).notes)
