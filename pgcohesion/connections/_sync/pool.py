# Made by tools/sync.py from ../_async/pool.py: change that.
"""The connections to one host: taken last in, first out, opened aside, looked at before they are given."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from time import monotonic
from typing import Any

import psycopg
from msgspec.structs import replace
from psycopg.pq import TransactionStatus

from ...config.model import Connections
from ...errors import DeadlineExceeded, PoolClosed
from ..fleet import Fleet, Host
from ..holders import Holder, holder
from ..queries import Queries
from ..sockets import shut
from ..sqlstates import permanent
from ..statistics import PoolStatistics
from ..target import arguments
from ..waiting import Crew, Waiter, sleep
from .connection import CANCEL, Connection, Cursor

ROLLBACK = 1.0  # seconds for the rollback of a transaction that somebody left open
PAUSE = 0.01  # seconds between two looks at what is still in use
GRACE = 0.5  # seconds for cancelled work to come back
JOIN = 1.0  # seconds for attempts to connect to end


class ConnectFailed(Exception):
    """A connection could not be opened; ``__cause__`` says why. *final*: nor will the next one."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error).strip())
        self.__cause__ = error
        self.final = permanent(error)


class Full(Exception):
    """No connection came free in time, or too many wait already."""


class Pool:
    """At most *max_size* connections to *host*."""

    cursor: type[Cursor[Any]] = Cursor

    def __init__(
        self, host: Host, fleet: Fleet, settings: Connections, *, application_name: str, queries: Queries | None
    ) -> None:
        self.host, self._fleet, self._settings = host, fleet, settings
        self._application_name, self._queries = application_name, queries
        self._lock = threading.Lock()  # never held while something waits
        self._idle: deque[Connection[Any]] = deque()
        self._waiting: deque[Waiter[Connection[Any] | ConnectFailed]] = deque()
        self._all: set[Connection[Any]] = set()
        self._opening = self._generation = 0
        self._crew = Crew()
        self.closing = False
        self.past = PoolStatistics()  # counters; what is now is filled in by statistics()

    # --- taking and giving back ---------------------------------------------------------------------------

    def take(self) -> Connection[Any] | None:
        """Return an idle connection that is alive, if there is one: the way of most calls, without a wait or a lock."""
        try:
            connection = self._idle.pop()
        except IndexError:
            return None
        if monotonic() < connection.expires and connection.alive():
            connection.holder = holder()
            return connection
        self._idle.append(connection)  # acquire() will see to it
        return None

    def acquire(self, until: float) -> Connection[Any]:
        """Return a connection that is alive.

        Raises ConnectFailed at once when none can be opened, Full when none came by *until* (of time.monotonic).
        """
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = self._wait(until)
            if monotonic() < connection.expires and connection.alive():
                connection.holder = holder()
                return connection
            self._discard(connection)

    def _wait(self, until: float) -> Connection[Any]:
        waiter: Waiter[Connection[Any] | ConnectFailed] = Waiter()
        with self._lock:
            if self.closing:
                raise PoolClosed("the connections are closed", why="the program is shutting down")
            if len(self._waiting) >= self._settings.max_waiting:
                raise Full(f"{len(self._waiting)} others wait already")
            self._waiting.append(waiter)
            self.past.waited += 1
        started = monotonic()
        try:
            self._open_more()
            self._serve()  # one may have come back meanwhile
            got = waiter.wait(until - started)
        except BaseException:
            self._leave(waiter)
            raise
        self.past.wait_seconds += monotonic() - started
        if got is None:
            got = self._leave(waiter, keep=True)
        if got is None:
            self.past.timeouts += 1
            raise Full(f"all {len(self._all)} are in use" if not self._opening else "none could be opened so far")
        if isinstance(got, ConnectFailed):
            raise got
        return got

    def _leave(
        self, waiter: Waiter[Connection[Any] | ConnectFailed], *, keep: bool = False
    ) -> Connection[Any] | ConnectFailed | None:
        """Take *waiter* out of the queue; what it was given in the last moment is kept, or goes to the next."""
        with self._lock, contextlib.suppress(ValueError):
            self._waiting.remove(waiter)
        if waiter.value is not None and not keep and not isinstance(waiter.value, ConnectFailed):
            self._put(waiter.value)
        return waiter.value

    def release(self, connection: Connection[Any]) -> None:
        """Take a connection back: a transaction that was left open is rolled back, a broken one is closed."""
        connection.holder = connection.deadline = None
        status = connection.pgconn.transaction_status
        if (status != TransactionStatus.IDLE and not self._mended(connection, status)) or self.closing:
            self._discard(connection)
        else:
            self._put(connection)

    def _mended(self, connection: Connection[Any], status: int) -> bool:
        if status not in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            return False
        connection.deadline = monotonic() + ROLLBACK
        with contextlib.suppress(psycopg.Error, DeadlineExceeded):
            connection.rollback()
        connection.deadline = None
        return connection.pgconn.transaction_status == TransactionStatus.IDLE

    def _put(self, connection: Connection[Any]) -> None:
        connection.idle_since = self.host.good_at = monotonic()
        self._idle.append(connection)
        if self._waiting:
            self._serve()

    def _serve(self) -> None:
        """Hand idle connections to those who wait, the oldest first."""
        with self._lock:
            while self._waiting:
                try:
                    connection = self._idle.pop()
                except IndexError:
                    return
                self._waiting.popleft().set(connection)

    def _discard(self, connection: Connection[Any]) -> None:
        with self._lock:
            self._all.discard(connection)
            self.past.discarded += 1
        if self._queries and connection.log:
            self._queries.retire(connection.log)
        with contextlib.suppress(Exception):
            connection.end()
        if self._waiting:
            self._open_more()

    # --- opening ----------------------------------------------------------------------------------------------

    def _open_more(self) -> None:
        """Open as many as are waited for, up to the limit."""
        while True:
            with self._lock:
                room = self._settings.max_size - len(self._all) - self._opening
                if room <= 0 or self._opening >= len(self._waiting):
                    return
                self._opening += 1
                generation = self._generation
            self._crew.start(self._open, generation)

    def _open(self, generation: int) -> None:
        try:
            connection = self._connect()
        except Exception as error:  # noqa: BLE001  (whatever it is, who waits shall hear of it)
            self._failed(ConnectFailed(error), generation)
            return
        with self._lock:
            spare = self.closing or len(self._all) >= self._settings.max_size
            self._all.add(connection)
        self._opened(generation)
        self.past.opened += 1
        self._fleet.connected(self.host)
        if spare:
            self._discard(connection)
        else:
            self._put(connection)

    def _opened(self, generation: int) -> None:
        """Count an attempt to connect as ended, unless :meth:`refresh` has given it up."""
        with self._lock:
            if generation == self._generation:
                self._opening -= 1

    def _connect(self) -> Connection[Any]:
        settings = self._settings
        connection: Connection[Any] = Connection.connect(
            **arguments(self.host.target, settings, self._application_name),
            autocommit=True,
            prepare_threshold=None if settings.pooler == "transaction" else settings.prepare_threshold,
            cursor_factory=self.cursor,
        )
        connection.pool = self
        connection.watch()
        connection.expires = monotonic() + settings.max_lifetime
        connection.log = self._queries.log() if self._queries else None
        if address := connection.pgconn.hostaddr:
            connection.peer = (address.decode(), int(connection.pgconn.port))
        connection.timeout = settings.connect_timeout
        connection.deadline = monotonic() + settings.connect_timeout
        try:
            self.look(connection)
        except BaseException:
            connection.pgconn.finish()
            raise
        connection.deadline = None
        return connection

    def look(self, connection: Connection[Any]) -> bool:
        """Return whether the server behind a connection is a standby; PostgreSQL 14 and newer say so by themselves."""
        told = connection.pgconn.parameter_status(b"in_hot_standby")
        if told is None or connection.standby:
            cursor = connection.execute("SELECT pg_catalog.pg_is_in_recovery()")
            (connection.standby,) = cursor.fetchone()  # type: ignore[misc]
        else:
            connection.standby = told == b"on"
        if connection.standby:
            self._fleet.not_primary(self.host)
        return connection.standby

    def _failed(self, failure: ConnectFailed, generation: int) -> None:
        self._opened(generation)
        self.past.failed += 1
        with self._lock:
            current = generation == self._generation
            waiter = self._waiting.popleft() if current and self._waiting else None
        if not current:
            return
        self._fleet.failed(self.host, str(failure))
        if waiter is not None:
            waiter.set(failure)
        self._open_more()

    # --- looking after ------------------------------------------------------------------------------------------

    def tend(self) -> None:
        """Close what was idle for too long, beyond *min_size*; open what is missing to it."""
        longest = monotonic() - self._settings.max_idle
        while len(self._all) > self._settings.min_size:
            try:
                connection = self._idle.popleft()  # the one that was not used for longest
            except IndexError:
                break
            if connection.idle_since >= longest:
                self._idle.appendleft(connection)
                break
            self._discard(connection)
        with self._lock:
            missing = max(0, self._settings.min_size - len(self._all) - self._opening)
            self._opening += missing
            generation = self._generation
        for _ in range(missing):
            self._crew.start(self._open, generation)

    def tend_soon(self) -> None:
        """Do the same from any thread."""
        self._crew.soon(self.tend)

    def refresh_soon(self) -> None:
        """Do :meth:`refresh` from any thread."""
        self._crew.post(self.refresh)

    def refresh(self) -> None:
        """Give up on connections that are being opened: the host answers again, and theirs may hang for seconds."""
        with self._lock:
            self._generation += 1
            self._opening = 0
        self._open_more()

    def cut(self) -> None:
        """Shut the sockets of all connections from outside: this host is not the primary any more."""
        for connection in tuple(self._all):
            with contextlib.suppress(OSError, psycopg.Error):
                shut(connection.pgconn.socket, connection.peer)

    def close(self, seconds: float) -> None:
        """Close idle connections now, those in use when they come back; after *seconds*, cancel what still runs."""
        with self._lock:
            self.closing = True
            waiting, self._waiting = tuple(self._waiting), deque()
        for waiter in waiting:
            waiter.set(ConnectFailed(psycopg.OperationalError("the program is shutting down")))
        self._emptied(seconds)
        for connection in tuple(self._all):
            with contextlib.suppress(Exception):
                connection.cancel_safe(timeout=CANCEL)
            self.past.cancelled += 1
        self._emptied(GRACE if self._all else 0.0)
        self.cut()
        self._crew.join(JOIN)

    def _emptied(self, seconds: float) -> None:
        """Close what comes back, until all have or the time is up."""
        until = monotonic() + seconds
        while True:
            try:
                self._discard(self._idle.pop())
            except IndexError:
                if not self._all or monotonic() >= until:
                    return
                sleep(PAUSE)

    def forget(self) -> None:
        """Drop all connections without a word: in a forked child they belong to the parent."""
        _others.extend(self._all)
        self._lock = threading.Lock()
        self._idle, self._waiting, self._all = deque(), deque(), set()
        self._opening, self._crew = 0, Crew()

    def statistics(self) -> PoolStatistics:
        """Return what is now, and the counters since the start."""
        idle = len(self._idle)
        return replace(
            self.past,
            size=len(self._all),
            idle=idle,
            in_use=len(self._all) - idle,
            waiting=len(self._waiting),
            opening=self._opening,
        )

    def held(self, longer_than: float = 0.0) -> list[Holder]:
        """Return who holds connections for longer than so many seconds, the longest first."""
        now = monotonic()
        holders = [connection.holder for connection in tuple(self._all)]
        return sorted((h for h in holders if h is not None and now - h.since >= longer_than), key=lambda h: h.since)

    @property
    def load(self) -> int:
        """How many are in use or wanted."""
        return len(self._all) - len(self._idle) + len(self._waiting)


_others: list[Any] = []  # a parent's connections: closing them would end its sessions
