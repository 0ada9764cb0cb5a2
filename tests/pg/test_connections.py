"""An application's connections on a real server: faults as faults, and no write twice."""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import re
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.types.json import set_json_loads

from pgcohesion.config.model import Breaker, Connections, Monitoring
from pgcohesion.connections import AsyncConnectionManager, ConnectionConfig, ConnectionManager
from pgcohesion.conninfo import resolve
from pgcohesion.context import Context
from pgcohesion.errors import (
    CircuitOpen,
    CohesionError,
    DeadlineExceeded,
    Exhausted,
    OutcomeUnknown,
    PoolClosed,
    Unreachable,
)
from pgcohesion.opening import open_context
from pgcohesion.redact import Secret
from tests.support import Project, frozen

pytestmark = pytest.mark.pg


def wait_for(true: Any) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def config(ctx: Context, database: str = "chanuka", **settings: Any) -> ConnectionConfig:
    """Return the superuser's connection; settings of [connections], or parameters of libpq in `also`."""
    also = settings.pop("also", {})
    monitoring = settings.pop("monitoring", Monitoring())
    parameters = {**ctx.server.parameters(), "dbname": database, **also}
    password = Secret(parameters.pop("password"))
    return ConnectionConfig(tuple(resolve(parameters, password)), Connections(**settings), monitoring)


@contextmanager
def managed(given: ConnectionConfig) -> Iterator[ConnectionManager]:
    manager = ConnectionManager(given)
    try:
        yield manager
    finally:
        manager.close(1)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pgcohesion")]


@pytest.fixture
def manager(ctx: Context, database: str) -> Iterator[ConnectionManager]:
    """A manager of a database of its own, with a table for writes."""
    with managed(config(ctx, database, max_size=4, timeout=10)) as made:
        made.execute("CREATE TABLE public.notes (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, word text)")
        yield made


def terminate_all(ctx: Context, database: str) -> None:
    ctx.db.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
        [database],
        database="postgres",
    )


# --- work -------------------------------------------------------------------------------------------------


def test_rows_come_as_named_tuples(manager: ConnectionManager) -> None:
    (row,) = manager.execute("SELECT 1 AS a, %s AS b", ["x"])
    assert (row.a, row.b) == (1, "x")
    assert manager.execute("INSERT INTO public.notes VALUES (1, 'one')") == []


def test_a_transaction_commits_or_rolls_back(manager: ConnectionManager) -> None:
    with manager.transaction() as connection:
        connection.execute("INSERT INTO public.notes VALUES (1)")
    with pytest.raises(ZeroDivisionError), manager.transaction() as connection:
        connection.execute("INSERT INTO public.notes VALUES (2)")
        raise ZeroDivisionError
    assert [row.id for row in manager.execute("SELECT id FROM public.notes")] == [1]


def test_a_read_only_transaction_refuses_writes_at_once(manager: ConnectionManager) -> None:
    calls = []

    def write(connection: psycopg.Connection[Any]) -> None:
        calls.append(1)
        connection.execute("INSERT INTO public.notes VALUES (1)")

    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        manager.run(write, readonly=True)
    assert len(calls) == 1


def test_a_serialization_failure_runs_again(manager: ConnectionManager, ctx: Context, database: str) -> None:
    manager.execute("INSERT INTO public.notes VALUES (1, '0')")
    attempts: list[int] = []

    def add(connection: psycopg.Connection[Any]) -> str:
        ((word,),) = connection.execute("SELECT word FROM public.notes").fetchall()
        attempts.append(1)
        if len(attempts) == 1:
            ctx.db.execute("UPDATE public.notes SET word = '5'", database=database)
        connection.execute("UPDATE public.notes SET word = %s", [str(int(word) + 1)])
        return str(word)

    assert manager.run(add, isolation="repeatable read") == "5"
    assert len(attempts) == 2
    assert manager.execute("SELECT word FROM public.notes")[0].word == "6"
    assert manager.counters.retries == 1


