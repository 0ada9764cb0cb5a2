"""Servers that hang, are half dead or only half there: an answer within the deadline, of the right class."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from pgcohesion import health
from pgcohesion.conninfo import export
from pgcohesion.context import Context, Options
from pgcohesion.errors import Unreachable
from pgcohesion.health.registry import Finding
from pgcohesion.health.report import Report
from pgcohesion.health.sources import pools
from pgcohesion.opening import open_context
from pgcohesion.redact import Secret
from pgcohesion.view import Grade
from tests.support import Project

pytestmark = pytest.mark.pg
DEADLINE = 2.0
LATE = DEADLINE + 1


class Proxy:
    """A way to a server that can be closed to what comes back: a black hole, before the login or after it."""

    def __init__(self, path: str) -> None:
        self.path, self.open = path, True
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._sockets: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self.path)
                self._sockets += [client, server]
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if self.open:
                    target.sendall(data)

    def close(self) -> None:
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)  # what a thread waits for is not closed by close() alone
            one.close()


@pytest.fixture
def proxy(ctx: Context) -> Iterator[Proxy]:
    parameters = ctx.server.parameters()
    made = Proxy(f"{parameters['host']}/.s.PGSQL.{parameters['port']}")
    yield made
    made.close()


@contextmanager
def through(project: Project, ctx: Context, port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Context]:
    """Open a context that looks at the server through a port of the loopback."""
    given = ctx.server.parameters()
    where = {"host": "127.0.0.1", "port": str(port), "user": given["user"], "dbname": "chanuka", "sslmode": "disable"}
    url = export(where, Secret(given["password"]), "url")["DATABASE_URL"]
    monkeypatch.setenv("WATCHED_URL", url)
    sets = ("health.url.env=WATCHED_URL", f"health.timeout={DEADLINE}", "health.databases=chanuka")
    with closing(open_context("test", root=project.root, options=Options(env="test", set=sets))) as context:
        yield context


def in_time(context: Context, only: str = "") -> Report:
    started = time.monotonic()
    report = health.check(context, only)
    assert time.monotonic() - started < LATE
    return report


def trouble(report: Report) -> Finding:
    assert report.trouble, report.verdict
    assert report.code == 3
    assert report.trouble.fix
    return report.trouble


def test_a_black_hole_before_the_login(
    shared: Project, ctx: Context, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.open = False
    with through(shared, ctx, proxy.port, monkeypatch) as context:
        assert trouble(in_time(context)).kind == "connect_timeout"


def test_a_black_hole_after_the_login(
    shared: Project, ctx: Context, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with through(shared, ctx, proxy.port, monkeypatch) as context:
        assert not in_time(context, "availability,connections").trouble
        proxy.open = False
        assert trouble(in_time(context)).kind == "query_timeout"


def test_a_port_that_refuses(shared: Project, ctx: Context, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy.close()
    with through(shared, ctx, proxy.port, monkeypatch) as context:
        assert trouble(in_time(context)).kind == "refused"
        for task in (health.rebase, health.mend):
            with pytest.raises(Unreachable):
                task(context)


def test_a_server_that_recovers_and_lets_nobody_in(fresh: Project) -> None:
    assert fresh.inv("db.setup", "--env=test").returncode == 0
    with closing(open_context("test", root=fresh.root)) as ctx:
        ctx.server.stop()
        data = fresh.root / ".pgcohesion/test/data"
        (data / "standby.signal").touch()
        shutil.chown(data / "standby.signal", data.owner())
        with (data / "postgresql.auto.conf").open("a") as file:
            file.write("hot_standby = off\nrestore_command = 'false'\n")
        with suppress(Exception):  # it waits until the server lets somebody in, and gives up
            threading.Thread(target=lambda: suppress_all(ctx), daemon=True).start()
        sets = (f"health.timeout={DEADLINE}",)
        with closing(open_context("test", root=fresh.root, options=Options(env="test", set=sets))) as looking:
            deadline = time.monotonic() + 20
            while (found := in_time(looking).trouble) is None or found.kind != "not_accepting":
                assert time.monotonic() < deadline, found
                time.sleep(0.1)
    master = (data / "postmaster.pid").read_text().splitlines()[0]
    subprocess.run(["kill", "-QUIT", master], check=True)
    gone(int(master))


def suppress_all(ctx: Context) -> None:
    with suppress(Exception):
        ctx.server.start()


def gone(pid: int) -> None:
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists():
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)  # it is a child of this process, which started it
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_nothing_waits_where_a_hot_table_and_its_index_are_locked(shared: Project, ctx: Context) -> None:
    sets = (f"health.timeout={DEADLINE}", "health.databases=chanuka")
    with (
        psycopg.connect(**ctx.server.parameters(), dbname="chanuka") as holder,  # type: ignore[arg-type]
        closing(open_context("test", root=shared.root, options=Options(env="test", set=sets))) as context,
    ):
        every = (
            "SELECT format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', oid::regclass) FROM pg_class WHERE relkind = 'r'"
        )
        for (statement,) in holder.execute(f"{every} AND relnamespace = 'chanuka'::regnamespace").fetchall():
            holder.execute(statement.encode())
        report = in_time(context)
        assert not report.trouble
        waited = [one for one in report.results if "lock timeout" in one.text or "canceling" in one.text]
        assert waited == []


def test_a_host_that_lets_in_and_says_nothing(shared: Project) -> None:
    """Its sshd is frozen, say. Nothing that was begun there holds up the end of the process."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        host = f'[hosts.db1]\nssh = "nobody@127.0.0.1:{mute.getsockname()[1]}"'
        shared.write("environments/mute.toml", f'[postgresql]\nsource = "packages"\nversion = 15\n{host}\n')
        started = time.monotonic()
        done = shared.inv("health.check", "--env=mute", f"--set=health.timeout={DEADLINE}")
    assert time.monotonic() - started < LATE + 1  # a process begins and ends, too
    assert done.returncode == 3
    assert "availability: unreachable: " in done.stdout
    assert done.stderr.splitlines() == [f"connecting to db1 ({host.partition(' = ')[2][1:-1]})"]


