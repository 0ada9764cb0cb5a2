"""One server as libpq is told of it, and all of them as a manager is."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from ..config.model import Connections, Monitoring
from ..conninfo import Target


def name(target: Target) -> str:
    """Return ``host:port``, as people and statistics call a server."""
    return f"[{target.host}]:{target.port}" if ":" in target.host else f"{target.host}:{target.port}"


def arguments(target: Target, settings: Connections, application_name: str) -> dict[str, Any]:
    """Return the arguments of ``psycopg.connect``: ours first, then what the target itself says.

    Keepalives and ``tcp_user_timeout`` bound how long a dead network goes unnoticed: libpq's defaults are hours.
    """
    keepalive = settings.keepalive
    ours: dict[str, Any] = {
        "application_name": application_name,
        "connect_timeout": max(2, round(settings.connect_timeout)),  # libpq takes 1 for 2
        "keepalives_idle": keepalive,
        "keepalives_interval": max(1, keepalive // 3),
        "keepalives_count": 3,
        "tcp_user_timeout": keepalive * 1000,
    }
    secret = {"password": target.password.reveal()} if target.password else {}
    return {**ours, **target.parameters, **secret}


class ConnectionConfig(Struct, frozen=True):
    """All that a connection manager needs to know.

    *targets*: every server of the cluster, whatever its role. The flags are the environment's features.
    """

    targets: tuple[Target, ...]
    settings: Connections = Connections()
    monitoring: Monitoring = Monitoring()
    application_name: str = "pgcohesion"
    read_replicas: bool = False
    circuit_breaker: bool = True
    retry: bool = True
    query_statistics: bool = True
    source: str = ""

    @property
    def database(self) -> str:
        """The name of the database, as far as it is said."""
        return next((target.dbname for target in self.targets), "")