def test_what_somebody_left_open_is_rolled_back(manager: ConnectionManager) -> None:
    with manager.connection() as connection:
        connection.execute("BEGIN")
        connection.execute("INSERT INTO public.notes VALUES (1)")
        pid = connection.info.backend_pid
    with manager.connection() as connection:
        assert connection.info.backend_pid == pid
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert manager.execute("SELECT FROM public.notes") == []


# --- the deadline -----------------------------------------------------------------------------------------


def test_a_deadline_cancels_the_statement_and_keeps_the_connection(manager: ConnectionManager) -> None:
    pid = manager.execute("SELECT pg_backend_pid() AS pid")[0].pid
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded) as caught:
        manager.execute("SELECT pg_sleep(20)", timeout=0.3)
    assert 0.3 <= time.monotonic() - started < 1.5
    assert not caught.value.unknown
    assert manager.execute("SELECT pg_backend_pid() AS pid")[0].pid == pid


def test_a_deadline_covers_all_statements_of_a_block(manager: ConnectionManager) -> None:
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded), manager.transaction(timeout=0.5) as connection:
        connection.execute("INSERT INTO public.notes VALUES (1)")
        while True:
            connection.execute("SELECT pg_sleep(0.1)")
    assert time.monotonic() - started < 2
    assert manager.execute("SELECT FROM public.notes") == []


def test_no_deadline_for_who_says_so(manager: ConnectionManager) -> None:
    with manager.connection(timeout=math.inf) as connection:
        assert connection.deadline is None
        connection.execute("SELECT 1")


def test_a_frozen_server_meets_the_deadline(fresh: Project) -> None:
    assert fresh.inv("db.setup", "--env=test").returncode == 0
    ctx = open_context("test", root=fresh.root)
    with closing(ctx), managed(config(ctx, timeout=1)) as manager:
        manager.execute("SELECT 1")
        with frozen(fresh):
            for _ in range(2):  # on an open connection, then on one that cannot be opened
                started = time.monotonic()
                with pytest.raises(CohesionError) as caught:
                    manager.execute("SELECT 1", readonly=True)
                assert isinstance(caught.value, (DeadlineExceeded, Unreachable))
                assert time.monotonic() - started < 2.5
        manager.execute("SELECT 1", timeout=10)


# --- what cannot be reached ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("also", "words"),
    [
        ({"dbname": "nowhere"}, 'database "nowhere" does not exist'),
        ({"user": "nobody_at_all"}, 'role "nobody_at_all" does not exist|password authentication failed'),
        ({"port": "1", "host": "127.0.0.1"}, "Connection refused"),
        ({"host": "no-such-host.invalid"}, "no-such-host.invalid"),
        (
            {"host": "127.0.0.1", "sslmode": "verify-full", "sslrootcert": "/nowhere.crt"},
            "root certificate|does not support SSL",
        ),
    ],
)
def test_a_permanent_error_comes_at_once_with_its_cause(ctx: Context, also: dict[str, str], words: str) -> None:
    with managed(config(ctx, also=also)) as manager:
        started = time.monotonic()
        with pytest.raises(Unreachable, match="cannot connect to database") as caught:
            manager.execute("SELECT 1")
        assert time.monotonic() - started < 2
        assert caught.value.why
        assert isinstance(caught.value.__cause__, psycopg.Error)
        assert re.search(words, caught.value.why), caught.value.why


def test_a_wrong_password_comes_at_once_and_is_not_shown(ctx: Context) -> None:
    given = config(ctx)
    wrong = tuple(resolve(given.targets[0].parameters, Secret("wrong-secret-word")))
    with managed(ConnectionConfig(wrong)) as manager:
        with pytest.raises(Unreachable) as caught:
            manager.execute("SELECT 1")
        assert "password authentication failed" in caught.value.why
        assert "wrong-secret-word" not in repr(manager.config) + str(caught.value) + caught.value.why


def test_a_database_that_goes_away_later_is_a_permanent_error_too(
    manager: ConnectionManager, ctx: Context, database: str
) -> None:
    manager.execute("SELECT 1")
    ctx.db.forget(database)
    terminate_all(ctx, database)
    ctx.db.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false", database="postgres")
    try:
        started = time.monotonic()
        with pytest.raises(Unreachable, match="cannot connect"):
            manager.execute("SELECT 1", timeout=1)
        assert time.monotonic() - started < 2.5
    finally:
        ctx.db.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true", database="postgres")