def test_one_database_that_cannot_be_asked_holds_up_none_of_the_others(shared: Project, ctx: Context) -> None:
    name = "closed one"
    ctx.db.execute(SQL("CREATE DATABASE {} ALLOW_CONNECTIONS true").format(Identifier(name)), database="postgres")
    try:
        ctx.db.execute(SQL("ALTER DATABASE {} CONNECTION LIMIT 0").format(Identifier(name)), database="postgres")
        ctx.db.execute("CREATE ROLE looker LOGIN PASSWORD 'looker' IN ROLE pg_monitor", database="postgres")
        ctx.db.execute("GRANT CONNECT ON DATABASE chanuka TO looker", database="postgres")
        given = ctx.server.parameters()
        sets = (f"health.timeout={DEADLINE}", f"health.databases=chanuka,{name}")
        with closing(open_context("test", root=shared.root, options=Options(env="test", set=sets))) as context:
            context.server.parameters = lambda: {**given, "user": "looker", "password": "looker"}  # type: ignore[method-assign]
            report = in_time(context)
        (finding,) = (one for one in report.results if one.check == "databases" and one.grade is not Grade.OK)
        assert (finding.object, finding.grade) == (name, Grade.WARN)
        assert "too many connections" in finding.text
        assert any(one.database == "chanuka" and one.check == "no_primary_key" for one in report.results)
    finally:
        ctx.db.execute(SQL("DROP DATABASE {}").format(Identifier(name)), database="postgres")
        ctx.db.execute("REVOKE CONNECT ON DATABASE chanuka FROM looker", database="postgres")
        ctx.db.execute("DROP ROLE IF EXISTS looker", database="postgres")


