"""Checks of a pooler against a real PgBouncer: paused, crowded, cut off, gone."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgcohesion.opening import open_context
from pgcohesion.view import Grade
from tests.pg.looking import found, need
from tests.pg.seeded.stage import wait_for
from tests.support import Project

pytestmark = pytest.mark.pg
APP = "chanuka_app"


class Pooler:
    """A PgBouncer in front of the shared server, with two connections for each pool."""

    def __init__(self, project: Project, folder: Path) -> None:
        ctx = open_context("test", root=project.root)
        host, server = ctx.server.address()
        superuser = ctx.server.parameters()["password"]
        ctx.close()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.project, self.folder = project, folder
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\nchanuka = host={host} port={server} user=postgres password={superuser}\n"
            "dead = host=127.0.0.1 port=1\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\nauth_type = any\n"
            "admin_users = admin\nstats_users = watcher\npool_mode = transaction\ndefault_pool_size = 2\n"
            f"max_client_conn = 20\nserver_login_retry = 1\nlogfile = {folder}/log\n"
        )
        self.sets = [f"health.pooler.{key}={value}" for key, value in
                     (("host", "127.0.0.1"), ("port", self.port), ("user", "watcher"))]  # fmt: skip

    def start(self) -> None:
        user = ["-u", "postgres"] if os.getuid() == 0 else []
        argv = ["pgbouncer", *user, str(self.folder / "pgbouncer.ini")]
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self._answers)

    def _answers(self) -> bool:
        assert self.process.poll() is None
        with suppress(psycopg.OperationalError):
            self.console("SHOW VERSION")
            return True
        return False

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)

    def client(self, database: str = "chanuka", user: str = APP) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host="127.0.0.1", port=self.port, dbname=database, user=user, autocommit=True, prepare_threshold=None,
            cursor_factory=psycopg.ClientCursor,
        )  # fmt: skip

    def console(self, *commands: str) -> None:
        """Give commands to the console, as somebody pastes a fix."""
        with self.client("pgbouncer", "admin") as console:
            for command in commands:
                console.execute(command.encode())

    def found(self, *sets: str) -> list[tuple[str, Grade, str]]:
        return found(self.project, "pooler", *self.sets, *sets)


@pytest.fixture
def pooler(shared: Project) -> Iterator[Pooler]:
    need("pgbouncer")
    folder = Path(tempfile.mkdtemp(prefix="pgcohesion-pooler-"))
    if os.getuid() == 0:
        shutil.chown(folder, "postgres")
    made = Pooler(shared, folder)
    made.start()
    yield made
    made.stop()
    shutil.rmtree(folder)


def test_a_healthy_one_and_one_that_is_gone(pooler: Pooler) -> None:
    assert pooler.found() == []
    pooler.stop()
    troubles = pooler.found()
    assert ("pooler_reachable", Grade.FAIL, f"127.0.0.1:{pooler.port}") in troubles
    assert {grade for check, grade, _ in troubles if check != "pooler_reachable"} == {Grade.UNKNOWN}
    pooler.start()
    assert pooler.found() == []


def test_nothing_is_asked_where_none_is_declared(shared: Project) -> None:
    assert found(shared, "pooler") == []


def test_a_database_that_is_paused_or_disabled(pooler: Pooler) -> None:
    pooler.console("PAUSE chanuka")
    assert pooler.found() == [("pooler_paused", Grade.FAIL, "chanuka")]
    pooler.console('RESUME "chanuka"')  # the fix
    assert pooler.found() == []
    pooler.console("DISABLE dead")
    assert pooler.found() == [("pooler_paused", Grade.FAIL, "dead")]
    pooler.console('ENABLE "dead"')
    assert pooler.found() == []


def test_clients_that_wait_because_transactions_hold_all_connections(pooler: Pooler) -> None:
    holders = [pooler.client() for _ in range(2)]
    for holder in holders:
        holder.execute("BEGIN")
        holder.execute("SELECT 1")
    late = pooler.client()
    waiting = threading.Thread(target=late.execute, args=["SELECT 1"])
    waiting.start()
    assert pooler.found() == []  # a moment is no trouble
    wait_for(lambda: ("pooler_waiting", Grade.WARN, "chanuka/postgres") in pooler.found())
    for holder in holders:
        holder.execute("COMMIT")
    waiting.join(10)
    assert pooler.found() == []
    for client in (*holders, late):
        client.close()


def test_a_server_that_is_not_reached(pooler: Pooler) -> None:
    late = pooler.client()
    late.execute("SELECT 1")
    path = pooler.folder / "pgbouncer.ini"
    text = path.read_text()
    path.write_text(text.replace("\nchanuka = ", "\nchanuka = host=127.0.0.1 port=1\nother = "))
    pooler.console("RELOAD", "RECONNECT chanuka")
    waiting = threading.Thread(target=late.execute, args=["SELECT 1"])
    waiting.start()
    wait_for(lambda: ("pooler_servers", Grade.FAIL, "chanuka/postgres") in pooler.found())
    path.write_text(text)
    pooler.console("RELOAD", "RECONNECT chanuka")
    waiting.join(30)
    assert not waiting.is_alive()
    assert pooler.found() == []
    late.close()


def test_an_application_that_does_not_get_in(pooler: Pooler) -> None:
    pooler.stop()
    path = pooler.folder / "pgbouncer.ini"
    path.write_text(path.read_text().replace("\nchanuka = ", "\nchanuka = host=127.0.0.1 port=1\nother = "))
    pooler.start()
    assert ("pooler_login", Grade.FAIL, "chanuka") in pooler.found()


def test_pools_that_may_open_more_than_the_server_has(pooler: Pooler) -> None:
    path = pooler.folder / "pgbouncer.ini"
    path.write_text(path.read_text().replace("default_pool_size = 2", "default_pool_size = 200"))
    pooler.console("RELOAD")
    assert pooler.found() == [("pooler_slots", Grade.WARN, f"127.0.0.1:{pooler.port}")]
    clients = [pooler.client() for _ in range(17)]
    assert ("pooler_clients", Grade.WARN, f"127.0.0.1:{pooler.port}") in pooler.found()
    for client in clients:
        client.close()


LEFT = """SELECT name FROM pg_settings WHERE source = 'session'
   AND name NOT IN ('application_name', 'client_encoding', 'DateStyle', 'TimeZone', 'standard_conforming_strings')
 UNION ALL SELECT name FROM pg_prepared_statements
 UNION ALL SELECT current_user WHERE current_user <> session_user"""


@pytest.mark.parametrize(
    "words",
    [
        ("check", "--fail-on=never"),
        ("check", "--fail-on=never", "--profile=deep"),
        ("watch", "--interval=0.5", "--count=8"),
        ("queries", "--sample=1"),
        ("indexes",),
        ("selftest",),
        ("report",),
        ("heal",),
    ],
    ids=" ".join,
)
def test_who_looks_through_it_leaves_nothing_in_the_sessions_of_others(pooler: Pooler, words: tuple[str, ...]) -> None:
    file = pooler.project.write(
        "environments/pooled.toml", '[health]\nurl = { env = "POOLED" }\ndatabases = ["chanuka"]\n'
    )
    url = f"postgresql://{APP}@127.0.0.1:{pooler.port}/chanuka"
    done = pooler.project.inv(f"health.{words[0]}", "--env=pooled", *words[1:], env={"POOLED": url})
    file.unlink()
    assert done.returncode == 0, done.stderr
    with pooler.client() as first, pooler.client() as second:  # each has one of the two sessions of the server
        first.execute("BEGIN")
        assert first.execute(LEFT).fetchall() == []
        assert second.execute(LEFT).fetchall() == []
