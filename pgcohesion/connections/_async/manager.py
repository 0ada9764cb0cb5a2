"""Connections to a cluster for an application: the right server, one deadline, trying again only what is safe."""

from __future__ import annotations

import os
import random
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from copy import copy
from itertools import count
from math import inf
from time import monotonic
from typing import Any, Literal, Self, TypeVar

import psycopg
from psycopg.adapt import AdaptersMap
from psycopg.rows import namedtuple_row
from psycopg.sql import SQL, Composable, Composed

from ...errors import CircuitOpen, CohesionError, Exhausted, OutcomeUnknown, PoolClosed, Unreachable
from ..fleet import Fleet, Host
from ..holders import Holder
from ..queries import Queries
from ..sqlstates import Effect, effect, lost
from ..statistics import Counters, Statistics
from ..target import ConnectionConfig
from ..waiting import Awaitable, async_sleep
from .checkout import AsyncCheckout
from .connection import AsyncConnection
from .pool import AsyncPool, ConnectFailed, Full
from .session import AsyncSession

T = TypeVar("T")
Committed = Callable[[AsyncConnection[Any]], Awaitable[None]]
"""Called with the connection when a write is committed."""
Isolation = Literal["read committed", "repeatable read", "serializable"]
STAGGER = 0.5  # seconds that one host is waited for while there are others to try
POSITION = """SELECT pg_catalog.pg_wal_lsn_diff(CASE WHEN pg_catalog.pg_is_in_recovery()
    THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_insert_lsn() END, '0/0')::bigint"""


