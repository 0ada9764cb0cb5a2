"""What a second of `health.watch` costs the server, beside its floor and pg_activity.

    python -m benchmarks.watch [SECONDS] [PG_ACTIVITY]

All three look once a second at the same busy server at the same time, each on a connection of its own: the real command
in a terminal; as many `SELECT 1` in one pipeline as it sends statements; and pg_activity, when its program is given.
Server CPU is what the backend has run (/proc), the mean over the time; so the background checks, which have
connections of their own, are a line of their own: what the server's ended processes took meanwhile.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

from pgcohesion.context import Context
from pgcohesion.health.live.facts import live
from pgcohesion.opening import open_context
from pgcohesion.setup import setup
from tests.support import Project, project
from tests.terminal import Terminal

TICK = os.sysconf("SC_CLK_TCK")
GOAL = 10.0  # ms
TABLES, BUSY, IDLE = 2000, 5, 40
MAKE = """SELECT format('CREATE TABLE bench_%%s (a int PRIMARY KEY, b int UNIQUE, c text)', i) AS statement
 FROM generate_series(1, %s) AS i"""


def cpu(pid: int, ended: bool = False) -> float:
    """Return the milliseconds that a process has used; *ended*: that its children which have ended did."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system = (fields[13], fields[14]) if ended else (fields[11], fields[12])
    return (int(user) + int(system)) * 1000 / TICK


def backend_cpu(pid: int) -> float:
    """Return the milliseconds that a process of one thread has used, in ns where the kernel has them."""
    exact = Path(f"/proc/{pid}/schedstat")
    return int(exact.read_text().split()[0]) / 1e6 if exact.exists() else cpu(pid)


@contextmanager
def server() -> Iterator[tuple[Project, Context]]:
    """Give a throwaway server with a catalogue of some size."""
    with project() as made, closing(open_context("test", root=made.root)) as ctx:
        setup(ctx)
        statements = [row.statement for row in ctx.db.execute(MAKE, [TABLES])]
        for statement in statements:
            ctx.db.execute(statement)
        yield made, ctx


@contextmanager
def crowd(parameters: dict[str, Any]) -> Iterator[None]:
    """Have sessions that are idle, that work, and that wait for a lock."""
    ended = threading.Event()

    def work(connection: psycopg.Connection[Any]) -> None:
        while not ended.wait(0.05):
            connection.execute("SELECT count(*) FROM generate_series(1, 20000)")

    with ExitStack() as stack:
        sessions = [stack.enter_context(psycopg.connect(**parameters)) for _ in range(IDLE + BUSY + 3)]
        for one in sessions:
            one.autocommit = True
            one.execute("SELECT 1")
        holder, *waiters = sessions[-3:]
        holder.execute("BEGIN")
        holder.execute("LOCK bench_1")
        threads = [threading.Thread(target=work, args=(one,), daemon=True) for one in sessions[:BUSY]]
        threads += [threading.Thread(target=_waits, args=(one,), daemon=True) for one in waiters]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            holder.execute("ROLLBACK")
            for thread in threads:
                thread.join()


def _waits(connection: psycopg.Connection[Any]) -> None:
    with suppress(psycopg.Error):
        connection.execute("SELECT * FROM bench_1")


def floor(connection: psycopg.Connection[Any], statements: int, ended: threading.Event) -> None:
    """Send as many `SELECT 1` in one pipeline, once a second."""
    while not ended.wait(1.0):
        with connection.pipeline():
            for _ in range(statements):
                connection.execute("SELECT 1")


def backend(ctx: Context, name: str) -> int:
    """Wait for the oldest session of a program and return its process id."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        rows = ctx.db.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = %s ORDER BY backend_start", [name]
        )
        if rows:
            return int(rows[0].pid)
        time.sleep(0.1)
    sys.exit(f"{name} did not connect")


def main(seconds: float, pg_activity: str) -> None:
    """Print the table."""
    with server() as (made, ctx), ExitStack() as stack:
        parameters = {**ctx.server.parameters(), "dbname": "chanuka"}
        stack.enter_context(crowd(parameters))
        terminals = {"health.watch": made.command("health.watch", "--env=test", "--interval=1")}
        names = {"health.watch": "pgcohesion health.watch"}
        if pg_activity:
            where = ("-h", parameters["host"], "-p", parameters["port"], "-U", "postgres", "-d", "chanuka")
            terminals["pg_activity"] = [pg_activity, *where, "--refresh", "1", "--no-inst-info"]
            names["pg_activity"] = "pg_activity"
        environment = made.environment(PGPASSWORD=parameters["password"])
        opened = {
            name: stack.enter_context(Terminal(argv, cwd=made.root, env=environment, columns=120, lines=40))
            for name, argv in terminals.items()
        }
        selects = stack.enter_context(psycopg.connect(**parameters, autocommit=True))
        ended = threading.Event()
        statements = len(live(18)) + 3  # BEGIN, the limits, COMMIT
        threading.Thread(target=floor, args=(selects, statements, ended), daemon=True).start()
        pids = {name: backend(ctx, names[name]) for name in opened}
        pids[f"floor: {statements} x SELECT 1"] = selects.info.backend_pid
        watched(opened, 15)  # the first checks are done, the statements are prepared
        postmaster = int((Path(ctx.server.folder()) / "postmaster.pid").read_text().split()[0])
        before = {name: backend_cpu(pid) for name, pid in pids.items()}
        clients = {name: cpu(one.process.pid) for name, one in opened.items()}
        checks, started = cpu(postmaster, ended=True), time.monotonic()
        watched(opened, seconds)
        took = time.monotonic() - started
        print(f"{'a look, once a second':32}{'server ms':>10}{'client ms':>10}   ({took:.0f} looks)")
        for name, pid in pids.items():
            own = f"{(cpu(opened[name].process.pid) - clients[name]) / took:10.1f}" if name in opened else ""
            print(f"{name:32}{(backend_cpu(pid) - before[name]) / took:10.2f}{own}")
        print(f"{'checks in the background':32}{(cpu(postmaster, ended=True) - checks) / took:10.2f}")
        cost = (backend_cpu(pids["health.watch"]) - before["health.watch"]) / took
        print(f"\nhealth.watch: {cost:.2f} ms a look (goal {GOAL:.0f}) {'reached' if cost <= GOAL else 'missed'}")
        ended.set()


def watched(terminals: dict[str, Terminal], seconds: float) -> None:
    """Take in what the programs draw for a while."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for one in terminals.values():
            one.pump(0.1)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0, sys.argv[2] if len(sys.argv) > 2 else "")
