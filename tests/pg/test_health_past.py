"""A history that cannot be used fails no run."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from pgcohesion import health
from pgcohesion.application import DatabaseConfig
from pgcohesion.config import load
from pgcohesion.context import Context
from pgcohesion.health.history import of as history_of
from pgcohesion.opening import open_context
from pgcohesion.orchestrator import Orchestrator
from tests.pg.seeded.stage import wait_for
from tests.support import Project

pytestmark = pytest.mark.pg


@pytest.fixture
def ctx(shared: Project) -> Iterator[Context]:
    with closing(open_context("test", root=shared.root)) as context:
        yield context
        for path in context.state.glob("health.sqlite*"):
            path.unlink()


def test_a_file_that_is_no_database(ctx: Context) -> None:
    (ctx.state / "health.sqlite").write_bytes(b"nonsense" * 1000)
    report = health.check(ctx, "connections")
    assert report.changes is None
    assert len(report.by_check) == 4  # of the area


def test_a_file_of_another_schema(ctx: Context) -> None:
    with closing(sqlite3.connect(ctx.state / "health.sqlite", isolation_level=None)) as file:
        file.execute("CREATE TABLE runs (something)")
        file.execute("CREATE TABLE findings (something)")
        file.execute("CREATE TABLE samples (something)")
    assert len(health.check(ctx, "connections").by_check) == 4


def test_a_file_that_somebody_holds(ctx: Context) -> None:
    history_of(ctx).close()
    with closing(sqlite3.connect(ctx.state / "health.sqlite", isolation_level=None)) as file:
        file.execute("BEGIN EXCLUSIVE")
        assert len(health.check(ctx, "connections").by_check) == 4


def test_what_is_new_gone_and_worse(ctx: Context) -> None:
    name = "public.told"
    health.check(ctx, "no_primary_key,connections")
    ctx.db.execute(f"CREATE TABLE {name} AS SELECT 1 AS a")
    try:
        ctx.db.execute(f"ANALYZE {name}")
        report = health.check(ctx, "no_primary_key")
        assert report.changes
        (finding,) = (one for one in report.results if one.object == name)
        assert report.changes.new == (finding.fingerprint,)
        assert health.check(ctx, "no_primary_key").changes.new == ()  # type: ignore[union-attr]
    finally:
        ctx.db.execute(f"DROP TABLE {name}")
    gone = health.check(ctx, "no_primary_key").changes
    assert gone
    assert [one.object for one in gone.gone] == [name]


def test_the_baseline_makes_what_is_known_info(ctx: Context, shared: Project) -> None:
    name = "public.known"
    ctx.db.execute(f"CREATE TABLE {name} AS SELECT 1 AS a")
    ctx.db.execute(f"ANALYZE {name}")
    try:
        assert shared.inv("health.baseline", "--env=test").returncode == 0
        again = shared.inv("health.baseline", "--env=test")
        assert "no changes" in again.stdout
        found = [one for one in health.check(ctx, "no_primary_key").results if one.object == name]
        assert [(str(one.grade), "in the baseline" in one.text) for one in found] == [("info", True)]
    finally:
        ctx.db.execute(f"DROP TABLE {name}")
        (shared.root / "environments/test.baseline.json").unlink(missing_ok=True)


def test_an_application_runs_the_checks_in_the_background(ctx: Context, shared: Project) -> None:
    loaded = load(shared.root, "test", sets=("monitoring.checks=0.2", "health.databases=chanuka"))
    with Orchestrator(DatabaseConfig(loaded)) as db:
        prober = db.get_health_checks()
        wait_for(lambda: prober.state.report and prober.state.runs)
        report = prober.state.report
        assert report
        assert report.trouble is None
        assert "connections" in report.by_check
    wait_for(lambda: not prober.alive)