# --- what breaks -------------------------------------------------------------------------------------------


def test_terminated_sessions_are_noticed_before_they_are_used(
    manager: ConnectionManager, ctx: Context, database: str
) -> None:
    with manager.connection(), manager.connection(), manager.connection():
        pass
    terminate_all(ctx, database)
    manager.execute("INSERT INTO public.notes VALUES (1)")  # not idempotent: a dead connection would be OutcomeUnknown
    assert manager.statistics().pools[manager.fleet.hosts[0].name].discarded == 3


def test_a_connection_lost_before_commit_runs_again(manager: ConnectionManager, ctx: Context) -> None:
    attempts: list[int] = []

    def write(connection: psycopg.Connection[Any]) -> None:
        attempts.append(1)
        connection.execute("INSERT INTO public.notes VALUES (1)")
        if len(attempts) == 1:
            ctx.db.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.info.backend_pid])
        connection.execute("INSERT INTO public.notes VALUES (2)")

    manager.run(write)
    assert len(attempts) == 2
    assert len(manager.execute("SELECT FROM public.notes")) == 2


DIES = """
CREATE FUNCTION public.die() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER dies AFTER INSERT ON public.notes DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.word = 'die') EXECUTE FUNCTION public.die();
"""


def test_a_connection_lost_during_commit_is_not_tried_again(manager: ConnectionManager) -> None:
    with manager.connection() as connection:
        connection.execute(DIES)
    attempts: list[int] = []

    def write(connection: psycopg.Connection[Any]) -> None:
        attempts.append(1)
        connection.execute("INSERT INTO public.notes VALUES (1, 'die')")

    with pytest.raises(OutcomeUnknown, match="may be done, or not"):
        manager.run(write)
    assert len(attempts) == 1
    assert manager.counters.unknown == 1
    with pytest.raises(OutcomeUnknown):
        manager.execute("INSERT INTO public.notes VALUES (1, 'die')")
    with pytest.raises(OutcomeUnknown), manager.transaction() as connection:
        write(connection)


def test_idempotent_work_runs_again_even_then(manager: ConnectionManager) -> None:
    with manager.connection() as connection:
        connection.execute(DIES)
    attempts: list[int] = []

    def write(connection: psycopg.Connection[Any]) -> None:
        attempts.append(1)
        connection.execute("DELETE FROM public.notes")
        connection.execute("INSERT INTO public.notes VALUES (1, %s)", ["die" if len(attempts) == 1 else "live"])

    manager.run(write, idempotent=True)
    assert len(attempts) == 2
    assert manager.execute("SELECT word FROM public.notes")[0].word == "live"


def test_while_all_is_down_calls_wait_then_are_refused_at_once(ctx: Context) -> None:
    given = config(ctx, also={"host": "127.0.0.1", "port": "1"}, timeout=0.4, breaker=Breaker(patience=0.5, pause=30))
    with managed(given) as manager:
        manager.fleet.hosts[0].ever_up = True  # as if it had been up before
        started = time.monotonic()
        with pytest.raises(Unreachable, match="cannot connect"):
            manager.execute("SELECT 1")
        assert 0.2 < time.monotonic() - started < 2
        wait_for(manager.fleet.hopeless)
        started = time.perf_counter()
        for _ in range(100):
            with pytest.raises(CircuitOpen, match="cannot connect"):
                manager.execute("SELECT 1")
        assert time.perf_counter() - started < 2  # none of them has waited
        assert manager.counters.refused == 100


def test_calls_that_are_too_slow_open_the_breaker(ctx: Context) -> None:
    breaker = Breaker(failures=2, slow=0.3, pause=0.2)
    with managed(config(ctx, breaker=breaker)) as manager:
        host = manager.fleet.hosts[0]
        manager.execute("SELECT pg_sleep(0.4)")
        manager.execute("SELECT 1")  # a good one between them
        assert host.breaker.opened == 0
        manager.execute("SELECT pg_sleep(0.4)")
        manager.execute("SELECT pg_sleep(0.4)")
        assert host.breaker.state == "open"
        assert re.fullmatch(r"a query took 0\.[4-9] s", host.problem)
        manager.execute("SELECT 1")  # waits for the probe, and is it
        assert host.breaker.closed
        assert manager.counters.slow_queries == 0  # slow for the breaker, not yet for the report


