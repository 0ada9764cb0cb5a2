"""A server whose transaction ids are really used up by two thirds, and held back: what is found, and what mends it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from pgcohesion import health
from pgcohesion.context import Context
from pgcohesion.health.registry import Finding
from pgcohesion.opening import open_context
from pgcohesion.runner.local import become
from pgcohesion.setup import setup
from pgcohesion.view import Grade
from tests.pg.seeded.stage import wait_for
from tests.support import missing, project

pytestmark = pytest.mark.pg
OLD = Path("/usr/lib/postgresql/15/bin")
NEXT = 1_400_000_000
SEGMENT = 32 * 32_768  # transactions whose state is in one file of pg_xact


@contextmanager
def served(version: int) -> Iterator[Context]:
    """Set up a server, use its ids up, and start it again."""
    with project() as made:
        file = made.root / "environments/test.toml"
        text = file.read_text().replace("[settings]", "[settings]\nwal_level = 'logical'", 1)
        if version == 15:
            text += f'\n[postgresql]\nversion = 15\nbin = "{OLD}"\n'
        file.write_text(text)
        with closing(open_context("test", root=made.root)) as ctx:
            setup(ctx)
            age(ctx)
        with closing(open_context("test", root=made.root)) as ctx:
            yield ctx


def age(ctx: Context) -> None:
    """Leave a slot that nobody reads, and let the server believe that more than a billion transactions followed."""
    ctx.db.execute("SELECT pg_create_logical_replication_slot('left', 'pgoutput')")
    ctx.server.stop()
    data = Path(ctx.server.data_folder())
    state = data / f"pg_xact/{NEXT // SEGMENT:04X}"
    state.write_bytes(bytes(SEGMENT // 4))
    shutil.chown(state, data.owner(), data.group())
    argv = become([ctx.server.tool("pg_resetwal"), "-x", str(NEXT), "-D", str(data)], ctx.server.user)
    subprocess.run(argv, check=True, cwd="/", timeout=60, capture_output=True)
    ctx.server.start()


def paste(ctx: Context, lines: str) -> None:
    """Let psql read *lines*, which may lead from one database to another."""
    where = ctx.server.parameters()
    address = f"host={where['host']} port={where['port']} user={where['user']} dbname=postgres"
    argv = [ctx.server.tool("psql"), "-X", "-v", "ON_ERROR_STOP=1", "-d", address]
    env = {"PGPASSWORD": where["password"]}
    subprocess.run(argv, check=True, input=lines, text=True, cwd="/", env=env, timeout=60, capture_output=True)


def found(ctx: Context) -> list[Finding]:
    report = health.check(ctx, "wraparound,unfrozen_tables,xmin_horizon", remember=False)
    return [finding for finding in report.results if finding.grade in (Grade.WARN, Grade.FAIL)]


@pytest.mark.parametrize("version", [18, 15])
def test_ids_that_run_out_are_found_with_who_holds_them_and_won_back(version: int) -> None:
    if version == 15 and not (OLD / "initdb").exists():
        missing("PostgreSQL 15 (apt-get install postgresql-15)")
    with served(version) as ctx:
        bad = found(ctx)
        assert {finding.grade for finding in bad} == {Grade.FAIL}
        databases = {one.object for one in bad if one.check == "wraparound"}
        assert databases == {"chanuka", "postgres", "template0", "template1"}
        assert all("slot left holds back" in one.text for one in bad if one.check == "wraparound")
        assert [one for one in bad if one.check == "unfrozen_tables" and one.database == "chanuka"]
        (holder,) = [one for one in bad if one.check == "xmin_horizon"]
        assert holder.object == "left"
        with psycopg.connect(**ctx.server.parameters(), dbname="chanuka", autocommit=True) as session:  # type: ignore[arg-type]
            session.execute(holder.fix.encode())
        for finding in bad:
            if finding.check == "wraparound":
                paste(ctx, finding.fix)
        wait_for(lambda: not found(ctx))
        ((closed,),) = ctx.db.execute("SELECT NOT datallowconn FROM pg_database WHERE datname = 'template0'")
        assert closed
