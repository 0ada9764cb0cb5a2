"""Looks at each host all the time: who is the primary, how far the replicas are, who is back. A thread a host.

One look is one statement on a connection of its own. A host that is down is knocked at by TCP, which costs it nothing
and is answered the moment it is back.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg

from ..errors import CohesionError
from ._sync.connection import Connection
from .fleet import Fleet, Host, Seen
from .target import ConnectionConfig, arguments

LOOK = """
SELECT pg_catalog.pg_is_in_recovery() AS standby,
       CASE WHEN pg_catalog.current_setting('transaction_read_only')::bool  -- of the server, not of this role
            THEN (SELECT source NOT IN ('user', 'database user', 'client') FROM pg_catalog.pg_settings
                   WHERE name = 'default_transaction_read_only') ELSE false END AS read_only,
       CASE WHEN pg_catalog.pg_is_in_recovery()
            THEN pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_last_wal_replay_lsn(), '0/0')
            ELSE pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '0/0') END::bigint AS position,
       CASE WHEN pg_catalog.pg_is_in_recovery() THEN 0
            ELSE ('x' || substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8))::bit(32)::int
       END AS timeline
"""
KNOCK = 0.25  # seconds for the kernel of a host that is down to answer, and at most between two knocks
FIRST_KNOCK = 0.05  # seconds before the first one
HURRY = 0.1  # seconds between two looks while no primary is known
MISSES = 2  # looks in a row without an answer, after which a host is taken for down


class Monitor:
    """Watches the hosts of *fleet* from :meth:`start` to :meth:`close`; *every* is called about once an interval."""

    def __init__(self, config: ConnectionConfig, fleet: Fleet, every: Callable[[], None] = lambda: None) -> None:
        self._config, self._fleet, self._every = config, fleet, every
        self._stop = threading.Event()
        self._wakes = {host: threading.Event() for host in fleet.hosts}
        self._threads: list[threading.Thread] = []
        self.looks = 0
        self.looked = threading.Event()  # every host was looked at once, or did not answer

    @property
    def running(self) -> bool:
        """Whether it watches."""
        return any(thread.is_alive() for thread in self._threads)

    def start(self) -> None:
        """Begin to watch; nothing happens when it does already."""
        if self.running:
            return
        self._stop.clear()
        self._fleet.watchers.append(self._hear)
        self._pending = set(self._fleet.hosts)
        self._threads = [
            threading.Thread(target=self._watch, args=(host,), name=f"pgcohesion-monitor {host.name}", daemon=True)
            for host in self._fleet.hosts
        ]
        self._threads.append(threading.Thread(target=self._housekeep, name="pgcohesion-housekeeping", daemon=True))
        for thread in self._threads:
            thread.start()

    def close(self, timeout: float = 5.0) -> None:
        """Stop watching."""
        self._stop.set()
        self._wake()
        if self._hear in self._fleet.watchers:
            self._fleet.watchers.remove(self._hear)
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))

    def _hear(self, event: str, host: Host) -> None:
        """Look at all hosts at once when one goes: another may be the primary now."""
        if event in ("down", "role"):
            self._wake()

    def _wake(self) -> None:
        for wake in self._wakes.values():
            wake.set()

    def _nap(self, host: Host) -> None:
        interval = self._config.monitoring.interval
        self._wakes[host].wait(min(interval, HURRY) if self._fleet.headless else interval)
        self._wakes[host].clear()

    def _housekeep(self) -> None:
        while not self._stop.wait(self._config.monitoring.interval):
            with contextlib.suppress(Exception):
                self._every()

    def _watch(self, host: Host) -> None:
        connection: Connection[Any] | None = None
        misses, pause = 0, FIRST_KNOCK
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                if connection is None:
                    connection = self._connect(host)
                self._fleet.report(host, self._look(connection))
                misses, pause = 0, FIRST_KNOCK
            except (psycopg.Error, CohesionError, OSError) as error:
                gone, connection = connection, None
                if gone is not None:
                    gone.pgconn.finish()
                if host.good_at < started:  # a server that answers others is only slow
                    misses += 1
                if misses >= MISSES:
                    self._fleet.down(host, str(error).strip())
                    self._looked(host)
                    pause = self._knock(host, pause)
                    continue
            self._looked(host)
            if misses == 0:
                self._nap(host)
        if connection is not None:
            connection.close()

    def _looked(self, host: Host) -> None:
        self.looks += 1
        self._pending.discard(host)
        if not self._pending:
            self.looked.set()

    def _connect(self, host: Host) -> Connection[Any]:
        self._reach(host, self._config.monitoring.timeout)
        name = f"{self._config.application_name} monitor"
        connection: Connection[Any] = Connection.connect(
            **arguments(host.target, self._config.settings, name), autocommit=True, prepare_threshold=None
        )
        return connection

    def _look(self, connection: Connection[Any]) -> Seen:
        started = time.monotonic()
        connection.timeout = self._config.monitoring.timeout
        connection.deadline = started + connection.timeout
        row = connection.execute(LOOK).fetchone()
        assert row is not None
        standby, read_only, position, timeline = row
        role = "standby" if standby else "primary"
        return Seen(role, bool(read_only) and not standby, position or 0, timeline, time.monotonic() - started)  # type: ignore[arg-type]

    def _knock(self, host: Host, pause: float) -> float:
        """Wait until the host's kernel answers at PostgreSQL's port; each knock is new: no old SYN is waited for.

        Returns the pause before the next one, should PostgreSQL itself not let us in.
        """
        while not self._stop.wait(pause):
            pause = min(2 * pause, KNOCK)
            try:
                self._reach(host, KNOCK)
            except OSError:
                continue
            break
        return pause

    def _reach(self, host: Host, seconds: float) -> None:
        """Raise OSError unless something listens there."""
        where, port = host.target.hostaddr or host.target.host, host.target.port
        if where.startswith("/") or not where:
            return  # a socket's folder: connecting to it tells at once
        with socket.create_connection((where, port), timeout=seconds):
            pass
