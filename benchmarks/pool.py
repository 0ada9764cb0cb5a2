"""Acquire a connection, `select 1`, release it: ours against a raw cursor, psycopg_pool and SQLAlchemy.

    python -m benchmarks.pool [ROUNDS]

All pools have 8 connections in autocommit mode; ours counts queries and looks at the socket each time, as shipped.
Batches of all candidates are interleaved; a ratio is the median over the rounds of time / raw cursor's time.
"""

from __future__ import annotations

import logging
import statistics
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from pgcohesion.config.model import Connections
from pgcohesion.connections import ConnectionConfig, ConnectionManager
from pgcohesion.conninfo import resolve
from pgcohesion.opening import open_context
from pgcohesion.redact import Secret
from pgcohesion.setup import setup
from tests.support import project

SIZE = 8
CALLS = 400  # a batch of one thread; several threads make ten times as many together
Call = Callable[[], None]


@contextmanager
def server() -> Iterator[dict[str, str]]:
    """Give the parameters of a throwaway server, over TCP."""
    with project() as made:
        ctx = open_context("test", root=made.root)
        setup(ctx)
        given = dict(ctx.server.parameters())
        host, port = ctx.server.address()
        ctx.close()
        yield {**given, "host": host, "port": str(port), "dbname": "postgres"}


def candidates(parameters: dict[str, str], threads: int) -> dict[str, tuple[Call, Call]]:
    """Return name -> (call, close)."""
    raws = deque(psycopg.connect(**parameters, autocommit=True) for _ in range(threads))  # type: ignore[arg-type]

    def raw() -> None:
        connection = raws.pop()  # as many as threads: nobody ever waits
        connection.execute("select 1").fetchone()
        raws.append(connection)

    def close() -> None:
        for connection in raws:
            connection.close()

    found: dict[str, tuple[Call, Call]] = {"raw cursor": (raw, close)}
    public = {name: value for name, value in parameters.items() if name != "password"}
    targets = tuple(resolve(public, Secret(parameters["password"])))
    for name, counting in (("pgcohesion", True), ("pgcohesion, no statistics", False)):
        settings = ConnectionConfig(targets, Connections(max_size=SIZE), query_statistics=counting)
        manager = ConnectionManager(settings)

        def ours(manager: ConnectionManager = manager) -> None:
            with manager.connection() as connection:
                connection.execute("select 1").fetchone()

        found[name] = (ours, manager.close)
    found |= pools(parameters) | engines(parameters)
    return found


def pools(parameters: dict[str, str]) -> dict[str, tuple[Call, Call]]:
    """Return psycopg_pool, as it comes and with its check."""
    from psycopg_pool import ConnectionPool

    made: dict[str, tuple[Call, Call]] = {}
    for name, check in (("psycopg_pool", None), ("psycopg_pool, check", ConnectionPool.check_connection)):
        pool = ConnectionPool(
            kwargs={**parameters, "autocommit": True}, min_size=SIZE, max_size=SIZE, check=check, open=True
        )
        pool.wait()

        def call(pool: Any = pool) -> None:
            with pool.connection() as connection:
                connection.execute("select 1").fetchone()

        made[name] = (call, pool.close)
    return made


def engines(parameters: dict[str, str]) -> dict[str, tuple[Call, Call]]:
    """Return SQLAlchemy, as it comes and with pre_ping."""
    from sqlalchemy import URL, create_engine, text

    url = URL.create(
        "postgresql+psycopg",
        parameters["user"],
        parameters["password"],
        parameters["host"],
        int(parameters["port"]),
        parameters["dbname"],
    )
    statement = text("select 1")
    made: dict[str, tuple[Call, Call]] = {}
    for name, ping in (("SQLAlchemy", False), ("SQLAlchemy, pre_ping", True)):
        engine = create_engine(url, pool_size=SIZE, max_overflow=0, pool_pre_ping=ping, isolation_level="AUTOCOMMIT")

        def call(engine: Any = engine) -> None:
            with engine.connect() as connection:
                connection.execute(statement).fetchone()

        made[name] = (call, engine.dispose)
    return made


def batch(call: Call, threads: int) -> float:
    """Return the seconds of CALLS calls by so many threads."""
    if threads == 1:
        started = time.perf_counter()
        for _ in range(CALLS):
            call()
        return time.perf_counter() - started
    gate = threading.Barrier(threads + 1)

    def work() -> None:
        call()
        gate.wait()
        for _ in range(10 * CALLS // threads):
            call()
        gate.wait()

    running = [threading.Thread(target=work) for _ in range(threads)]
    for thread in running:
        thread.start()
    gate.wait()
    started = time.perf_counter()
    gate.wait()
    seconds = time.perf_counter() - started
    for thread in running:
        thread.join()
    return seconds


def measure(parameters: dict[str, str], threads: int, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each candidate's batches."""
    found = candidates(parameters, threads)
    taken: dict[str, list[float]] = {name: [] for name in found}
    for turn in range(rounds + 1):
        for name, (call, _) in found.items():
            seconds = batch(call, threads)
            if turn:
                taken[name].append(seconds)
    for _, end in found.values():
        end()
    return taken


def main(rounds: int) -> None:
    """Print the table."""
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    sizes = (1, 8, 32)
    with server() as parameters:
        columns = {threads: measure(parameters, threads, rounds) for threads in sizes}
    print(f"{'acquire, select 1, release':28}" + "".join(f"{f'{n} threads':>14}" for n in sizes))
    for name in columns[1]:
        cells = []
        for taken in columns.values():
            floor = taken["raw cursor"]
            cells.append(statistics.median(a / b for a, b in zip(taken[name], floor, strict=True)))
        print(f"{name:28}" + "".join(f"{cell:14.2f}" for cell in cells))
    for name, goal in (("psycopg_pool", 1.0), ("SQLAlchemy, pre_ping", 0.5)):
        for threads, taken in columns.items():
            pairs = zip(taken["pgcohesion"], taken[name], strict=True)
            ratio = statistics.median(a / b for a, b in pairs)
            word = "reached" if ratio <= goal else "missed"
            print(f"pgcohesion / {name}, {threads} threads: {ratio:.2f} (goal {goal}) {word}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 41)