# --- the pool --------------------------------------------------------------------------------------------------


def test_a_full_pool_names_who_holds_it(ctx: Context) -> None:
    with managed(config(ctx, max_size=2)) as manager, manager.connection(), manager.connection():
        started = time.monotonic()
        with pytest.raises(Exhausted, match="came free in time") as caught:
            manager.execute("SELECT 1", timeout=0.2)
        assert 0.2 <= time.monotonic() - started < 2
        assert f"{__file__}:" in caught.value.why
        assert "test_a_full_pool_names_who_holds_it" in caught.value.why


def test_too_many_who_wait_are_refused_at_once(ctx: Context) -> None:
    with managed(config(ctx, max_size=1, max_waiting=1)) as manager, manager.connection():

        def wait() -> None:
            with pytest.raises(Exhausted):
                manager.execute("SELECT 1", timeout=0.5)

        patient = threading.Thread(target=wait)
        patient.start()
        wait_for(lambda: manager.pools[manager.fleet.hosts[0]].statistics().waiting)
        with pytest.raises(Exhausted, match="came free in time") as caught:
            manager.execute("SELECT 1")
        assert "others wait already" in caught.value.why
        patient.join()


def test_those_who_wait_are_served_in_their_order(ctx: Context) -> None:
    served: list[int] = []
    with managed(config(ctx, max_size=1)) as manager:
        pool = manager.pools[manager.fleet.hosts[0]]

        def ask(number: int) -> None:
            with manager.connection():
                served.append(number)

        threads = []
        with manager.connection():
            for number in range(5):
                threads.append(threading.Thread(target=ask, args=[number]))
                threads[-1].start()
                wait_for(lambda number=number: len(pool._waiting) == number + 1)
        for thread in threads:
            thread.join()
    assert served == [0, 1, 2, 3, 4]


def test_never_more_connections_than_allowed_under_a_crowd(ctx: Context) -> None:
    seen: list[int] = []
    with managed(config(ctx, max_size=3)) as manager:
        pool = manager.pools[manager.fleet.hosts[0]]

        def work() -> None:
            for _ in range(50):
                with manager.connection() as connection:
                    connection.execute("SELECT 1")
                    seen.append(pool.statistics().size)

        threads = [threading.Thread(target=work) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert max(seen) <= 3
        numbers = pool.statistics()
        assert (numbers.in_use, numbers.waiting, numbers.opening) == (0, 0, 0)
        assert numbers.opened == numbers.size


def test_old_and_idle_connections_are_closed_and_the_least_kept_open(ctx: Context) -> None:
    with managed(config(ctx, max_size=5, min_size=2, max_idle=0)) as manager:
        pool = manager.pools[manager.fleet.hosts[0]]
        manager.tend()
        wait_for(lambda: pool.statistics().idle == 2)
        with manager.connection(), manager.connection(), manager.connection():
            assert pool.statistics().size == 3
        manager.tend()
        assert pool.statistics().size == 2
    with managed(config(ctx, max_lifetime=0.05)) as manager:
        first = manager.execute("SELECT pg_backend_pid() AS pid")[0].pid
        wait_for(lambda: manager.execute("SELECT pg_backend_pid() AS pid")[0].pid != first)


def test_a_lent_connection_comes_back_when_it_is_closed(manager: ConnectionManager) -> None:
    connection = manager.lend()
    assert not connection.autocommit
    connection.execute("INSERT INTO public.notes VALUES (1)")
    pid = connection.info.backend_pid
    connection.close()
    with manager.connection() as again:
        assert again.info.backend_pid == pid
        assert again.autocommit
    assert manager.execute("SELECT FROM public.notes") == []


def test_a_child_process_leaves_its_parent_s_connections_alone(manager: ConnectionManager) -> None:
    pid = manager.execute("SELECT pg_backend_pid() AS pid")[0].pid
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, str(manager.execute("SELECT pg_backend_pid() AS pid")[0].pid).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert int(os.read(reader, 100)) != pid
    assert manager.execute("SELECT pg_backend_pid() AS pid")[0].pid == pid


def test_closing_waits_for_work_refuses_more_and_cancels_what_is_late(ctx: Context) -> None:
    manager = ConnectionManager(config(ctx))
    results: list[object] = []

    def work(seconds: float) -> None:
        try:
            results.append(manager.execute("SELECT pg_sleep(%s), 'done' AS word", [seconds])[0].word)
        except Exception as error:  # noqa: BLE001
            results.append(type(error))

    threads = [threading.Thread(target=work, args=[seconds]) for seconds in (0.3, 30)]
    for thread in threads:
        thread.start()
    pool = manager.pools[manager.fleet.hosts[0]]
    wait_for(lambda: pool.statistics().in_use == 2)
    started = time.monotonic()
    closing = threading.Thread(target=manager.close, args=[1.0])
    closing.start()
    wait_for(lambda: pool.closing)
    with pytest.raises(PoolClosed):
        manager.execute("SELECT 1")
    closing.join()
    for thread in threads:
        thread.join()
    assert time.monotonic() - started < 10
    assert results[0] == "done"
    assert results[1] is not None
    assert results[1] != "done"
    wait_for(lambda: pool.statistics().size == 0)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pgcohesion")]


def test_nothing_of_a_session_is_kept_behind_a_pooler(ctx: Context) -> None:
    with managed(config(ctx, pooler="transaction")) as manager, manager.connection() as connection:
        assert connection.prepare_threshold is None
        for _ in range(10):
            connection.execute("SELECT 1 WHERE 1 = %s", [1])
        assert connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)