def test_a_dead_replica_holds_up_nothing_and_is_named(
    shared: Project, ctx: Context, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """db2 is a host where nobody listens: its finding comes with the others' and is not the whole's exit code."""
    replica = """
[postgresql]
version = 15
source = "packages"
[hosts.db1]
[hosts.db2]
role = "replica"
ssh = "nobody@127.0.0.1:9"
[ssh]
connect_timeout = 1
"""
    file = shared.root / "environments/pair.toml"
    file.write_text('extends = "test"\n' + replica)
    given = ctx.server.parameters()
    where = {"host": "127.0.0.1", "port": str(proxy.port), "user": given["user"], "dbname": "chanuka"}
    monkeypatch.setenv("WATCHED_URL", export(where, Secret(given["password"]), "url")["DATABASE_URL"])
    sets = ("health.url.env=WATCHED_URL", f"health.timeout={DEADLINE}", "health.databases=chanuka")
    with closing(open_context("pair", root=shared.root, options=Options(env="pair", set=sets))) as context:
        report = in_time(context)
    file.unlink()
    (dead,) = (one for one in report.results if one.check == "availability" and one.host == "db2")
    assert (dead.grade, dead.object) == (Grade.FAIL, "db2")
    assert report.trouble is None
    assert report.code is None
    assert any(one.check == "connections" and not one.host for one in report.results)


def test_a_frozen_backend_loses_one_database_not_the_run(shared: Project, ctx: Context) -> None:
    """One session of ours is stopped in its tracks: its database is unknown, the others are judged.

    It is stopped in a sleep: anywhere else it may hold what every session needs, and the whole server hangs with it.
    """
    name = "frozen"
    sleep = f"SELECT count(*) AS value FROM pg_sleep(CASE current_database() WHEN '{name}' THEN 30 ELSE 0 END)"
    check = {"title": "One that sleeps", "why": "it is stopped", "sql": sleep, "warn": "9", "scope": "database"}
    ctx.db.execute(SQL("CREATE DATABASE {} TEMPLATE template0").format(Identifier(name)), database="postgres")
    sets = (
        f"health.timeout={DEADLINE}",
        f"health.databases=chanuka,{name}",
        *(f"health.checks.sleeping.{key}={value}" for key, value in check.items()),
    )
    stopped: list[int] = []

    def freeze() -> None:
        find = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND wait_event = 'PgSleep'"
        with psycopg.connect(**ctx.server.parameters(), dbname="postgres", autocommit=True) as looker:  # type: ignore[arg-type]
            deadline = time.monotonic() + 10
            while not (rows := looker.execute(find, [name]).fetchall()):
                if time.monotonic() > deadline:
                    return
            os.kill(rows[0][0], 19)
            stopped.append(rows[0][0])

    try:
        with closing(open_context("test", root=shared.root, options=Options(env="test", set=sets))) as context:
            for _ in range(20):
                thread = threading.Thread(target=freeze)
                thread.start()
                report = in_time(context)
                if stopped:
                    thread.join()
                    break
        assert stopped
        assert not report.trouble
        (finding,) = (one for one in report.results if one.check == "databases" and one.grade is not Grade.OK)
        assert finding.grade in (Grade.WARN, Grade.UNKNOWN)
        assert (finding.object, finding.database) == (name, name)
        assert any(one.database == "chanuka" and one.check == "no_primary_key" for one in report.results)
    finally:
        for pid in stopped:
            os.kill(pid, 18)
        ctx.db.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)), database="postgres")


class Sleeper(Proxy):
    """Falls asleep when it is asked about replay: the login has gone well."""

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if b"pg_last_xact_replay_timestamp" in data:
                    self.open = False
                if self.open:
                    target.sendall(data)


def test_a_replica_that_falls_asleep_after_the_login_is_given_up(ctx: Context) -> None:
    """Else its thread stayed for ever, and so did the process: it waits for it at its end."""
    given = ctx.server.parameters()
    proxy = Sleeper(f"{given['host']}/.s.PGSQL.{given['port']}")
    parameters = {"user": given["user"], "password": given["password"], "connect_timeout": 2}
    asked: list[Any] = []
    thread = threading.Thread(
        target=lambda: asked.append(pools._host(f"127.0.0.1:{proxy.port}", parameters, "chanuka", None)), daemon=True
    )
    thread.start()
    thread.join(2 + pools.STATEMENT / 1000 + 3)
    proxy.close()
    thread.join(5)
    assert [(one.problem != "", one.kind) for one in asked] == [(True, "query_timeout")]
