# Made by tools/sync.py from ../_async/session.py: change that.
"""Read your writes: a session's reads go to a replica only when it has what the session wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg.sql import Composable

from ...errors import DeadlineExceeded
from ..waiting import Answer
from .connection import Connection

if TYPE_CHECKING:
    from .manager import ConnectionManager, Isolation

T = TypeVar("T")
EVERYTHING = (1 << 63) - 1  # no replica has this: reads go to the primary
WRITTEN = "SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '0/0')::bigint"


class Session:
    """The calls of one user: as the manager's own, and each read sees the session's writes.

    *position* is where the last write stands in the write-ahead log, in bytes (PostgreSQL's manual, "WAL Internals").
    Keep it, in a cookie say, and give it to ``manager.session(position)`` in the user's next request.
    """

    def __init__(self, manager: ConnectionManager, position: int = 0) -> None:
        self._manager, self.position = manager, position

    @contextmanager
    def connection(self, *, readonly: bool = False, timeout: float | None = None) -> Iterator[Connection[Any]]:
        """Give a connection in autocommit mode."""
        with self._manager.connection(readonly=readonly, timeout=timeout, lsn=self.position) as connection:
            yield connection
            self._wrote(connection, readonly)

    @contextmanager
    def transaction(
        self, *, readonly: bool = False, isolation: Isolation | None = None, timeout: float | None = None
    ) -> Iterator[Connection[Any]]:
        """Give a connection within a transaction."""
        with self._manager.transaction(
            readonly=readonly, isolation=isolation, timeout=timeout, lsn=self.position, committed=self._keeper(readonly)
        ) as connection:
            yield connection

    def run(
        self,
        function: Callable[..., Answer[T]],
        *arguments: Any,
        readonly: bool = False,
        idempotent: bool = False,
        isolation: Isolation | None = None,
        timeout: float | None = None,
    ) -> T:
        """Call *function* with a connection in a transaction, again when that is safe."""
        return self._manager.run(
            function,
            *arguments,
            readonly=readonly,
            idempotent=idempotent,
            isolation=isolation,
            timeout=timeout,
            lsn=self.position,
            committed=self._keeper(readonly),
        )

    def execute(
        self,
        query: str | Composable,
        values: Sequence[Any] | dict[str, Any] | None = None,
        *,
        readonly: bool = False,
        idempotent: bool = False,
        timeout: float | None = None,
    ) -> list[Any]:
        """Run one statement and return its rows."""
        return self._manager.execute(
            query,
            values,
            readonly=readonly,
            idempotent=idempotent,
            timeout=timeout,
            lsn=self.position,
            committed=self._keeper(readonly),
        )

    def _keeper(self, readonly: bool) -> Callable[[Connection[Any]], Answer[None]] | None:
        return None if readonly else self._keep

    def _wrote(self, connection: Connection[Any], readonly: bool) -> None:
        if not readonly:
            self._keep(connection)

    def _keep(self, connection: Connection[Any]) -> None:
        """Remember where the log stands after a write; not needed, and not asked for, without replicas."""
        if not self._manager.config.read_replicas or connection.standby:
            return
        try:
            (self.position,) = (connection.execute(WRITTEN)).fetchone()  # type: ignore[misc]
        except (psycopg.Error, DeadlineExceeded):
            self.position = EVERYTHING  # the write is done, and must not look as if it were not
