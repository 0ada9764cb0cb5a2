"""bench for real: pgbench and our own latencies, scratch databases that go, runs that are compared."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from pgcohesion.context import Context, Options
from pgcohesion.errors import CommandFailed, Locked, UsageError
from pgcohesion.health import bench
from pgcohesion.health.bench import Measured
from pgcohesion.health.bench.measuring import PREFIX, environment, scratch
from pgcohesion.opening import open_context
from pgcohesion.plan import Planned
from tests.pg.seeded.stage import wait_for
from tests.support import Project

pytestmark = pytest.mark.pg


@pytest.fixture
def ctx(shared: Project) -> Iterator[Context]:
    file = shared.root / ".pgcohesion/test/health.sqlite"
    with closing(open_context("test", root=shared.root)) as context:
        yield context
    file.unlink(missing_ok=True)


def left(ctx: Context) -> list[str]:
    rows = ctx.db.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", [f"{PREFIX}%"], database="postgres")
    return [row.datname for row in rows]


def measured(ctx: Context, workload: str = "select") -> Measured:
    found = bench.measure(ctx, seconds=4, rounds=4, scale=1, clients=2, workload=workload)
    assert isinstance(found, Measured)
    return found


def system(ctx: Context, *statements: str) -> None:
    """Change settings of the whole server, and wait until new sessions have them."""
    for statement in statements:
        ctx.db.execute(statement, database="postgres")
    loaded = "SELECT pg_conf_load_time() AS at"
    (before,) = ctx.db.execute(loaded, database="postgres")
    ctx.db.execute("SELECT pg_reload_conf()", database="postgres")

    def taken_up() -> bool:
        with closing(ctx.db.another()) as fresh:
            return bool(fresh.execute(loaded, database="postgres")[0].at > before.at)

    wait_for(taken_up)


def test_a_real_regression_is_shown_and_what_was_changed(ctx: Context, shared: Project) -> None:
    first = measured(ctx).run
    assert len(first.tps) == 4
    assert min(first.tps) > 10
    assert set(first.rounds) == {"tps", "control", "select 1", "lookup", "commit"}
    for values in first.latencies.values():
        assert 0 < values["p50"] <= values["p95"] <= values["p99"] <= values["max"]
    assert left(ctx) == []
    system(ctx, "ALTER SYSTEM SET enable_indexscan = off", "ALTER SYSTEM SET enable_bitmapscan = off")
    try:
        second = measured(ctx)
    finally:
        system(ctx, "ALTER SYSTEM RESET enable_indexscan", "ALTER SYSTEM RESET enable_bitmapscan")
    found = bench.compared(ctx, "previous,last", slower_by=10)
    assert found.main
    assert found.main.name == "tps"
    assert found.main.result.ratio < 0.5
    assert found.main.result.differs
    assert found.failed
    assert set(found.differs) == {"settings.enable_indexscan", "settings.enable_bitmapscan"}
    assert not found.elsewhere
    slower = {one.name for one in found.measures if one.result.differs and one.result.ratio < 1}
    assert {"tps", "lookup"} <= slower
    assert [number for number, _ in bench.runs(ctx).runs] == list(found.numbers)
    done = shared.inv("health.bench", "--env=test", f"--compare={second.number},previous", "--fail-on-regression=10")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "slower" in done.stdout.splitlines()[-1]
    assert shared.inv("health.bench", "--env=test", "--fail-on-regression=99.9").returncode in (0, 1)
    document = shared.json("health.bench", "--env=test", "--compare=last,previous")["result"]
    assert document["measures"]["tps"]["result"]["p"] < 0.05
    listed = shared.json("health.bench", "--env=test", "--list")["result"]["runs"]
    assert [one["id"] for one in listed] == list(found.numbers)


def test_two_runs_of_the_same_server_and_others(ctx: Context, tmp_path: Path) -> None:
    measured(ctx)
    script = tmp_path / "own.sql"
    script.write_text("\\set n random(1, 100)\nSELECT abalance FROM pgbench_accounts WHERE aid = :n;\n")
    own = measured(ctx, str(script)).run  # whoever runs pgbench could not read it: it gets the text
    assert own.workload == "own.sql"
    assert min(own.tps) > 10
    measured(ctx)
    found = bench.compared(ctx, "previous last")
    assert found.differs == {}
    first, second, third = (number for number, _ in bench.runs(ctx).runs)
    assert found.numbers == (first, third)
    with pytest.raises(UsageError, match="same work"):
        bench.compared(ctx, f"{first}..{second}")
    with pytest.raises(UsageError, match="with itself"):
        bench.compared(ctx, f"{first},{first}")
    with pytest.raises(UsageError, match="no run"):
        bench.compared(ctx, f"{first},99999")
    with pytest.raises(UsageError, match="two runs"):
        bench.compared(ctx, "last")


def test_where_it_was(ctx: Context) -> None:
    found = environment(ctx)
    assert found["settings.shared_buffers"] == "32MB"
    assert found["settings.fsync"] == "off"
    assert found["version"].split(".")[0].isdigit()
    assert {"machine.cpus", "machine.memory", "machine.kernel", "machine.disk", "machine.name"} <= set(found)
    assert int(found["machine.free"]) > 0
    assert float(found["machine.load"]) >= 0
    assert found["asked from"] == "this machine"
    system(ctx, "ALTER SYSTEM SET primary_conninfo = 'host=h password=hunter2'")
    try:
        assert "hunter2" not in json.dumps(environment(ctx))
    finally:
        system(ctx, "ALTER SYSTEM RESET primary_conninfo")


def test_a_dry_run_changes_nothing_and_a_protected_environment_asks(ctx: Context, shared: Project) -> None:
    with closing(open_context("test", root=shared.root, options=Options(env="test", dry_run=True))) as dry:
        assert isinstance(bench.measure(dry), Planned)
    assert left(ctx) == []
    short = ("health.bench", "--env=test", "--set=protected=true", "--seconds=4", "--rounds=4", "--scale=1")
    done = shared.inv(*short)
    assert done.returncode == 5
    assert "--yes test" in done.stderr
    assert shared.inv(*short, "--yes=test", "--workload=select").returncode == 0
    assert left(ctx) == []
    assert shared.inv("health.bench", "--env=test", "--set=protected=true", "--list").returncode == 0


def test_what_goes_wrong_leaves_nothing(ctx: Context, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="scale 900000 needs"):
        bench.measure(ctx, scale=900_000)
    script = tmp_path / "bad.sql"
    script.write_text("SELECT no_such_column;\n")
    with pytest.raises(CommandFailed, match="pgbench failed") as failed:
        measured(ctx, str(script))
    assert "no_such_column" in failed.value.why
    assert left(ctx) == []
    assert bench.runs(ctx).runs == ()


def test_without_pgbench_there_are_latencies(shared: Project, ctx: Context, tmp_path: Path) -> None:
    (tmp_path / "postgres").symlink_to(ctx.server.tool("postgres"))
    options = Options(env="test", set=(f"postgresql.bin={tmp_path}",))
    with closing(open_context("test", root=shared.root, options=options)) as bare:
        for _ in range(2):
            found = measured(bare)
            assert found.run.tps == []
            assert "no pgbench" in found.view().verdict
        compared = bench.compared(bare, "previous,last")
    assert compared.main
    assert compared.main.name == "commit"


def test_without_a_history_it_still_measures(shared: Project, ctx: Context, tmp_path: Path) -> None:
    file = ctx.state / "health.sqlite"
    file.unlink(missing_ok=True)
    file.mkdir()
    try:
        assert measured(ctx).number is None
        assert bench.runs(ctx).runs == ()
    finally:
        file.rmdir()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_ended_in_the_middle_nothing_stays_for_long(ctx: Context, shared: Project, how: signal.Signals) -> None:
    command = shared.command("health.bench", "--env=test", "--seconds=200", "--rounds=4", "--clients=1", "--scale=1")
    there = "SELECT pid FROM pg_stat_activity WHERE application_name = 'pgbench'"
    busy = f"{there} AND query LIKE '%abalance%'"
    with subprocess.Popen(
        command, cwd=shared.root, env=shared.environment(), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    ) as process:
        wait_for(lambda: ctx.db.execute(busy, database="postgres"))  # in the middle of a round
        process.send_signal(how)
        process.wait(20)
    if how is signal.SIGTERM:
        assert process.returncode == 130
    else:
        assert left(ctx)
        assert ctx.db.execute(there, database="postgres")  # pgbench itself was not killed
        measured(ctx)
    assert left(ctx) == []
    assert not ctx.db.execute(there, database="postgres")


def test_nobody_drops_what_another_run_still_needs(ctx: Context) -> None:
    theirs, ours = f"{PREFIX}1", f"{PREFIX}{os.getpid()}"
    with scratch(ctx, theirs):
        with scratch(ctx, ours):
            assert sorted(left(ctx)) == sorted([theirs, ours])
        assert left(ctx) == [theirs]
        with pytest.raises(Locked), scratch(ctx, theirs):
            pass
        assert left(ctx) == [theirs]
    assert left(ctx) == []


def test_a_database_of_somebody_else_with_such_a_name_stays(ctx: Context) -> None:
    with closing(psycopg.connect(**ctx.server.parameters(), dbname="postgres", autocommit=True)) as owner:  # type: ignore[arg-type]
        owner.execute(f"CREATE DATABASE {PREFIX}of_mine")
        try:
            with scratch(ctx, f"{PREFIX}{os.getpid()}"):
                pass
            assert left(ctx) == [f"{PREFIX}of_mine"]
        finally:
            owner.execute(f"DROP DATABASE {PREFIX}of_mine")
