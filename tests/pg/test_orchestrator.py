"""What an application holds: it opens late, watches, tells, drains and closes."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from pgcohesion.application import DatabaseConfig, get_database_config
from pgcohesion.config import load
from pgcohesion.context import Context
from pgcohesion.errors import ConfigError, PoolClosed, Unreachable, UsageError
from pgcohesion.opening import open_context
from pgcohesion.orchestrator import Orchestrator, get_database_orchestrator
from tests.support import REPO, Project

pytestmark = pytest.mark.pg


def wait_for(true: Any) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def ours() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("pgcohesion")]


@contextmanager
def orchestrated(project: Project, *sets: str) -> Iterator[Orchestrator]:
    made = Orchestrator(DatabaseConfig(load(project.root, "test", environ={}, sets=sets)))
    try:
        yield made
    finally:
        made.close(1)
    assert ours() == []


def test_nothing_opens_before_its_first_use(shared: Project) -> None:
    with orchestrated(shared) as db:
        assert db.health().state == "starting"
        assert ours() == []
        manager = db.get_connection_manager()
        assert manager.execute("SELECT current_user AS role")[0].role == "chanuka_app"
        assert manager is db.get_connection_manager()
        monitor = db.get_health_monitor()
        assert monitor.looked.wait(10)
        assert db.health().state == "ready"
        assert db.ready()


def test_everything_is_in_one_value(shared: Project) -> None:
    with orchestrated(shared, "features.read_replicas=true") as db:
        db.get_connection_manager().execute("SELECT 1")
        assert db.get_health_monitor().looked.wait(10)
        status = json.loads(json.dumps(db.status().as_dict()))
        assert (status["env"], status["source"], status["watched"]) == ("test", "environments/test.toml", True)
        assert status["features"]["read_replicas"]
        assert status["health"]["state"] == "ready"
        assert next(iter(status["statistics"]["pools"].values()))["opened"] == 1
    assert db.status().watched is False


def test_a_feature_that_is_off_does_not_run(shared: Project) -> None:
    off = ("features.health_monitor=false", "features.query_statistics=false")
    with orchestrated(shared, *off) as db:
        db.get_connection_manager().execute("SELECT 1")
        assert ours() == []
        assert db.statistics().queries == ()
        with pytest.raises(ConfigError, match="switched off"):
            db.get_health_monitor()


def test_without_retry_and_breaker_each_failure_is_told(shared: Project) -> None:
    off = ("features.retry=false", "features.circuit_breaker=false", "features.health_monitor=false")
    with orchestrated(shared, *off, "application.host=127.0.0.1", "application.port=1") as db:
        manager = db.get_connection_manager()
        db.fleet.hosts[0].ever_up = True
        for _ in range(20):
            started = time.monotonic()
            with pytest.raises(Unreachable):
                manager.execute("SELECT 1", timeout=5)
            assert time.monotonic() - started < 1
        assert db.fleet.hosts[0].breaker.closed


def test_start_says_what_is_wrong(shared: Project) -> None:
    with orchestrated(shared, "application.host=127.0.0.1", "application.port=1") as db:
        with pytest.raises(Unreachable, match=r"cannot connect to database `chanuka` at 127\.0\.0\.1:1") as caught:
            db.start()
        assert "Connection refused" in caught.value.why
        assert caught.value.fix == "look at environments/test.toml"
        assert not db.ready()


def test_numbers_and_hooks(shared: Project) -> None:
    # the slow query itself must not be a leak when the monitor looks at its very end
    with orchestrated(
        shared, "monitoring.slow_query=0.05", "connections.leak_after=0.6", "monitoring.interval=0.05"
    ) as db:
        told: list[tuple[str, Any]] = []

        def fail(event: str, subject: Any) -> None:
            raise ZeroDivisionError

        for event in ("slow_query", "leak"):
            db.on(event, lambda event, subject: told.append((event, subject)))
        db.on("leak", fail)  # a hook that fails harms nobody
        with pytest.raises(UsageError, match="no event `leaks`"):
            db.on("leaks", print)
        manager = db.get_connection_manager()
        manager.execute("SELECT pg_sleep(0.1)")
        assert told[0][0] == "slow_query"
        assert told[0][1][0] == "SELECT pg_sleep(?)"
        with manager.connection():
            wait_for(lambda: len(told) == 2)
            assert "test_numbers_and_hooks" in str(told[1][1])
            assert db.health().state == "degraded"
            assert db.health().leaks[0]["stack"]
        wait_for(lambda: db.health().state == "ready")
        time.sleep(0.2)  # some rounds of the monitor
        assert len(told) == 2  # a leak is told once
        assert re.search(r"^pgcohesion_leaks_total 1$", db.metrics(), re.MULTILINE)


def test_a_role_that_only_reads_is_no_read_only_server(shared: Project, ctx: Context) -> None:
    with orchestrated(shared, "application.role=chanuka_readonly") as db:
        db.start()
        assert db.get_health_monitor().looked.wait(10)
        assert not db.fleet.hosts[0].seen.read_only
        assert db.health().state == "ready"
    ctx.db.execute("ALTER DATABASE chanuka SET default_transaction_read_only = on", database="postgres")
    try:
        with orchestrated(shared) as db:
            db.start()
            assert db.get_health_monitor().looked.wait(10)
            assert db.fleet.hosts[0].seen.read_only
            assert db.health().state == "degraded"
    finally:
        ctx.db.execute("ALTER DATABASE chanuka RESET default_transaction_read_only", database="postgres")


def test_migrations_are_known(shared: Project) -> None:
    with orchestrated(shared) as db:
        assert [row.state for row in db.migrations.migrations] == ["applied"] * 8


def test_it_is_the_same_one_until_it_is_closed(shared: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGCOHESION_ROOT", str(shared.root))
    first = get_database_orchestrator("test")
    assert get_database_orchestrator("test") is first
    with first as db:
        db.get_connection_manager().execute("SELECT 1")
    with pytest.raises(PoolClosed):
        first.get_connection_manager().execute("SELECT 1")
    again = get_database_orchestrator("test")
    assert again is not first
    again.close()


def test_asyncio(shared: Project) -> None:
    async def main() -> None:
        db = Orchestrator(DatabaseConfig(load(shared.root, "test", environ={})))
        async with db.lifespan():
            manager = db.get_async_connection_manager()
            rows = await asyncio.gather(*(manager.execute("SELECT 1 AS one") for _ in range(20)))
            assert all(row[0].one == 1 for row in rows)
            assert db.health().ok
        assert db.health().state == "closed"
        with pytest.raises(PoolClosed):
            await manager.execute("SELECT 1")

    asyncio.run(main())
    assert ours() == []


def test_at_its_end_the_event_loop_serves_threads_that_need_it(shared: Project) -> None:
    """A thread holds a connection until the loop has done something for it: aclose() must not stand in the way."""

    async def work() -> float:
        db = Orchestrator(DatabaseConfig(load(shared.root, "test", environ={})))
        loop = asyncio.get_running_loop()
        holds = threading.Event()

        def hold() -> None:
            with db.get_connection_manager().connection():
                holds.set()
                asyncio.run_coroutine_threadsafe(asyncio.sleep(0.05), loop).result(20)

        holder = asyncio.ensure_future(asyncio.to_thread(hold))
        await asyncio.to_thread(holds.wait, 20)
        assert await db.aready()
        before = time.monotonic()
        await db.aclose(5)
        await holder
        assert not await db.aready()
        return time.monotonic() - before

    assert asyncio.run(work()) < 4


# --- what an application already has ------------------------------------------------------------------------


def test_variables_win_over_the_file(shared: Project, ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    host, port = ctx.server.address()
    declared = get_database_config("test", root=shared.root).get_connection_config()
    assert (declared.source, declared.targets[0].user) == ("environments/test.toml", "chanuka_app")
    assert (declared.targets[0].host, declared.targets[0].port) == (host, port)
    monkeypatch.setenv("DATABASE_URL", "postgres://me:secret-word@one,two:7000/mine?sslmode=require")
    monkeypatch.setenv("DATABASE_REPLICA_URL", "postgres://me@three/mine")
    found = get_database_config("test", root=shared.root).get_connection_config()
    assert [(target.host, target.port) for target in found.targets] == [("one", 5432), ("two", 7000), ("three", 5432)]
    assert found.source == "DATABASE_URL"
    assert "secret-word" not in repr(found)


def test_what_was_exported_for_another_environment_is_not_taken(
    shared: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCOHESION_ENV", "staging")
    monkeypatch.setenv("DATABASE_URL", "postgres://me@staging.example/mine")
    assert get_database_config("test", root=shared.root).get_connection_config().source == "environments/test.toml"
    monkeypatch.setenv("TEST_DATABASE_URL", "postgres://me@test.example/mine")
    assert get_database_config("test", root=shared.root).get_connection_config().targets[0].host == "test.example"


def test_without_a_repo_variables_are_enough(tmp_path: Path, ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PGCOHESION_ROOT", raising=False)
    monkeypatch.delenv("PGCOHESION_ENV", raising=False)
    for name in ("DATABASE_URL", "PGHOST"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="nothing says where the database is"):
        get_database_config().get_connection_config()
    for name, value in ctx.server.parameters().items():
        monkeypatch.setenv(f"PG{name.upper()}", value)
    monkeypatch.setenv("PGDATABASE", "chanuka")
    monkeypatch.setenv("PGCOHESION__CONNECTIONS__MAX_SIZE", "3")
    config = get_database_config()
    assert config.get_connection_config().settings.max_size == 3
    with closing(Orchestrator(config)) as db:
        assert db.get_connection_manager().execute("SELECT current_database() AS name")[0].name == "chanuka"
    monkeypatch.setenv("PGCOHESION__CONNECTIONS__MAX_SIZE", "many")
    with pytest.raises(ConfigError, match="a problem in environment"):
        get_database_config()


# --- the end of a program -------------------------------------------------------------------------------------

WORKER = """
    import os, signal, threading, time
    import pgcohesion
    done = {n: 0 for n in range(4)}
    def leave(number, frame):
        print(done, flush=True)
        os._exit(3)
    signal.signal(signal.SIGTERM, leave)
    db = pgcohesion.get_database_orchestrator("test")
    db.close_on_signals()
    manager = db.get_connection_manager()
    def work(number):
        while True:
            try:
                manager.execute("INSERT INTO public.done VALUES (%s, %s)", [number, done[number]])
            except pgcohesion.errors.PoolClosed:
                return
            done[number] += 1
    threads = [threading.Thread(target=work, args=[n]) for n in range(4)]
    [t.start() for t in threads]
    print("running", flush=True)
    [t.join() for t in threads]
    time.sleep(60)