def test_time_limits_of_the_network_are_set(manager: ConnectionManager) -> None:
    with manager.connection() as connection:
        parameters = connection.info.get_parameters()
    limits = {name: parameters[name] for name in parameters if name.startswith(("keepalives", "tcp_user", "connect_t"))}
    assert limits == {
        "connect_timeout": "3",
        "keepalives_idle": "5",
        "keepalives_interval": "1",
        "keepalives_count": "3",
        "tcp_user_timeout": "5000",
    }


def test_numbers_in_json_and_for_prometheus(manager: ConnectionManager) -> None:
    with pytest.raises(psycopg.errors.SyntaxError):
        manager.execute("SELEC 'a \"quoted\" word'")
    manager.execute("SELECT 1")
    manager.execute("SELECT 2")
    numbers = manager.statistics()
    assert json.loads(json.dumps(numbers.as_dict()))["pools"]
    assert {query.text: (query.calls, query.errors) for query in numbers.queries}["SELECT ?"] == (2, 0)
    lines = numbers.prometheus().splitlines()
    assert 'pgcohesion_query_calls_total{query="SELECT ?"} 2' in lines
    for line in lines:
        name, _, value = line.rpartition(" ")
        assert line.startswith("# TYPE ") or (name.startswith("pgcohesion_") and float(value) >= 0), line


# --- asyncio -----------------------------------------------------------------------------------------------------


def test_asyncio_works_alike(ctx: Context, database: str) -> None:
    async def main() -> None:
        async with AsyncConnectionManager(config(ctx, database, max_size=3)) as manager:
            await manager.execute("CREATE TABLE public.notes (id int)")

            async def write(connection: Any, number: int) -> int:
                await connection.execute("INSERT INTO public.notes VALUES (%s)", [number])
                return number

            done = await asyncio.gather(*(manager.run(write, number) for number in range(50)))
            assert done == list(range(50))
            async with manager.transaction(readonly=True) as connection:
                cursor = await connection.execute("SELECT count(*) FROM public.notes")
                assert await cursor.fetchone() == (50,)
            pool = manager.pools[manager.fleet.hosts[0]]
            assert pool.statistics().size <= 3
            with pytest.raises(DeadlineExceeded):
                await manager.execute("SELECT pg_sleep(20)", timeout=0.2)
            terminate_all(ctx, database)
            await manager.execute("INSERT INTO public.notes VALUES (51)")

    asyncio.run(main())


