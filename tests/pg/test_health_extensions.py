"""What checks can tell only where an extension is installed, in whatever schema."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from pgcohesion import health
from pgcohesion.context import Context
from pgcohesion.health.registry import Finding, load
from pgcohesion.opening import open_context
from pgcohesion.setup import setup
from pgcohesion.view import Grade
from tests.support import missing, project

pytestmark = pytest.mark.pg
OLD = Path("/usr/lib/postgresql/15/bin")
SCHEMA = 'odd "s'
QUOTED = '"odd ""s"'
SETTINGS = "[settings]\nshared_preload_libraries = 'pg_stat_statements'\n\"pg_stat_statements.max\" = 100"


@pytest.fixture(scope="module", params=[18, 15])
def ctx(request: pytest.FixtureRequest) -> Iterator[Context]:
    if request.param == 15 and not (OLD / "initdb").exists():
        missing("PostgreSQL 15 (apt-get install postgresql-15)")
    with project() as made:
        file = made.root / "environments/test.toml"
        text = file.read_text().replace("[settings]", SETTINGS, 1)
        if request.param == 15:
            text += f'\n[postgresql]\nversion = 15\nbin = "{OLD}"\n'
        file.write_text(text)
        with closing(open_context("test", root=made.root)) as context:
            setup(context)
            yield context


@pytest.fixture
def app(ctx: Context) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(**ctx.server.parameters(), dbname="chanuka", autocommit=True) as session:  # type: ignore[arg-type]
        session.execute(f"CREATE SCHEMA {QUOTED}".encode())
        for name in ("pg_stat_statements", "pgstattuple", "amcheck"):
            session.execute(f"CREATE EXTENSION {name} SCHEMA {QUOTED}".encode())
        session.execute(f"SELECT {QUOTED}.pg_stat_statements_reset(), pg_stat_reset()".encode())
        try:
            yield session
        finally:
            session.execute(f"DROP SCHEMA {QUOTED} CASCADE".encode())
            session.execute("DROP TABLE IF EXISTS public.t")
            session.execute("DROP FUNCTION IF EXISTS public.compared CASCADE")


def findings(ctx: Context, check: str) -> list[Finding]:
    results = health.check(ctx, check, remember=False).results
    return [one for one in results if one.check == check and one.database in ("", "chanuka")]


def found(ctx: Context, check: str) -> Finding:
    (finding,) = findings(ctx, check)
    return finding


def test_every_extended_query_is_prepared(ctx: Context, app: psycopg.Connection[tuple[object, ...]]) -> None:
    version = app.info.server_version // 10000
    extended = [check for check in load() if check.extended]
    assert {check.extended[0] for check in extended if check.extended} == {
        "pg_stat_statements",
        "pgstattuple",
        "amcheck",
    }
    for check in extended:
        query = check.query_on(version, {"pg_stat_statements": QUOTED, "pgstattuple": QUOTED})
        app.execute(f"PREPARE {check.id} AS {query}".encode())


def test_the_statement_that_costs_most_is_named(ctx: Context, app: psycopg.Connection[tuple[object, ...]]) -> None:
    assert found(ctx, "slow_statements").grade is Grade.UNKNOWN
    for _ in range(100):
        app.execute("SELECT pg_sleep(0.021) AS slow")
    finding = found(ctx, "slow_statements")
    assert finding.grade is Grade.WARN
    assert "SELECT pg_sleep($1) AS slow" in finding.text
    assert f"inv health.queries --plan {finding.object}" in finding.fix


def test_many_quick_calls_are_no_slow_statement(ctx: Context, app: psycopg.Connection[tuple[object, ...]]) -> None:
    for _ in range(500):
        app.execute("SELECT pg_sleep(0.001) AS quick")
    assert found(ctx, "slow_statements").grade is Grade.UNKNOWN


def test_who_looks_on_is_no_slow_statement(ctx: Context, app: psycopg.Connection[tuple[object, ...]]) -> None:
    for _ in range(100):
        app.execute("SELECT pg_sleep(0.021) FROM pg_stat_activity LIMIT 1")
    assert found(ctx, "slow_statements").grade is Grade.UNKNOWN


def test_statements_that_are_forgotten_are_told(ctx: Context, app: psycopg.Connection[tuple[object, ...]]) -> None:
    assert found(ctx, "statement_statistics").grade is Grade.OK
    for n in range(150):
        app.execute(f"SELECT {', '.join(['1'] * (n + 1))}".encode())
    finding = found(ctx, "statement_statistics")
    assert finding.grade is Grade.INFO
    assert "it keeps 100" in finding.text


def test_the_statement_that_spills_is_named(ctx: Context, app: psycopg.Connection[tuple[object, ...]]) -> None:
    app.execute("SET work_mem = '64kB'; SET max_parallel_workers_per_gather = 0")
    app.execute(
        "SELECT sum(length(r)) FROM (SELECT repeat('x', 500) AS r FROM generate_series(1, 300000) n ORDER BY -n) x"
    )
    app.execute("SELECT pg_stat_force_next_flush()")
    finding = found(ctx, "temp_files")
    assert (finding.grade, finding.object) == (Grade.WARN, "chanuka")
    assert "most were written by: SELECT sum(length(r))" in finding.text


def test_bloat_is_measured_where_it_can_be(ctx: Context, app: psycopg.Connection[tuple[object, ...]]) -> None:
    app.execute("CREATE TABLE public.t (a int, b text) WITH (autovacuum_enabled = off)")
    app.execute("INSERT INTO public.t SELECT n, repeat('x', 100) FROM generate_series(1, 600000) n")
    app.execute("CREATE INDEX t_a ON public.t (a)")
    assert found(ctx, "measured_bloat").grade is Grade.OK
    app.execute("DELETE FROM public.t WHERE a % 20 > 0")
    app.execute("VACUUM public.t")
    bad = {one.object: one for one in findings(ctx, "measured_bloat")}
    assert set(bad) == {"public.t", "public.t_a"}
    assert {one.grade for one in bad.values()} == {Grade.FAIL}
    for name in ("public.t_a", "public.t"):
        for line in bad[name].fix.splitlines():
            app.execute(line.encode())
    assert found(ctx, "measured_bloat").grade is Grade.OK


def test_what_cannot_be_measured_is_said(ctx: Context) -> None:
    finding = found(ctx, "measured_bloat")
    assert finding.grade is Grade.SKIPPED
    assert "CREATE EXTENSION pgstattuple;" in finding.text


COMPARED = """CREATE OR REPLACE FUNCTION public.compared(int, int) RETURNS int IMMUTABLE LANGUAGE sql
              AS 'SELECT pg_catalog.btint4cmp({})'"""
ORDER = """CREATE OPERATOR CLASS public.of_its_own FOR TYPE int USING btree AS
           OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >,
           FUNCTION 1 public.compared(int, int)"""


def test_an_index_in_another_order_is_damaged(ctx: Context, app: psycopg.Connection[tuple[object, ...]]) -> None:
    """What a new collation does to text, a new comparison does here to numbers."""
    for statement in (
        COMPARED.format("$1, $2"),
        ORDER,
        "CREATE TABLE public.t AS SELECT generate_series(1, 1000) AS a",
    ):
        app.execute(statement.encode())
    app.execute("""CREATE INDEX "o'd""d" ON public.t (a public.of_its_own)""")
    (finding,) = findings(ctx, "damaged_indexes")
    assert finding.grade is Grade.OK
    app.execute(COMPARED.format("$2, $1").encode())
    (finding,) = findings(ctx, "damaged_indexes")
    assert (finding.grade, finding.object) == (Grade.FAIL, "o'd\"d")
    (line,) = app.execute(finding.fix.removesuffix(" \\gexec").encode()).fetchall()
    app.execute(str(line[0]).encode())
    (finding,) = findings(ctx, "damaged_indexes")
    assert finding.grade is Grade.OK


def test_a_table_with_rows_from_before_its_freezing_is_damaged(
    ctx: Context, app: psycopg.Connection[tuple[object, ...]]
) -> None:
    app.execute("CREATE TABLE public.t AS SELECT generate_series(1, 1000) AS a")
    (finding,) = findings(ctx, "damaged_tables")
    assert finding.grade is Grade.OK
    app.execute("SELECT pg_current_xact_id()")
    app.execute("UPDATE pg_class SET relfrozenxid = pg_current_xact_id()::xid WHERE oid = 'public.t'::regclass")
    (finding,) = findings(ctx, "damaged_tables")
    assert (finding.grade, finding.object) == (Grade.FAIL, "public.t")
