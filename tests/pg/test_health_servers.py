"""Several servers of one environment, judged together: a primary and the standby that follows it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from pgcohesion import health
from pgcohesion.context import Context, Options
from pgcohesion.health.registry import Finding
from pgcohesion.opening import open_context
from pgcohesion.view import Grade
from tests.pg.seeded.stage import wait_for
from tests.pg.standby import Standby, following

pytestmark = pytest.mark.pg
PAIR = """extends = "test"
[postgresql]
version = 18
source = "packages"
[hosts.db1]
[hosts.db2]
role = "replica"
[health]
url = { env = "WATCHED" }
databases = ["chanuka"]
"""


@pytest.fixture(scope="module")
def standby() -> Iterator[Standby]:
    with following() as made:
        yield made


@pytest.fixture
def pair(standby: Standby, monkeypatch: pytest.MonkeyPatch) -> Iterator[Context]:
    """An environment of two hosts; the standby is asked where it is: beside its primary, not over SSH."""
    given = standby.ctx.server.parameters()
    for name, host, port in (
        ("WATCHED", given["host"], given["port"]),
        ("FOLLOWING", standby.home, standby.port),
    ):
        url = f"postgresql://postgres:{given['password']}@/chanuka?host={host}&port={port}"
        monkeypatch.setenv(name, url)
    root = standby.ctx.root
    (root / "environments/pair.toml").write_text(PAIR)
    sets = ("health.url.env=FOLLOWING", "health.databases=chanuka")
    with (
        closing(open_context("pair", root=root, options=Options(env="pair"))) as ctx,
        closing(open_context("test", root=root, options=Options(env="test", set=sets))) as beside,
    ):
        ctx._others["db2"] = beside
        yield ctx
        ctx._others.clear()


def test_a_primary_that_cannot_be_asked_yet_does_not_hide_what_the_standby_says(pair: Context) -> None:
    """It was never set up, or its sudo wants a password that nobody has declared."""
    alone = PAIR.partition("[health]")[0]
    (pair.root / "environments/alone.toml").write_text(alone)
    with closing(open_context("alone", root=pair.root, options=Options(env="alone"))) as ctx:
        ctx._others["db2"] = pair._others["db2"]
        report = health.check(ctx, remember=False)
        ctx._others.clear()
    assert report.trouble
    assert (report.trouble.object, report.trouble.grade) == ("db1", Grade.FAIL)
    assert report.trouble.fix == "inv db.setup --env=alone"
    assert any(one.check == "connections" and one.host == "db2" for one in report.results)


def differing(ctx: Context) -> dict[str, Finding]:
    found = health.check(ctx, only="settings_differ", remember=False).results
    return {one.object: one for one in found if one.object}


def test_a_standby_with_less_room_than_its_primary(standby: Standby, pair: Context) -> None:
    assert differing(pair) == {}
    standby.execute("ALTER SYSTEM SET work_mem = '7MB'")
    standby.execute("SELECT pg_reload_conf()")
    wait_for(lambda: differing(pair))
    (finding,) = differing(pair).values()
    assert (finding.grade, finding.object, finding.host) == (Grade.INFO, "work_mem", "db2")
    for line in finding.fix.splitlines():
        standby.execute(line)
    wait_for(lambda: not differing(pair))
    assert finding.undo == "ALTER SYSTEM SET work_mem = '7168';\nSELECT pg_reload_conf();"

    standby.ctx.db.execute("ALTER SYSTEM SET session_preload_libraries = 'auto_explain', 'pg_trgm'")
    standby.ctx.db.execute("SELECT pg_reload_conf()")
    wait_for(lambda: differing(pair))
    (finding,) = differing(pair).values()
    assert "session_preload_libraries = 'auto_explain', 'pg_trgm';" in finding.fix  # not one library of that name
    standby.ctx.db.execute("ALTER SYSTEM RESET session_preload_libraries")
    standby.ctx.db.execute("SELECT pg_reload_conf()")
    wait_for(lambda: not differing(pair))

    ((most,),) = standby.ctx.db.execute("SHOW max_worker_processes")
    standby.ctx.db.execute(f"ALTER SYSTEM SET max_worker_processes = {int(most) + 1}")
    standby.ctx.db.forget()
    standby.ctx.server.restart()
    wait_for(lambda: standby.execute("SELECT pg_is_wal_replay_paused()") == [(True,)])  # PostgreSQL itself does so
    pair.watched.forget()
    (finding,) = differing(pair).values()
    assert (finding.grade, finding.object, finding.host) == (Grade.WARN, "max_worker_processes", "db2")
    standby.execute(finding.fix.partition(";")[0])
    standby.control("-m", "immediate", "stop")
    standby.start()
    pair.on("db2").watched.forget()
    assert differing(pair) == {}


def test_an_extension_whose_library_is_not_loaded(standby: Standby, pair: Context) -> None:
    standby.ctx.db.execute("CREATE EXTENSION pg_stat_statements")
    try:
        found = health.check(pair, only="statement_statistics", remember=False).results
        assert {(one.grade, one.text) for one in found} == {(Grade.INFO, "pg_stat_statements is not loaded")}
    finally:
        standby.ctx.db.execute("DROP EXTENSION pg_stat_statements")
