"""Read your writes: a session's reads go to a replica only when it has what the session wrote."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg.sql import Composable

from ...errors import DeadlineExceeded
from ..waiting import Awaitable
from .connection import AsyncConnection

if TYPE_CHECKING:
    from .manager import AsyncConnectionManager, Isolation

T = TypeVar("T")
EVERYTHING = (1 << 63) - 1  # no replica has this: reads go to the primary
WRITTEN = "SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '0/0')::bigint"


class AsyncSession:
    """The calls of one user: as the manager's own, and each read sees the session's writes.

    *position* is where the last write stands in the write-ahead log, in bytes (PostgreSQL's manual, "WAL Internals").
    Keep it, in a cookie say, and give it to ``manager.session(position)`` in the user's next request.
    """

    def __init__(self, manager: AsyncConnectionManager, position: int = 0) -> None:
        self._manager, self.position = manager, position

    @asynccontextmanager
    async def connection(
        self, *, readonly: bool = False, timeout: float | None = None
    ) -> AsyncIterator[AsyncConnection[Any]]:
        """Give a connection in autocommit mode."""
        async with self._manager.connection(readonly=readonly, timeout=timeout, lsn=self.position) as connection:
            yield connection
            await self._wrote(connection, readonly)

    @asynccontextmanager
    async def transaction(
        self, *, readonly: bool = False, isolation: Isolation | None = None, timeout: float | None = None
    ) -> AsyncIterator[AsyncConnection[Any]]:
        """Give a connection within a transaction."""
        async with self._manager.transaction(
            readonly=readonly, isolation=isolation, timeout=timeout, lsn=self.position, committed=self._keeper(readonly)
        ) as connection:
            yield connection

    async def run(
        self,
        function: Callable[..., Awaitable[T]],
        *arguments: Any,
        readonly: bool = False,
        idempotent: bool = False,
        isolation: Isolation | None = None,
        timeout: float | None = None,
    ) -> T:
        """Call *function* with a connection in a transaction, again when that is safe."""
        return await self._manager.run(
            function,
            *arguments,
            readonly=readonly,
            idempotent=idempotent,
            isolation=isolation,
            timeout=timeout,
            lsn=self.position,
            committed=self._keeper(readonly),
        )

    async def execute(
        self,
        query: str | Composable,
        values: Sequence[Any] | dict[str, Any] | None = None,
        *,
        readonly: bool = False,
        idempotent: bool = False,
        timeout: float | None = None,
    ) -> list[Any]:
        """Run one statement and return its rows."""
        return await self._manager.execute(
            query,
            values,
            readonly=readonly,
            idempotent=idempotent,
            timeout=timeout,
            lsn=self.position,
            committed=self._keeper(readonly),
        )

    def _keeper(self, readonly: bool) -> Callable[[AsyncConnection[Any]], Awaitable[None]] | None:
        return None if readonly else self._keep

    async def _wrote(self, connection: AsyncConnection[Any], readonly: bool) -> None:
        if not readonly:
            await self._keep(connection)

    async def _keep(self, connection: AsyncConnection[Any]) -> None:
        """Remember where the log stands after a write; not needed, and not asked for, without replicas."""
        if not self._manager.config.read_replicas or connection.standby:
            return
        try:
            (self.position,) = await (await connection.execute(WRITTEN)).fetchone()  # type: ignore[misc]
        except (psycopg.Error, DeadlineExceeded):
            self.position = EVERYTHING  # the write is done, and must not look as if it were not
