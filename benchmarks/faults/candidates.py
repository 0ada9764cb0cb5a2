"""The libraries that are measured, each behind the same four calls and used as its documentation says."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol, runtime_checkable

import psycopg
from psycopg_pool import ConnectionPool

from pgcohesion.config.model import Connections
from pgcohesion.connections import ConnectionConfig, ConnectionManager
from pgcohesion.connections.monitor import Monitor
from pgcohesion.conninfo import resolve
from pgcohesion.redact import Secret

Hosts = Sequence[tuple[str, int]]

READ = "SELECT 1"
# One statement, so one transaction: the counter and the proof of the write cannot part.
WRITE = """WITH proof AS (INSERT INTO written (id) VALUES (%(id)s))
UPDATE counters SET n = n + 1 WHERE key = %(id)s %% 16"""
WRITE_OWN = "UPDATE own SET value = value + 1 WHERE key = %s RETURNING value"
READ_OWN = "SELECT value FROM own WHERE key = %s"


class Candidate(Protocol):
    """A library in an application's hands. Calls come from several threads at once."""

    name: str

    def open(self, hosts: Hosts, dbname: str, user: str, password: str, **options: str) -> None:
        """Get ready for calls. `options`: further parameters of libpq."""

    def read(self) -> None:
        """Run READ on the primary."""

    def increment(self, key: int) -> None:
        """Run WRITE with the id `key`. Raises when it failed or when nobody knows."""

    def close(self) -> None:
        """Close everything."""


@runtime_checkable
class ReadsOwnWrites(Protocol):
    """A candidate that sends reads to replicas."""

    def write_then_read(self, key: int) -> tuple[int, int]:
        """Add 1 to `own.value` of a key and return it, and what a read of the same session says afterwards."""


@runtime_checkable
class Measured(Protocol):
    """A candidate that can tell how many connections it holds."""

    def connections(self) -> int:
        """How many are open now."""


def dsn(hosts: Hosts, **parameters: str) -> str:
    """Libpq's string for several hosts. Nothing is checked: what is wrong is for the candidate to find."""
    places = {"host": ",".join(host for host, _ in hosts), "port": ",".join(str(port) for _, port in hosts)}
    return " ".join(f"{name}='{value}'" for name, value in {**places, **parameters}.items())


class Default:
    """psycopg_pool as it comes, with the one setting without which no failover can work."""

    name = "default"
    extra: Mapping[str, str] = {}
    how: Mapping[str, Any] = {}

    def open(self, hosts: Hosts, dbname: str, user: str, password: str, **options: str) -> None:
        """Open a pool of 4."""
        attributes = {"target_session_attrs": "read-write", **self.extra, **options}
        conninfo = dsn(hosts, dbname=dbname, user=user, password=password, **attributes)
        self.pool = ConnectionPool(conninfo, min_size=4, open=True, **self.how)

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection for one transaction."""
        with self.pool.connection() as connection:
            yield connection

    def read(self) -> None:
        """Read in a transaction of its own."""
        with self.connection() as connection:
            connection.execute(READ).fetchone()

    def increment(self, key: int) -> None:
        """Write in a transaction of its own."""
        with self.connection() as connection:
            connection.execute(WRITE, {"id": key})

    def write_then_read(self, key: int) -> tuple[int, int]:
        """Write, then read, both on the primary: there is no other place."""
        return _write_then_read(key, self.connection, self.connection)

    def connections(self) -> int:
        """What the pool counts as its own."""
        return int(self.pool.get_stats().get("pool_size", 0))

    def close(self) -> None:
        """Close the pool."""
        self.pool.close(timeout=2)


class Settings(Default):
    """psycopg_pool with every setting that helps, and a timer that shuts the socket of a call after 3 s."""

    name = "settings"
    deadline = 3.0
    extra: Mapping[str, str] = {
        "connect_timeout": "2",
        "keepalives_idle": "2",
        "keepalives_interval": "1",
        "keepalives_count": "3",
        "tcp_user_timeout": "3000",
    }
    how: Mapping[str, Any] = {"timeout": 3.0, "check": ConnectionPool.check_connection}

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection whose socket is shut when the deadline passes."""
        with self.pool.connection() as connection:
            timer = threading.Timer(self.deadline, _shut, [connection])
            timer.daemon = True
            timer.start()
            try:
                yield connection
            finally:
                timer.cancel()


