"""The usual calls without an object in hand: on the orchestrator of an environment, which opens with the first one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from .orchestrator import get_database_orchestrator

if TYPE_CHECKING:
    from psycopg.sql import Composable

    from .connections._sync.connection import Connection
    from .health import Report


def connect(
    env: str | None = None, *, readonly: bool = False, timeout: float | None = None
) -> AbstractContextManager[Connection[Any]]:
    """Give a connection in autocommit mode for a block; *timeout* in seconds covers the whole block."""
    return get_database_orchestrator(env).get_connection_manager().connection(readonly=readonly, timeout=timeout)


def transaction(
    env: str | None = None, *, readonly: bool = False, timeout: float | None = None
) -> AbstractContextManager[Connection[Any]]:
    """Give a connection within a transaction for a block."""
    return get_database_orchestrator(env).get_connection_manager().transaction(readonly=readonly, timeout=timeout)


def execute(
    query: str | Composable,
    values: Sequence[Any] | dict[str, Any] | None = None,
    *,
    env: str | None = None,
    readonly: bool = False,
    idempotent: bool = False,
    timeout: float | None = None,
) -> list[Any]:
    """Run one statement and return its rows as named tuples; see ConnectionManager.execute."""
    manager = get_database_orchestrator(env).get_connection_manager()
    return manager.execute(query, values, readonly=readonly, idempotent=idempotent, timeout=timeout)


def check_health(env: str | None = None) -> Report:
    """Run the health checks of an environment, as `inv health.check` does, and return the report."""
    from . import health
    from .opening import open_context

    ctx = open_context(env)
    try:
        return health.check(ctx)
    finally:
        ctx.close()
