"""bench for real: pgbench and our own latencies, scratch databases that go, runs that are compared."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from pgcohesion.context import Context, Options
from pgcohesion.errors import UsageError
from pgcohesion.health import bench
from pgcohesion.health.bench import PREFIX, Measured
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


def test_two_runs_and_what_they_show(ctx: Context) -> None:
    for _ in range(2):
        measured = bench.measure(ctx, seconds=3, rounds=3, clients=2, workload="select")
        assert isinstance(measured, Measured)
        run = measured.run
        assert len(run.tps) == 3
        assert min(run.tps) > 10
        assert set(run.latencies) == {"select 1", "lookup", "commit"}
        assert run.latencies["commit"]["p50"] <= run.latencies["commit"]["max"]
        assert run.environment["settings.shared_buffers"] == "32MB"
        assert "machine.cpus" in run.environment
    assert left(ctx) == []
    found = bench.compared(ctx, "previous last")
    assert found.numbers == (1, 2)
    assert found.result
    assert found.differs == {}
    assert "rounds" in found.view().verdict or "%" in found.view().verdict
    assert len(bench.runs(ctx).runs) == 2
    with pytest.raises(UsageError, match="no run"):
        bench.compared(ctx, "1 9")


def test_a_dry_run_and_bad_words(ctx: Context, shared: Project) -> None:
    with closing(open_context("test", root=shared.root, options=Options(env="test", dry_run=True))) as dry:
        assert isinstance(bench.measure(dry), Planned)
    assert left(ctx) == []
    with pytest.raises(UsageError, match="three rounds"):
        bench.measure(ctx, seconds=1)
    with pytest.raises(UsageError, match="no workload"):
        bench.measure(ctx, workload="nonsense")


def test_a_script_of_ones_own(ctx: Context, tmp_path_factory: pytest.TempPathFactory) -> None:
    script = tmp_path_factory.getbasetemp() / "own.sql"
    script.write_text("\\set n random(1, 100)\nSELECT abalance FROM pgbench_accounts WHERE aid = :n;\n")
    for folder in (script, *list(script.parents)[:3]):
        with suppress(PermissionError):
            folder.chmod(0o755)  # the server's user reads it
    measured = bench.measure(ctx, seconds=3, rounds=3, clients=1, workload=str(script))
    assert isinstance(measured, Measured)
    assert len(measured.run.tps) == 3


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_ended_in_the_middle_nothing_stays_for_long(ctx: Context, shared: Project, how: signal.Signals) -> None:
    command = shared.command("health.bench", "--env=test", "--seconds=60", "--rounds=3", "--clients=1")
    with subprocess.Popen(
        command, cwd=shared.root, env=shared.environment(), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    ) as process:
        wait_for(lambda: left(ctx))
        time.sleep(0.5)  # somewhere in the middle, wherever that is
        process.send_signal(how)
        process.wait(20)
    if how is signal.SIGTERM:
        assert process.returncode == 130
        wait_for(lambda: not left(ctx))
    else:
        busy = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE %s"
        ctx.db.execute(busy, [f"{PREFIX}%"], database="postgres")  # pgbench itself was not killed
        active = "SELECT FROM pg_stat_activity WHERE datname LIKE %s"
        wait_for(lambda: not ctx.db.execute(active, [f"{PREFIX}%"], database="postgres"))
        with bench.scratch(ctx, f"{PREFIX}{os.getpid()}"):
            assert left(ctx) == [f"{PREFIX}{os.getpid()}"]
        assert left(ctx) == []