class Reckless(Settings):
    """Tries a write again whatever happened: what the torture of writes must convict."""

    name = "reckless"

    def increment(self, key: int) -> None:
        """Write, up to 10 times."""
        for _ in range(10):
            with suppress(psycopg.Error):
                super().increment(key)
                return
            time.sleep(0.2)
        super().increment(key)


class NaiveReplicas(Default):
    """Reads go to the other host, whatever was written: what the torture of stale reads must convict."""

    name = "naive"

    def open(self, hosts: Hosts, dbname: str, user: str, password: str, **options: str) -> None:
        """Open a pool for the primary and one for the replicas."""
        super().open(hosts, dbname, user, password, **options)
        conninfo = dsn(hosts[1:] or hosts, dbname=dbname, user=user, password=password, **options)
        self.replicas = ConnectionPool(conninfo, min_size=4, open=True)

    def write_then_read(self, key: int) -> tuple[int, int]:
        """Write to the primary, read from the replica."""
        return _write_then_read(key, self.connection, self.replicas.connection)

    def close(self) -> None:
        """Close both pools."""
        super().close()
        self.replicas.close(timeout=2)


class Ours:
    """pgcohesion's manager and monitor: their defaults, with 4 connections a host and a deadline for a whole call."""

    name = "pgcohesion"
    deadline = 6.0

    def open(self, hosts: Hosts, dbname: str, user: str, password: str, **options: str) -> None:
        """Make the manager; nothing is opened before the first call."""
        common = {"dbname": dbname, "user": user, **options}
        places = {"host": ",".join(host for host, _ in hosts), "port": ",".join(str(port) for _, port in hosts)}
        targets = resolve({**places, **common}, Secret(password))
        settings = Connections(max_size=4, timeout=self.deadline)
        config = ConnectionConfig(tuple(targets), settings, read_replicas=True)
        self.manager = ConnectionManager(config)
        self.monitor = Monitor(config, self.manager.fleet, self.manager.tend_soon)
        self.monitor.start()

    def read(self) -> None:
        """Read; it may be tried again, and is not sent to a replica."""
        self.manager.execute(READ, idempotent=True)

    def increment(self, key: int) -> None:
        """Write once; it is tried again only when it surely had no effect."""
        self.manager.execute(WRITE, {"id": key})

    def write_then_read(self, key: int) -> tuple[int, int]:
        """Write and read in a session: the read goes wherever the write has arrived."""
        session = self.manager.session()
        ((wrote,),) = session.execute(WRITE_OWN, [key])
        ((read,),) = session.execute(READ_OWN, [key], readonly=True)
        return wrote, read

    def connections(self) -> int:
        """What the pools count."""
        return sum(pool.size for pool in self.manager.statistics().pools.values())

    def close(self) -> None:
        """Close all pools."""
        self.monitor.close(2)
        self.manager.close(2)


def _write_then_read(key: int, primary: Callable[[], Any], replica: Callable[[], Any]) -> tuple[int, int]:
    with primary() as connection:
        (wrote,) = connection.execute(WRITE_OWN, [key]).fetchone()
    with replica() as connection:
        (read,) = connection.execute(READ_OWN, [key]).fetchone()
    return wrote, read


def _shut(connection: psycopg.Connection[Any]) -> None:
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as twin:
        twin.shutdown(socket.SHUT_RDWR)


CONVICTS = (Reckless, NaiveReplicas)
CANDIDATES: Mapping[str, Callable[[], Candidate]] = {kind.name: kind for kind in (Default, Settings, Ours, *CONVICTS)}


def candidate(name: str) -> Candidate:
    """Make a candidate by its name. Raises SystemExit with the known names."""
    if name not in CANDIDATES:
        raise SystemExit(f"no candidate `{name}` (known: {', '.join(CANDIDATES)})")
    return CANDIDATES[name]()
