"""Django's PostgreSQL backend, with connections that are lent to it."""

from __future__ import annotations

from functools import cache, cached_property
from typing import Any

import psycopg
from django.db.backends.postgresql import base

from ...connections.target import arguments
from ...orchestrator import Orchestrator, get_database_orchestrator


class DatabaseWrapper(base.DatabaseWrapper):
    """One of Django's connections: a thread's, for a request."""

    def __init__(self, *positional: Any, **named: Any) -> None:
        super().__init__(*positional, **named)
        self._undo: list[str] = []  # for who has the session next

    @cached_property
    def orchestrator(self) -> Orchestrator:
        """Where the connections come from."""
        return get_database_orchestrator(self.settings_dict["OPTIONS"].get("env"))

    def get_connection_params(self) -> dict[str, Any]:
        """Return Django's parameters; where the server is, the environment says."""
        params: dict[str, Any] = super().get_connection_params()
        params.pop("env", None)
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Return a connection of the pool, or a plain one to a database that is not the environment's."""
        manager = self.orchestrator.get_connection_manager()
        config = manager.config
        if self.settings_dict["NAME"] != config.database:
            ours = arguments(config.targets[0], config.settings, config.application_name)
            return super().get_new_connection({**ours, **conn_params})
        connection = manager.lend(adapters=conn_params["context"].adapters)
        cursor: Any = connection.cursor_factory
        connection.cursor_factory = _cursor(cursor, conn_params["cursor_factory"])
        self._undo = []
        self.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        if level := self.settings_dict["OPTIONS"].get("isolation_level"):
            self.isolation_level = connection.isolation_level = psycopg.IsolationLevel(level)
        return connection

    def _configure_timezone(self, connection: Any) -> bool:
        return self._note("RESET TimeZone", super()._configure_timezone(connection))

    def _configure_role(self, connection: Any) -> bool:
        return self._note("RESET ROLE", super()._configure_role(connection))

    def create_cursor(self, name: str | None = None) -> Any:
        """Return a cursor; one with a *name* is kept by the server until somebody closes it."""
        self._note("CLOSE ALL", name is not None and self.connection.autocommit)
        return super().create_cursor(name)

    def _note(self, statement: str, changed: bool) -> bool:
        if changed and statement not in self._undo:
            self._undo.append(statement)
        return changed

    def _close(self) -> None:
        if self.connection is not None and self._undo and not self.connection.closed:
            try:
                self.connection.rollback()
                self.connection.autocommit = True
                self.connection.execute("; ".join(self._undo))
            except psycopg.Error:
                self.connection.pgconn.finish()  # nobody else should have it
        self._undo = []
        super()._close()


@cache
def _cursor(ours: Any, theirs: Any) -> Any:
    """Return Django's kind of cursor that counts, and traces, as ours does."""
    return type("Cursor", (ours, theirs), {})