class AsyncConnectionManager:
    """The pools of a cluster's hosts behind one door. Nothing is opened before the first use.

    Methods take *timeout* in seconds (default ``[connections] timeout``; ``math.inf`` for none), a deadline for the
    whole call, and *readonly*, with which a replica may answer when the feature ``read_replicas`` is on. They raise
    Unreachable (at once, with the server's words, when trying again is useless), CircuitOpen, Exhausted,
    DeadlineExceeded, PoolClosed; errors of statements are psycopg's.
    """

    def __init__(self, config: ConnectionConfig, fleet: Fleet | None = None) -> None:
        self.config = config
        self.fleet = fleet or Fleet.of(config)
        self.counters = Counters()
        self.on_slow: list[Callable[[str, float], None]] = []
        monitoring = config.monitoring
        slow = min(monitoring.slow_query, config.settings.breaker.slow)
        self.queries = Queries(monitoring.queries, slow, self._slow) if config.query_statistics else None
        self.pools: dict[Host, AsyncPool] = {
            host: AsyncPool(
                host, self.fleet, config.settings, application_name=config.application_name, queries=self.queries
            )
            for host in self.fleet.hosts
        }
        self._closed = False
        self._replicas = config.read_replicas
        self.fleet.watchers.append(self._watch)
        _managers.add(self)

    # --- for applications ---------------------------------------------------------------------------------

    def connection(self, *, readonly: bool = False, timeout: float | None = None, lsn: int = 0) -> AsyncCheckout:
        """Give a connection in autocommit mode: ``with manager.connection() as connection``."""
        return AsyncCheckout(self, readonly, timeout, lsn)

    @asynccontextmanager
    async def transaction(
        self,
        *,
        readonly: bool = False,
        isolation: Isolation | None = None,
        timeout: float | None = None,
        lsn: int = 0,
        committed: Committed | None = None,
    ) -> AsyncIterator[AsyncConnection[Any]]:
        """Give a connection within a transaction: committed at the end, rolled back on an error. Never tried again.

        Raises OutcomeUnknown when the connection was lost during COMMIT.
        """
        committing = False
        try:
            async with self.connection(readonly=readonly, timeout=timeout, lsn=lsn) as connection:
                async with connection.transaction():
                    if readonly or isolation:
                        await connection.execute(_modes(readonly, isolation))
                    yield connection
                    committing = True
                committing = False
                if committed:
                    await committed(connection)
        except psycopg.Error as error:
            if committing and not readonly and effect(error, committing=True) is Effect.UNKNOWN:
                raise self.unknown(error) from error
            raise

    async def run(
        self,
        function: Callable[..., Awaitable[T]],
        *arguments: Any,
        readonly: bool = False,
        idempotent: bool = False,
        isolation: Isolation | None = None,
        timeout: float | None = None,
        lsn: int = 0,
        committed: Committed | None = None,
    ) -> T:
        """Call *function* with a connection and *arguments* in a transaction, and return what it returns.

        It is called again when the transaction surely left nothing behind: serialization failure, deadlock, a
        read-only server, a connection lost before COMMIT. With *idempotent* also when COMMIT's answer was lost.
        """
        until = self.until(timeout)
        for attempt in count():
            try:
                async with self.transaction(
                    readonly=readonly, isolation=isolation, timeout=until - monotonic(), lsn=lsn, committed=committed
                ) as connection:
                    return await function(connection, *arguments)
            except OutcomeUnknown:
                if not (idempotent and await self.pause(attempt, until)):
                    raise
                self.counters.unknown -= 1  # it is known to do no harm
            except psycopg.Error as error:
                if not self.worth(error, readonly) or not await self.pause(attempt, until):
                    raise
        raise AssertionError

    async def execute(
        self,
        query: str | Composable,
        values: Sequence[Any] | dict[str, Any] | None = None,
        *,
        readonly: bool = False,
        idempotent: bool = False,
        timeout: float | None = None,
        lsn: int = 0,
        committed: Committed | None = None,
    ) -> list[Any]:
        """Run one statement, which commits by itself, and return its rows as named tuples (none for a command).

        It runs again when it surely had no effect, or when *readonly* or *idempotent* say that this does no harm.
        Raises OutcomeUnknown when the connection was lost meanwhile.
        """
        until = self.until(timeout)
        for attempt in count():
            try:
                async with self.connection(readonly=readonly, timeout=until - monotonic(), lsn=lsn) as connection:
                    cursor = connection.cursor(row_factory=namedtuple_row)
                    await cursor.execute(query, values)  # type: ignore[arg-type]
                    rows = await cursor.fetchall() if cursor.rownumber is not None else []
                    if committed:
                        await committed(connection)
                    return rows
            except psycopg.Error as error:
                if not (readonly or idempotent) and effect(error, committing=True) is Effect.UNKNOWN:
                    raise self.unknown(error) from error
                if not self.worth(error, readonly) or not await self.pause(attempt, until):
                    raise
        raise AssertionError

    def session(self, position: int = 0) -> AsyncSession:
        """Return a session whose reads see its writes, and those up to *position*, whatever server answers."""
        return AsyncSession(self, position)

    async def lend(self, *, timeout: float | None = None, adapters: AdaptersMap | None = None) -> AsyncConnection[Any]:
        """Return a connection whose ``close()`` gives it back, for libraries that open theirs by themselves.

        It is not in autocommit mode, as DB-API has it, and has no deadline once it is lent. *adapters* and whatever is
        set on it hold until then. Errors are psycopg's, and ours is their ``__cause__``.
        """
        try:
            connection = await self.acquire(False, timeout)
        except CohesionError as error:
            if isinstance(error.__cause__, psycopg.Error):
                raise copy(error.__cause__) from error
            raise psycopg.OperationalError(f"{error.what}: {error.why}") from error
        await connection.lend(self._take_back, adapters)
        return connection

    async def _take_back(self, connection: AsyncConnection[Any]) -> None:
        await self.release(connection, await connection.restore())

    # --- acquire and release ----------------------------------------------------------------------------------

    def until(self, timeout: float | None) -> float:
        """Return the deadline (of time.monotonic) of a call that begins now."""
        return monotonic() + (self.config.settings.timeout if timeout is None else timeout)

    async def acquire(self, readonly: bool = False, timeout: float | None = None, lsn: int = 0) -> AsyncConnection[Any]:
        """Return a connection; :meth:`release` must follow. Use :meth:`connection` instead, which does both."""
        seconds = self.config.settings.timeout if timeout is None else timeout
        until = monotonic() + seconds
        host = self.fleet.primary
        connection: AsyncConnection[Any] | None = None
        problems: dict[Host, BaseException | str] = {}
        if host is not None and host.breaker.closed and not (readonly and self._replicas):
            connection = self.pools[host].take() or await self._try(host, until, problems, readonly, lsn)
        if connection is None:
            connection = await self._search(until, problems, readonly, lsn)
        connection.timeout, connection.readonly = seconds, readonly
        connection.deadline = None if until == inf else until
        return connection

    async def release(self, connection: AsyncConnection[Any], error: BaseException | None) -> None:
        """Take a connection back; *error* is what the work with it ended with."""
        host: Host = connection.pool.host
        log = connection.log
        if error is not None and (lost(error) or connection.closed):
            self.fleet.failed(host, str(error).strip())
        elif getattr(error, "sqlstate", None) == "25006" and len(self.pools) > 1 and not connection.readonly:
            self.fleet.not_primary(host, read_only=not connection.standby)
        elif log is not None and log.longest > self.config.settings.breaker.slow:
            self.fleet.failed(host, f"a query took {log.longest:.1f} s")
        else:
            host.breaker.success()
        if log is not None:
            log.longest = 0.0
        await connection.pool.release(connection)

    async def _search(
        self, until: float, problems: dict[Host, BaseException | str], readonly: bool, lsn: int
    ) -> AsyncConnection[Any]:
        """Try the hosts that come into question, again and again, until one lets us in or it is useless to go on."""
        for attempt in count():
            if self.fleet.hopeless() and not any(host.breaker.allow() for host in self.fleet.hosts):
                self.counters.refused += 1
                why = "\n".join(f"{host.name}: {host.problem}" for host in self.fleet.hosts)
                raise CircuitOpen(self._message(), why=f"it has been down for a while\n{why}")
            hosts = self.fleet.readable(self._load, lsn) if readonly else self.fleet.writable()
            for position, host in enumerate(hosts):
                if not host.breaker.allow():
                    problems.setdefault(host, host.problem or "it does not answer")
                    continue
                alone = position == len(hosts) - 1
                stop = until if alone else min(until, monotonic() + STAGGER)
                connection = await self._try(host, stop, problems, readonly, lsn)
                if connection is not None:
                    return connection
            if self._useless(problems):
                raise self._unreachable(problems) from self._cause(problems)
            if not await self.pause(attempt, until):
                raise self._unreachable(problems) from self._cause(problems)
        raise AssertionError

    async def _try(
        self, host: Host, until: float, problems: dict[Host, BaseException | str], readonly: bool, lsn: int
    ) -> AsyncConnection[Any] | None:
        pool = self.pools[host]
        try:
            connection = await pool.acquire(until)
        except ConnectFailed as failure:
            problems[host] = failure
            return None
        except Full as full:
            if pool.load >= self.config.settings.max_size:
                holders = "\n".join(str(holder) for holder in pool.held()[:5])
                raise Exhausted(
                    f"no connection to {host.name} came free in time",
                    why=f"{full}\n{holders}".strip(),
                    fix="give them back sooner, or raise [connections] max_size",
                ) from None
            problems[host] = "it did not answer in time"
            return None
        connection.deadline = None if until == inf else until
        try:
            problem = await self._unfit(host, connection, readonly, lsn, until)
        except BaseException as error:
            await self.release(connection, error)
            if not isinstance(error, psycopg.Error):
                raise
            problems[host] = error
            return None
        if problem:
            problems[host] = problem
            await pool.release(connection)
            return None
        return connection

    async def _unfit(
        self, host: Host, connection: AsyncConnection[Any], readonly: bool, lsn: int, until: float
    ) -> str | None:
        """Return why this server cannot do this call, or None."""
        if not connection.standby:
            return None
        if not readonly:
            elsewhere = len(self.pools) > 1 and await connection.pool.look(connection)
            return "it is a standby" if elsewhere else None
        if lsn and not await self._arrived(host, connection, lsn, until):
            return "it has not replayed what this session wrote"
        return None

    async def _arrived(self, host: Host, connection: AsyncConnection[Any], lsn: int, until: float) -> bool:
        """Return whether a standby has replayed *lsn*, waiting a little for it."""
        patience = min(until, monotonic() + self.config.settings.replicas.wait)
        while host.seen.lsn < lsn:
            (position,) = await (await connection.execute(POSITION)).fetchone()  # type: ignore[misc]
            if position >= lsn:
                return True
            if monotonic() >= patience:
                return False
            await async_sleep(0.005)
        return True

    def _load(self, host: Host) -> int:
        return self.pools[host].load

    # --- trying again --------------------------------------------------------------------------------------------

    def worth(self, error: psycopg.Error, readonly: bool) -> bool:
        """Return whether running it again may help, given that it does no harm."""
        if not self.config.retry or self._closed:
            return False
        if error.sqlstate == "25006":
            return not readonly and len(self.pools) > 1
        return effect(error, committing=False) is Effect.NONE

    async def pause(self, attempt: int, until: float) -> bool:
        """Wait for a moment (full jitter) and return True, or False when the deadline comes before its end."""
        settings = self.config.settings
        longest = min(settings.max_backoff, settings.backoff * 2 ** min(attempt, 16))
        seconds = random.uniform(0.0, longest)  # noqa: S311
        if monotonic() + seconds >= until or not self.config.retry or self._closed:
            return False
        self.counters.retries += 1
        await async_sleep(seconds)
        return monotonic() < until  # a busy machine sleeps for longer

    def unknown(self, error: psycopg.Error) -> OutcomeUnknown:
        """Count a COMMIT whose answer was lost, and return what to raise."""
        self.counters.unknown += 1
        return OutcomeUnknown(
            "the connection was lost while the work was committed; it may be done, or not",
            why=str(error).strip(),
            fix="look before you do it again; work that may be done twice can say idempotent=True",
        )

    def _useless(self, problems: dict[Host, BaseException | str]) -> bool:
        """Return whether every host said what it would say again, or none has ever let anybody in."""
        failures = [problem for problem in problems.values() if isinstance(problem, ConnectFailed)]
        if len(failures) < len(self.pools):
            return False
        return not self.fleet.ever_up or all(failure.final for failure in failures)

    def _message(self) -> str:
        names = ", ".join(host.name for host in self.fleet.hosts)
        return f"cannot connect to database `{self.config.database}` at {names}"

    def _unreachable(self, problems: dict[Host, BaseException | str]) -> Unreachable | PoolClosed:
        if self._closed:
            return PoolClosed("the connections are closed", why="the program is shutting down")
        why = "\n".join(f"{host.name}: {problem}" for host, problem in problems.items())
        fix = f"look at {self.config.source}" if self.config.source else ""
        return Unreachable(self._message(), why=why, fix=fix)

    def _cause(self, problems: dict[Host, BaseException | str]) -> BaseException | None:
        return next((p.__cause__ for p in problems.values() if isinstance(p, ConnectFailed)), None)

    # --- looking after --------------------------------------------------------------------------------------------

    def _slow(self, text: str, seconds: float) -> None:
        if seconds < self.config.monitoring.slow_query:
            return
        self.counters.slow_queries += 1
        for listener in self.on_slow:
            listener(text, seconds)

    def _watch(self, event: str, host: Host) -> None:
        if event == "failover":
            self.counters.failovers += 1
        elif event == "obsolete":
            self.pools[host].cut()
        elif event == "up":
            self.pools[host].refresh_soon()

    async def tend(self) -> None:
        """Close connections that were idle for too long, open those that should be there."""
        for pool in self.pools.values():
            await pool.tend()

    def tend_soon(self) -> None:
        """Do the same from any thread."""
        for pool in self.pools.values():
            pool.tend_soon()

    def held(self, longer_than: float = 0.0) -> list[Holder]:
        """Return who holds connections for longer than so many seconds."""
        return [holder for pool in self.pools.values() for holder in pool.held(longer_than)]

    def statistics(self) -> Statistics:
        """Return all numbers."""
        return Statistics(
            self.fleet.status(),
            {host.name: pool.statistics() for host, pool in self.pools.items()},
            self.counters,
            self.queries.all() if self.queries else (),
        )

    async def close(self, timeout: float = 10.0) -> None:
        """Take no more work, wait until all connections came back, and close them; after *timeout*, cancel."""
        self._closed = True
        until = monotonic() + timeout
        for pool in self.pools.values():
            await pool.close(max(0.0, until - monotonic()))
        if self._watch in self.fleet.watchers:
            self.fleet.watchers.remove(self._watch)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


ISOLATION = {
    "read committed": SQL("ISOLATION LEVEL READ COMMITTED"),
    "repeatable read": SQL("ISOLATION LEVEL REPEATABLE READ"),
    "serializable": SQL("ISOLATION LEVEL SERIALIZABLE"),
}


def _modes(readonly: bool, isolation: Isolation | None) -> Composed:
    modes = [SQL("READ ONLY")] if readonly else []
    modes += [ISOLATION[isolation]] if isolation else []
    return SQL("SET TRANSACTION {}").format(SQL(", ").join(modes))


_managers: weakref.WeakSet[AsyncConnectionManager] = weakref.WeakSet()


def _forked() -> None:
    for manager in _managers:
        for pool in manager.pools.values():
            pool.forget()


os.register_at_fork(after_in_child=_forked)