def test_a_cancelled_task_leaves_no_connection_behind(ctx: Context) -> None:
    async def main() -> None:
        async with AsyncConnectionManager(config(ctx, max_size=1)) as manager:
            pool = manager.pools[manager.fleet.hosts[0]]

            async def hold(seconds: float) -> None:
                async with manager.connection() as connection:
                    await connection.execute("SELECT pg_sleep(%s)", [seconds])

            running = asyncio.create_task(hold(30))
            while pool.statistics().in_use < 1:
                await asyncio.sleep(0.01)
            waiting = asyncio.create_task(hold(30))
            while not pool.statistics().waiting:
                await asyncio.sleep(0.01)
            waiting.cancel()
            running.cancel()
            await asyncio.gather(waiting, running, return_exceptions=True)
            assert await manager.execute("SELECT 1 AS one", timeout=3) == [(1,)]
            numbers = pool.statistics()
            assert (numbers.in_use, numbers.waiting) == (0, 0)

    asyncio.run(main())


def test_asyncio_permanent_errors_come_at_once(ctx: Context) -> None:
    async def main() -> None:
        async with AsyncConnectionManager(config(ctx, "nowhere")) as manager:
            started = time.monotonic()
            with pytest.raises(Unreachable) as caught:
                await manager.execute("SELECT 1")
            assert 'database "nowhere" does not exist' in caught.value.why
            assert time.monotonic() - started < 2

    asyncio.run(main())


def test_a_write_where_only_reads_were_announced_says_nothing_of_the_host(ctx: Context, database: str) -> None:
    """An application's slip must not take the primary from everybody else; two names of one host are two hosts."""
    one = config(ctx, database)
    host, port = ctx.server.address()
    parameters = {**ctx.server.parameters(), "dbname": database, "host": host, "port": str(port)}
    password = Secret(parameters.pop("password"))
    with managed(ConnectionConfig((*one.targets, *resolve(parameters, password)), Connections())) as manager:
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            manager.run(lambda connection: connection.execute("CREATE TABLE public.slip ()"), readonly=True)
        assert not any(host.read_only or host.role == "standby" for host in manager.fleet.status())
        with pytest.raises((psycopg.errors.ReadOnlySqlTransaction, DeadlineExceeded)):  # in a try, or between two
            manager.execute("SET transaction_read_only = on; CREATE TABLE public.slip ()", timeout=0.2)
        assert any(host.read_only for host in manager.fleet.status())  # what was announced as a write tells


# --- lending to libraries ---------------------------------------------------------------------------------


def test_a_lent_connection_whose_server_went_away_is_no_more_counted(
    manager: ConnectionManager, ctx: Context, database: str
) -> None:
    connection = manager.lend()
    connection.execute("INSERT INTO public.notes VALUES (1)")  # within a transaction: close() has to roll back
    terminate_all(ctx, database)
    connection.close()
    pool = manager.pools[manager.fleet.hosts[0]]
    assert pool.statistics().in_use == 0
    assert manager.held() == []
    assert manager.execute("SELECT FROM public.notes") == []


def test_what_a_library_sets_does_not_stay(manager: ConnectionManager) -> None:
    adapters = psycopg.adapt.AdaptersMap(psycopg.adapters)
    set_json_loads(lambda text: "theirs", adapters)
    connection = manager.lend(adapters=adapters)
    pid = connection.info.backend_pid
    connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
    connection.read_only = True
    connection.deferrable = True
    connection.row_factory = dict_row
    connection.cursor_factory = psycopg.ClientCursor
    noticed: list[Any] = []
    connection.add_notice_handler(noticed.append)
    assert connection.execute("SELECT '1'::json AS a").fetchone() == {"a": "theirs"}
    connection.close()
    with manager.transaction() as again:
        assert again.info.backend_pid == pid
        assert again.execute("SELECT '1'::json, current_setting('transaction_isolation')").fetchone() == (
            1,
            "read committed",
        )
        again.execute("INSERT INTO public.notes VALUES (1)")
        again.execute("DO $$ BEGIN RAISE NOTICE 'x'; END $$")
        assert type(again.cursor()) is manager.pools[manager.fleet.hosts[0]].cursor
    assert noticed == []