"""


def test_sigterm_drains_and_then_ends_the_program(fresh: Project) -> None:
    assert fresh.inv("db.setup", "--env=test").returncode == 0
    with closing(open_context("test", root=fresh.root)) as ctx:
        ctx.db.execute("CREATE TABLE public.done (who int, what int); GRANT ALL ON public.done TO PUBLIC")
        env = fresh.environment(PYTHONPATH=str(REPO), PGCOHESION_ROOT=str(fresh.root))
        program = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WORKER)], env=env, stdout=subprocess.PIPE, text=True, cwd=fresh.root
        )
        assert program.stdout is not None
        assert program.stdout.readline() == "running\n"
        wait_for(lambda: ctx.db.execute("SELECT count(*) AS n FROM public.done")[0].n > 100)
        program.send_signal(signal.SIGTERM)
        out, _ = program.communicate(timeout=15)
        assert program.returncode == 3  # what the program itself does at SIGTERM came after the drain
        said = ast.literal_eval(out)
        rows = ctx.db.execute("SELECT who, count(*) AS n FROM public.done GROUP BY who")
        assert {row.who: row.n for row in rows} == said  # each one that was acknowledged, and none besides
        wait_for(lambda: not ctx.db.execute("SELECT FROM pg_stat_activity WHERE usename = 'chanuka_app'"))


def test_a_program_that_never_closes_ends_all_the_same(shared: Project) -> None:
    program = "import pgcohesion; print(pgcohesion.execute('SELECT 1 AS one', env='test')[0].one)"
    env = shared.environment(PYTHONPATH=str(REPO), PGCOHESION_ROOT=str(shared.root))
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


def test_the_usual_calls(shared: Project) -> None:
    program = """
        import pgcohesion
        with pgcohesion.connect() as connection:
            print(connection.execute("SELECT 1").fetchone())
        with pgcohesion.transaction(readonly=True, timeout=5) as connection:
            print(connection.execute("SHOW transaction_read_only").fetchone())
        print(pgcohesion.check_health().failed)
        pgcohesion.get_database_orchestrator().close()
    """
    env = shared.environment(PYTHONPATH=str(REPO), PGCOHESION_ENV="test")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=shared.root / "environments",
        env=env,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stdout.splitlines() == ["(1,)", "('on',)", "False"], done.stderr


def test_a_restart_underneath_is_not_felt_by_reads(fresh: Project) -> None:
    assert fresh.inv("db.setup", "--env=test").returncode == 0
    with orchestrated(fresh) as db:
        db.start()
        errors: list[BaseException] = []
        stop = threading.Event()

        def read() -> None:
            while not stop.is_set():
                try:
                    db.get_connection_manager().execute("SELECT count(*) FROM chanuka.bills", readonly=True)
                except BaseException as error:  # noqa: BLE001
                    errors.append(error)

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        assert fresh.inv("db.stop", "--env=test").returncode == 0
        wait_for(lambda: db.health().state == "down")
        assert fresh.inv("db.start", "--env=test").returncode == 0
        wait_for(lambda: db.health().state == "ready")
        stop.set()
        for thread in threads:
            thread.join()
        assert errors == []


def test_environment_of_this_process_is_unharmed() -> None:
    assert "PGCOHESION_ROOT" not in os.environ
