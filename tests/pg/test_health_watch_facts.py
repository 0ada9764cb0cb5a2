"""What the live view asks, of PostgreSQL 15 and 18: statements, progress, a replica's view, other encodings."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgcohesion.context import Context
from pgcohesion.health.live import facts
from pgcohesion.health.live.facts import Facts, Statement
from pgcohesion.health.live.memory import gains
from pgcohesion.health.live.reader import Reader
from pgcohesion.opening import open_context
from pgcohesion.server.embedded import Embedded
from pgcohesion.setup import setup
from tests.pg.seeded.stage import wait_for
from tests.support import end_server, missing, project

pytestmark = pytest.mark.pg
OLD = Path("/usr/lib/postgresql/15/bin")
PRELOADED = 'shared_preload_libraries = "pg_stat_statements"'
SERVER = """
[postgresql]
version = {version}
{where}
"""


@pytest.fixture(scope="module", params=[18, 15], ids=["18", "15"])
def server(request: pytest.FixtureRequest) -> Iterator[Context]:
    version: int = request.param
    if version == 15 and not (OLD / "initdb").exists():
        missing("PostgreSQL 15 (apt-get install postgresql-15)")
    with project() as made:
        file = made.root / "environments/test.toml"
        text = file.read_text().replace("[settings]\n", f"[settings]\n{PRELOADED}\n", 1)
        file.write_text(text + SERVER.format(version=version, where=f'bin = "{OLD}"' if version == 15 else ""))
        with closing(open_context("test", root=made.root)) as ctx:
            setup(ctx)
            yield ctx


def connect(ctx: Context, **parameters: Any) -> psycopg.Connection[Any]:
    given = {**ctx.server.parameters(), "dbname": "chanuka", "autocommit": True, **parameters}
    return psycopg.connect(**given)


@pytest.fixture
def connection(server: Context) -> Iterator[psycopg.Connection[Any]]:
    with closing(connect(server)) as made:
        facts.prepare(made)
        yield made


def read(connection: psycopg.Connection[Any]) -> Facts:
    return facts.read(connection, 5.0)


def test_every_statement_answers(connection: psycopg.Connection[Any]) -> None:
    found = facts.read(connection, 5.0, pid=connection.info.backend_pid)
    assert found.refused == {}
    assert found.checkpoints is not None
    assert found.held is not None
    assert found.counters.version.split(".")[0] == str(connection.info.server_version // 10000)


def test_top_statements_come_from_their_gains(server: Context, connection: psycopg.Connection[Any]) -> None:
    assert facts.statements_schema(connection, 5.0) is None
    connection.execute('CREATE SCHEMA "odd name"')
    connection.execute('CREATE EXTENSION pg_stat_statements SCHEMA "odd name"')
    assert facts.statements_schema(connection, 5.0) == "odd name"

    def counted() -> dict[int, Statement]:
        found = facts.statements(connection, "odd name", 5.0)
        assert isinstance(found, list)
        return {one.id: one for one in found}

    before = counted()
    with closing(connect(server)) as busy:
        for _ in range(7):
            busy.execute("SELECT pg_sleep(0.05) AS slowly")
    best = gains(before, counted(), 1.0)[0]
    assert best.calls == 7.0
    assert best.mean >= 50
    assert "slowly" in facts.statement_texts(connection, "odd name", [best.id], 5.0)[best.id]
    reader = Reader(server, 1.0, lambda: None)
    reader._top.look(connection)
    reader._top._at = float("-inf")
    reader._top.look(connection)
    assert reader._top.top.why == ""
    assert any("pg_stat_statements" in gain.query for gain in reader._top.top.gains)
    connection.execute('DROP EXTENSION pg_stat_statements; DROP SCHEMA "odd name"')


def test_commands_say_how_far_they_are(server: Context, connection: psycopg.Connection[Any]) -> None:
    connection.execute('CREATE TABLE "slow t" AS SELECT generate_series(1, 200000) AS i')
    with closing(connect(server)) as slow:
        slow.execute("SET vacuum_cost_delay = 20; SET vacuum_cost_limit = 10")
        thread = threading.Thread(target=_quietly, args=(slow, 'VACUUM "slow t"'), daemon=True)
        thread.start()
        wait_for(lambda: read(connection).progress)
        (one,) = read(connection).progress
        assert (one.pid, one.command, one.relation) == (slow.info.backend_pid, "vacuum", 'public."slow t"')
        assert one.share is not None
        assert 0 <= one.share < 1
        slow.cancel()
        thread.join(10)
    connection.execute('DROP TABLE "slow t"')


def _quietly(connection: psycopg.Connection[Any], statement: str) -> None:
    with pytest.raises(psycopg.errors.QueryCanceled):
        connection.execute(statement.encode())


def test_a_slot_and_what_it_keeps(connection: psycopg.Connection[Any]) -> None:
    connection.execute("SELECT pg_create_physical_replication_slot('left_behind', true)")
    try:
        connection.execute("SELECT pg_logical_emit_message(false, 'x', repeat('y', 100000)), pg_switch_wal()")
        (slot,) = read(connection).slots
        assert (slot.name, slot.kind, slot.active) == ("left_behind", "physical", False)
        assert slot.kept is not None
        assert slot.kept > 100_000
    finally:
        connection.execute("SELECT pg_drop_replication_slot('left_behind')")


def test_an_idle_session_that_holds_an_advisory_lock_is_a_root(
    server: Context, connection: psycopg.Connection[Any]
) -> None:
    with closing(connect(server)) as holder, closing(connect(server)) as waiter:
        holder.execute("SELECT pg_advisory_lock(42)")  # its session is idle, and still blocks
        thread = threading.Thread(target=waiter.execute, args=("SELECT pg_advisory_lock(42)",), daemon=True)
        thread.start()
        wait_for(lambda: len(read(connection).nodes) == 2)
        nodes = {node.pid: node for node in read(connection).nodes}
        assert nodes[holder.info.backend_pid].state == "idle"
        assert nodes[waiter.info.backend_pid].blockers == (holder.info.backend_pid,)
        assert nodes[waiter.info.backend_pid].locktype == "advisory"
        holder.execute("SELECT pg_advisory_unlock_all()")
        thread.join(10)


def test_texts_of_other_encodings_are_marked_not_an_error(server: Context, connection: psycopg.Connection[Any]) -> None:
    connection.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    try:
        with closing(connect(server, dbname="latin", client_encoding="LATIN1")) as other:
            other.execute("SELECT 'gr\u00fcn'")
            (query,) = (one.query for one in read(connection).sessions if one.pid == other.info.backend_pid)
            assert query == "SELECT 'gr\ufffdn'"
    finally:
        connection.execute("DROP DATABASE latin WITH (FORCE)")


def test_a_role_that_may_see_little_sees_counters(server: Context, connection: psycopg.Connection[Any]) -> None:
    connection.execute("CREATE ROLE little")
    try:
        with closing(connect(server)) as other:
            other.execute("SET SESSION AUTHORIZATION little")
            facts.prepare(other)
            found = read(other)
            assert found.counters.slots == 97
            assert found.counters.commits is not None
            assert found.counters.hidden >= 1
            assert found.counters.total >= found.counters.hidden
            mine = next(one for one in found.sessions if one.pid == connection.info.backend_pid)
            assert mine.query == "<insufficient privilege>"
    finally:
        connection.execute("DROP ROLE little")


def test_a_server_in_recovery_answers_as_well() -> None:
    with project() as made, closing(open_context("test", root=made.root)) as ctx:
        setup(ctx)
        server = ctx.server
        assert isinstance(server, Embedded)
        given = server.parameters()
        end_server(server.data)
        (server.data / "postmaster.pid").unlink(missing_ok=True)
        signal_file = server.data / "standby.signal"
        signal_file.touch()
        owner = pwd.getpwuid(server.data.stat().st_uid)
        os.chown(signal_file, owner.pw_uid, owner.pw_gid)
        account = {"user": owner.pw_uid, "group": owner.pw_gid} if os.geteuid() == 0 else {}
        where = f"-p {given['port']} -c unix_socket_directories={given['host']}"
        with subprocess.Popen(
            [server.tool("postgres"), "-D", str(server.data), *where.split()],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **account,  # type: ignore[call-overload]
        ) as process:  # fmt: skip
            try:
                connection = _connected({**given, "dbname": "chanuka", "autocommit": True})
                facts.prepare(connection)
                found = read(connection)
                assert found.refused == {}
                assert found.counters.standby
                assert found.counters.wal is not None
                connection.close()
            finally:
                process.send_signal(signal.SIGQUIT)


def _connected(parameters: dict[str, Any]) -> psycopg.Connection[Any]:
    deadline = time.monotonic() + 30
    while True:
        try:
            return psycopg.connect(**parameters)
        except psycopg.OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