def test_a_library_meets_only_errors_of_psycopg(ctx: Context) -> None:
    with managed(config(ctx, max_size=1, timeout=0.05)) as manager:
        with manager.connection(), pytest.raises(psycopg.OperationalError, match="came free in time"):
            manager.lend()
        manager.close(0)
        with pytest.raises(psycopg.OperationalError, match="shutting down"):
            manager.lend()


# --- everything at once ------------------------------------------------------------------------------------------


def settled(manager: Any) -> None:
    """Assert that nothing is lost: each connection is idle exactly once, nobody waits, nothing is being opened."""
    pool = manager.pools[manager.fleet.hosts[0]]
    wait_for(lambda: pool.statistics().opening == 0)
    numbers = pool.statistics()
    assert (numbers.in_use, numbers.waiting) == (0, 0)
    assert numbers.size <= manager.config.settings.max_size
    assert len(set(pool._idle)) == len(pool._idle) == len(pool._all)
    assert pool.held() == []


def mischief(connection: psycopg.Connection[Any], kind: int) -> None:
    """Do with a connection what programs do."""
    if kind == 0:
        connection.execute("SELECT pg_sleep(0.01)")
    elif kind == 1:
        connection.execute("BEGIN")  # and never ended
    elif kind == 2:
        connection.execute("SELEC")
    elif kind == 3:
        connection.close()
    else:
        raise ZeroDivisionError


def test_nothing_is_lost_in_a_storm_of_threads(ctx: Context, database: str) -> None:
    seen: dict[int, int] = {}
    shared: list[str] = []
    stop = threading.Event()

    def work(manager: ConnectionManager, number: int) -> None:
        dice = random.Random(number)
        for _ in range(40):
            with suppress(CohesionError, psycopg.Error, ZeroDivisionError):
                timeout = dice.choice((0.001, 0.02, 5))
                with manager.connection(timeout=timeout, readonly=dice.random() < 0.5) as connection:
                    pid = connection.info.backend_pid
                    if seen.setdefault(pid, number) != number:
                        shared.append(f"{pid} is in two hands")
                    try:
                        mischief(connection, dice.randrange(5))
                    finally:
                        seen.pop(pid, None)

    def disturb() -> None:
        while not stop.wait(0.05):
            terminate_all(ctx, database)

    with managed(config(ctx, database, max_size=5)) as manager:
        threads = [threading.Thread(target=work, args=[manager, number]) for number in range(24)]
        disturber = threading.Thread(target=disturb)
        for thread in (*threads, disturber):
            thread.start()
        for thread in threads:
            thread.join()
        stop.set()
        disturber.join()
        assert shared == []
        settled(manager)
        assert manager.execute("SELECT 1 AS one", readonly=True)[0].one == 1


def test_nothing_is_lost_when_tasks_are_cancelled_anywhere(ctx: Context, database: str) -> None:
    async def work(manager: AsyncConnectionManager, dice: random.Random) -> None:
        if dice.random() < 0.5:
            await manager.execute("SELECT pg_sleep(0.002)", readonly=True)
            return
        async with manager.transaction() as connection:
            await connection.execute("SELECT pg_sleep(0.002)")

    async def main() -> None:
        dice = random.Random(3)
        async with AsyncConnectionManager(config(ctx, database, max_size=4)) as manager:
            tasks = [asyncio.create_task(work(manager, dice)) for _ in range(150)]
            for task in tasks:
                if dice.random() < 0.6:
                    await asyncio.sleep(dice.random() * 0.004)
                    task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(one) for one in ended} <= {asyncio.CancelledError, type(None)}, ended
            pool = manager.pools[manager.fleet.hosts[0]]
            while pool.statistics().opening:
                await asyncio.sleep(0.01)
            settled(manager)
            assert (await manager.execute("SELECT 1 AS one"))[0].one == 1

    asyncio.run(main())
