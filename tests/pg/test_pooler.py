"""Behind a real PgBouncer in transaction mode: each transaction may be on another server connection."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgcohesion.config.model import Connections, Monitoring
from pgcohesion.connections import ConnectionConfig, ConnectionManager
from pgcohesion.connections.monitor import Monitor
from pgcohesion.conninfo import resolve
from pgcohesion.errors import DeadlineExceeded
from pgcohesion.testing import Databases, Throwaway
from tests.support import CI, Project

pytestmark = pytest.mark.pg


@pytest.fixture(scope="module")
def databases(shared: Project) -> Iterator[Databases]:
    made = Databases("test", shared.root)
    yield made
    made.close()


@pytest.fixture
def database(databases: Databases) -> Iterator[Throwaway]:
    made = databases.get()
    yield made
    databases.give_back(made)


@pytest.fixture
def pooled(database: Throwaway) -> Iterator[dict[str, str]]:
    """Start PgBouncer in front of a database; give libpq's parameters of it."""
    if shutil.which("pgbouncer") is None:
        reason = "there is no pgbouncer: apt-get install pgbouncer"
        pytest.fail(reason) if CI else pytest.skip(reason)
    (target,) = database.config.targets
    assert target.password is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    folder = Path(tempfile.mkdtemp(prefix="pgcohesion-pooler-"))
    folder.chmod(0o755)
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n{database.name} = host={target.host} port={target.port} user={target.user}"
        f" password={target.password.reveal()}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        "pool_mode = transaction\ndefault_pool_size = 3\n"
    )
    program = ["pgbouncer", *(["-u", "postgres"] if os.getuid() == 0 else []), str(folder / "pgbouncer.ini")]
    running = subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    parameters = {"host": "127.0.0.1", "port": port, "dbname": database.name, "user": target.user}
    deadline = time.monotonic() + 10
    while True:
        try:
            psycopg.connect(**parameters).close()  # type: ignore[arg-type]
            break
        except psycopg.OperationalError:
            assert running.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
    yield parameters
    running.terminate()
    running.wait(10)
    shutil.rmtree(folder)


def crowd(parameters: dict[str, str], **settings: Any) -> list[BaseException]:
    """Let 8 threads write and read through one manager; return what went wrong."""
    errors: list[BaseException] = []
    config = ConnectionConfig(tuple(resolve(parameters)), Connections(max_size=8, timeout=20, **settings))
    manager = ConnectionManager(config)
    manager.execute("CREATE TABLE public.counters (key int PRIMARY KEY, n int)")
    manager.execute("INSERT INTO public.counters SELECT k, 0 FROM generate_series(0, 7) k")

    def add(connection: psycopg.Connection[Any], key: int) -> None:
        connection.execute("UPDATE public.counters SET n = n + %s WHERE key = %s", [1, key])

    def work(key: int) -> None:
        try:
            for _ in range(40):
                manager.run(add, key)
                manager.execute("SELECT n FROM public.counters WHERE key = %s", [key], readonly=True)
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=work, args=[key]) for key in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if not errors:
        assert [row.n for row in manager.execute("SELECT n FROM public.counters")] == [40] * 8
    manager.close()
    return errors


def test_nothing_is_kept_in_a_session(pooled: dict[str, str], database: Throwaway) -> None:
    assert crowd(pooled, pooler="transaction") == []
    rows = database.execute("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
    assert len(rows) > 2  # they were on several server connections


def test_without_the_setting_it_goes_wrong(pooled: dict[str, str]) -> None:
    assert crowd(pooled, pooler="none", prepare_threshold=0) != []


def test_a_deadline_and_the_monitor_work_through_it(pooled: dict[str, str]) -> None:
    config = ConnectionConfig(tuple(resolve(pooled)), Connections(pooler="transaction"), Monitoring(interval=0.05))
    manager = ConnectionManager(config)
    monitor = Monitor(config, manager.fleet)
    monitor.start()
    assert monitor.looked.wait(10)
    assert manager.fleet.hosts[0].seen.role == "primary"
    with pytest.raises(DeadlineExceeded) as caught:
        manager.execute("SELECT pg_sleep(20)", timeout=0.3)
    assert not caught.value.unknown
    monitor.close()
    manager.close()
