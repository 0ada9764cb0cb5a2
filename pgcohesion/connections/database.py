"""The connections of one run: one a database and role, opened when first used, closed together."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import namedtuple_row

from ._sync.connection import Connection as Bounded
from .errors import translate

Connection = Bounded[Any]
MAINTENANCE = "postgres"
CONNECT = 10  # seconds for a connection, when nothing else is said
# What libpq would otherwise take from somebody's PGHOSTADDR, PGOPTIONS and the like: a session must reach the declared
# server as the declared role, and read names whatever a database's encoding is.
ALONE = {
    "hostaddr": "",
    "options": "",
    "client_encoding": "UTF8",
    "sslmode": "prefer",
    "gssencmode": "disable",
    "channel_binding": "prefer",
    "target_session_attrs": "any",
}


class Database:
    """The databases of an environment, seen as its superuser or as one of its roles.

    *parameters* are libpq's (without ``dbname``); *default* is the database that calls without one mean;
    *complaint* tells what a host on the way said last; *role* is who calls without one are; *search_path* is the
    sessions', whoever set another. *pooled*: a pooler may stand there, whose sessions keep no prepared statements.
    """

    def __init__(
        self,
        parameters: Callable[[], Mapping[str, str]],
        default: str,
        application_name: str,
        complaint: Callable[[], str] = lambda: "",
        role: str | None = None,
        search_path: str = "",
        *,
        pooled: bool = False,
    ) -> None:
        self._parameters, self.default, self._complaint, self._role = parameters, default, complaint, role
        self._search_path, self._pooled = search_path, pooled
        self._application_name = application_name
        self._open: dict[tuple[str, str | None], Connection] = {}
        self._deadline: float | None = None
        self._seconds = 0.0

    def another(self, search_path: str = "") -> Database:
        """Return connections of their own to the same server: for a thread, or with a search_path that can be trusted.

        The owner of a database may set one for whoever connects to it, in which functions of his own come first.
        """
        return Database(
            self._parameters,
            self.default,
            self._application_name,
            self._complaint,
            self._role,
            search_path or self._search_path,
            pooled=self._pooled,
        )

    def as_role(self, role: str | None) -> Database:
        """Return connections of their own to the same server, as another role."""
        return Database(self._parameters, self.default, self._application_name, self._complaint, role)

    def connection(self, database: str | None = None, role: str | None = None) -> Connection:
        """Return an open connection in autocommit mode. Raises Unreachable or ServerError."""
        key = (database or self.default, role or self._role)
        connection = self._open.get(key)
        if connection is None or connection.closed:
            connection = self._open[key] = self._connect(*key)
        self._limit(connection)
        return connection

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Bound all that is asked in this block, whatever the server does: DeadlineExceeded, and the socket goes."""
        self._deadline, self._seconds = time.monotonic() + seconds, seconds
        try:
            yield
        finally:
            self._deadline = None
            for connection in self._open.values():
                self._limit(connection)

    def _limit(self, connection: Connection) -> None:
        connection.deadline, connection.timeout = self._deadline, self._seconds

    def _patience(self, usual: float) -> int:
        """Return how long to wait for a connection: in a bounded block no more than half, something is to be asked."""
        if self._deadline is not None:
            usual = min(usual, self._seconds / 2, self._deadline - time.monotonic())
        return max(2, round(usual))  # libpq's least

    def _connect(self, database: str, role: str | None) -> Connection:
        parameters: dict[str, Any] = {
            "connect_timeout": CONNECT,
            "application_name": self._application_name,
            **ALONE,
            **self._parameters(),
        }
        parameters["connect_timeout"] = self._patience(float(parameters["connect_timeout"]))
        try:
            connection: Connection = Bounded.connect(
                **parameters, dbname=database, autocommit=True, row_factory=namedtuple_row
            )
            try:
                self._begin(connection, role)
            except BaseException:
                connection.close()
                raise
        except psycopg.Error as error:
            raise translate(error, f"cannot connect to database `{database}`", self._complaint()) from error
        return connection

    def _begin(self, connection: Connection, role: str | None) -> None:
        self._limit(connection)
        if self._pooled:
            connection.prepare_threshold = None
        if role is not None:
            connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        if self._search_path:
            connection.execute("SELECT pg_catalog.set_config('search_path', %s, false)", [self._search_path])

    def execute(
        self,
        query: str | sql.Composable,
        values: Sequence[Any] | Mapping[str, Any] = (),
        *,
        database: str | None = None,
    ) -> list[Any]:
        """Run one statement and return its rows (named tuples; none for a command)."""
        connection = self.connection(database)
        try:
            cursor = connection.execute(query, values or None)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.rownumber is not None else []
        except psycopg.Error as error:
            raise translate(error, "a query failed") from error

    def read(
        self,
        queries: Mapping[str, str],
        values: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        database: str | None = None,
    ) -> dict[str, list[Any]]:
        """Run several queries in one round trip and return the rows of each."""
        connection = self.connection(database)
        try:
            with connection.pipeline():
                cursors = {name: connection.execute(query, (values or {}).get(name)) for name, query in queries.items()}
            return {name: cursor.fetchall() for name, cursor in cursors.items()}
        except psycopg.Error as error:
            raise translate(error, f"cannot read the facts of database `{database or self.default}`") from error

    @contextlib.contextmanager
    def transaction(self, database: str | None = None, role: str | None = None) -> Iterator[Connection]:
        """Give a connection within a transaction, committed at the end, rolled back on an error."""
        connection = self.connection(database, role)
        with connection.transaction():
            yield connection

    def forget(self, database: str | None = None) -> None:
        """Close the connections to *database* (None: all): the server restarts, or the database goes."""
        for key in [key for key in self._open if database is None or key[0] == database]:
            with contextlib.suppress(psycopg.Error):
                self._open.pop(key).close()

    def close(self) -> None:
        """Close everything."""
        self.forget()
