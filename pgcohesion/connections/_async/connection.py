"""psycopg's connection with a deadline that holds, and a look at its socket that costs no round trip."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, perf_counter
from typing import Any, Self

import psycopg
from psycopg.abc import RV, Params, PQGen, Query
from psycopg.adapt import AdaptersMap
from psycopg.pq import ConnStatus, TransactionStatus
from psycopg.rows import Row, tuple_row

from ...errors import DeadlineExceeded
from ..queries import Log, written
from ..waiting import Awaitable

OK = ConnStatus.OK
CANCEL = 0.1  # seconds for a cancel request, and then for the server to obey
INTERVAL = 0.1  # between two looks for Ctrl-C, as in psycopg
NoticeHandler = Callable[[psycopg.errors.Diagnostic], None]
RESTORE = 1.0  # seconds to roll back what a library left open


class AsyncConnection(psycopg.AsyncConnection[Row]):
    """A connection of a pool.

    With a *deadline* (of :func:`time.monotonic`), whatever waits for the server raises DeadlineExceeded when it has
    passed: a statement that runs is cancelled; a server that does not obey within 0.1 s loses the connection.
    """

    deadline: float | None = None
    timeout: float = 0.0  # what the deadline was made from, for messages
    expires: float = 0.0
    idle_since: float = 0.0
    holder: Any = None
    log: Log | None = None
    pool: Any = None
    peer: tuple[str, int] | None = None
    standby: bool = False
    readonly: bool = False  # what was announced: a write is then the program's mistake, not the host's
    gives_back: Callable[[Any], Awaitable[None]] | None = None
    _adapters_lent: AdaptersMap | None = None
    _handlers_lent: tuple[NoticeHandler, ...] = ()
    _dying: bool = False

    async def wait(self, gen: PQGen[RV], interval: float = INTERVAL, timeout: float | None = None) -> RV:
        """Wait for the server, until the deadline."""
        deadline = self.deadline
        if deadline is None:
            return await super().wait(gen, interval, timeout)
        left = deadline - monotonic()
        if left <= 0:
            raise self._late()
        try:
            return await super().wait(gen, interval, left if timeout is None or left < timeout else timeout)
        except psycopg.errors._WaitTimeout:  # noqa: SLF001  (what psycopg's wait() is documented to raise)
            if timeout is not None and timeout <= left:
                raise
        raise self._late(unknown=not await self._abandon(gen))

    async def _abandon(self, gen: PQGen[RV]) -> bool:
        """End the statement that runs, and return whether the server says that it did; if not, close the connection."""
        try:
            await self.cancel_safe(timeout=CANCEL)
            await super().wait(gen, INTERVAL, CANCEL)
        except psycopg.errors.QueryCanceled:
            return True
        except Exception:  # noqa: BLE001, S110  (a server that does not answer: whatever it is, the connection goes)
            pass
        if self.pgconn.transaction_status == TransactionStatus.ACTIVE or self.pgconn.status != OK:
            self.pgconn.finish()
        return False

    def _late(self, *, unknown: bool = False) -> DeadlineExceeded:
        why = "the deadline covers waiting for a connection, connecting, trying again and the query"
        if unknown:
            why = "the server did not say whether the statement was done"
        return DeadlineExceeded(
            f"the database did not answer within {self.timeout:.3g} s",
            why=why,
            fix="give the call more time, or the query less to do",
            unknown=unknown,
        )

    def alive(self) -> bool:
        """Return whether the connection can be used: read what the server said while it was idle, if anything.

        Costs about a microsecond and never waits: a frozen server looks alive, and meets the deadline.
        """
        pgconn = self.pgconn
        try:
            pgconn.consume_input()  # unlike poll() it keeps the GIL: eight threads do not queue up for it
            pgconn.is_busy()  # parses: a FATAL comes as a notice
        except psycopg.Error:
            return False
        return not self._dying and pgconn.status == OK

    def watch(self) -> None:
        """Take note when the server ends the session while it is idle."""
        self.add_notice_handler(self._noticed)

    def _noticed(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        if diagnostic.severity_nonlocalized in ("FATAL", "PANIC"):
            self._dying = True

    # --- lent to a library ------------------------------------------------------------------------------------

    @property
    def adapters(self) -> AdaptersMap:
        """How values become text and back: the library's own while it holds the connection."""
        return super().adapters if self._adapters_lent is None else self._adapters_lent

    def add_notice_handler(self, callback: NoticeHandler) -> None:
        """Call *callback* at each notice, no longer than the connection is lent."""
        super().add_notice_handler(callback)
        if self.gives_back is not None:
            self._handlers_lent = (*self._handlers_lent, callback)

    async def lend(self, gives_back: Callable[[Any], Awaitable[None]], adapters: AdaptersMap | None) -> None:
        """Become what a library expects of a new connection; ``close()`` calls *gives_back*."""
        self.deadline = None
        self.gives_back, self._adapters_lent = gives_back, adapters
        await self.set_autocommit(False)

    async def restore(self) -> Exception | None:
        """Undo what a library may have set, and return why that cannot be: the connection is then closed."""
        self._adapters_lent = None
        handlers, self._handlers_lent = self._handlers_lent, ()
        for handler in handlers:
            self.remove_notice_handler(handler)
        self.row_factory, self.cursor_factory = tuple_row, self.pool.cursor  # type: ignore[assignment]
        if self.closed:
            return psycopg.OperationalError("the connection was lost") if self.broken else None
        self.timeout, self.deadline = RESTORE, monotonic() + RESTORE
        try:
            await self.rollback()
            await self.set_autocommit(True)
            await self._default_modes()
        except (psycopg.Error, DeadlineExceeded) as error:
            await self.end()
            return error
        return None

    async def _default_modes(self) -> None:
        if self.isolation_level is not None:
            await self.set_isolation_level(None)
        if self.read_only is not None:
            await self.set_read_only(None)
        if self.deferrable is not None:
            await self.set_deferrable(None)

    async def close(self) -> None:
        """Close the connection, or give it back to the pool that lent it."""
        back, self.gives_back = self.gives_back, None
        if back is None:
            await super().close()
        else:
            await back(self)

    async def end(self) -> None:
        """Close the connection itself."""
        self.gives_back = None
        await super().close()


class AsyncCursor(psycopg.AsyncCursor[Row]):
    """A cursor that counts what it executes."""

    async def execute(
        self, query: Query, params: Params | None = None, *, prepare: bool | None = None, binary: bool | None = None
    ) -> Self:
        """Execute a query."""
        log: Log | None = self._conn.log  # type: ignore[attr-defined]
        if log is None:
            return await super().execute(query, params, prepare=prepare, binary=binary)  # type: ignore[misc,arg-type]
        started = perf_counter()
        failed = True
        try:
            await super().execute(query, params, prepare=prepare, binary=binary)  # type: ignore[misc,arg-type]
            failed = False
        finally:
            seconds = perf_counter() - started
            text = query if isinstance(query, str) else written(query)
            log.add(text, seconds, self._rows(failed), failed)
            if seconds > log.slow:
                log.report(text, seconds)
        return self

    def _rows(self, failed: bool) -> int:
        result = self.pgresult
        return 0 if failed or result is None else self.rowcount
