"""Django on our connections: ``DATABASES = databases("production")`` in the settings.

A request takes its connection from the manager's pool when it first needs one, and gives it back at its end. What
Django opens for another database (its tests do) is a plain connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ...application import get_database_config

T = TypeVar("T")


def databases(env: str | None = None) -> dict[str, dict[str, Any]]:
    """Return what ``settings.DATABASES`` is to be for an environment; the password is not in it.

    Raises UsageError for an unknown environment, ConfigError when nothing says where its database is.
    """
    config = get_database_config(env)
    connections = config.get_connection_config()
    target = connections.targets[0]
    return {
        "default": {
            "ENGINE": __name__,
            "NAME": target.dbname,
            "USER": target.user,
            "HOST": target.host,
            "PORT": str(target.port),
            "OPTIONS": {"env": config.env},
            "CONN_MAX_AGE": 0,  # the end of a request
            "DISABLE_SERVER_SIDE_CURSORS": connections.settings.pooler == "transaction",
        }
    }


def run(
    function: Callable[..., T],
    *arguments: Any,
    using: str = "default",
    readonly: bool = False,
    idempotent: bool = False,
    timeout: float | None = None,
) -> T:
    """Call *function* in a transaction, ``atomic(durable=True)``, and return what it returns.

    It is called again, and raises, as by ``ConnectionManager.run``; *timeout* in seconds ends trying again. A queryset
    must be read within it: ``list(...)``. Raises RuntimeError within another ``atomic``.
    """
    from contextlib import contextmanager

    from django.db import connections, transaction

    from .. import retrying

    connection = connections[using]
    manager = connection.orchestrator.get_connection_manager()

    @contextmanager
    def begin() -> Any:
        with transaction.atomic(using, durable=True):
            if readonly:
                with connection.cursor() as cursor:
                    cursor.execute("SET TRANSACTION READ ONLY")
            yield

    def attempt(_: object) -> T:
        return function(*arguments)

    return retrying.run(manager, begin, attempt, readonly=readonly, idempotent=idempotent, timeout=timeout)
