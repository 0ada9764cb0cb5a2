"""One server as libpq is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from ..config.model import Connections, Monitoring
from ..redact import Secret


class Target(Struct, frozen=True):
    """libpq's *parameters* of one host, without the password (PostgreSQL's manual, section 34.1.2)."""

    parameters: Mapping[str, str]
    password: Secret | None = None

    @property
    def name(self) -> str:
        """Return ``host:port``, or the folder of the socket."""
        host = self.parameters.get("host") or self.parameters.get("hostaddr") or "local socket"
        port = self.parameters.get("port") or "5432"
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def arguments(self, settings: Connections, application_name: str) -> dict[str, Any]:
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
        secret = {"password": self.password.reveal()} if self.password else {}
        return {**ours, **self.parameters, **secret}


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
        return next((t.parameters["dbname"] for t in self.targets if "dbname" in t.parameters), "")
