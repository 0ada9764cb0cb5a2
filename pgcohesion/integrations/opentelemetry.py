"""A span for each query, by OpenTelemetry's conventions for databases: the feature ``opentelemetry``.

``execute`` and ``executemany`` are traced, of SQLAlchemy and Django, too; ``stream`` and ``copy`` are not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, ClassVar, Self

from opentelemetry import trace as api
from psycopg.abc import Params, Query

from .. import __version__
from ..connections import AsyncConnectionManager, ConnectionManager
from ..connections._async.connection import AsyncCursor
from ..connections._sync.connection import Cursor
from ..connections.fleet import Host
from ..connections.queries import normalise, written

_tracer = api.get_tracer("pgcohesion", __version__)
_normalise = lru_cache(1000)(normalise)
Attributes = dict[str, str | int]


def trace(manager: ConnectionManager | AsyncConnectionManager) -> None:
    """Trace the queries of the connections that *manager* opens from now on."""
    base: type = TracedCursor if isinstance(manager, ConnectionManager) else AsyncTracedCursor
    for host, pool in manager.pools.items():
        pool.cursor = type(base.__name__, (base,), {"server": _server(host)})


def _server(host: Host) -> Attributes:
    target = host.target
    return {
        "db.system.name": "postgresql",
        "db.namespace": target.dbname,
        "server.address": target.host,
        "server.port": target.port,
    }


@contextmanager
def _span(server: Attributes, query: Query) -> Iterator[None]:
    text = _normalise(query if isinstance(query, str) else written(query))
    operation = text.partition(" ")[0].upper()
    attributes = {**server, "db.query.text": text, "db.operation.name": operation}
    with _tracer.start_as_current_span(
        f"{operation} {server['db.namespace']}",
        kind=api.SpanKind.CLIENT,
        attributes=attributes,
        record_exception=False,  # a server's message may quote values
        set_status_on_exception=False,
    ) as span:
        try:
            yield
        except BaseException as error:
            state = getattr(error, "sqlstate", None)
            span.set_attribute("error.type", state or type(error).__qualname__)
            if state:
                span.set_attribute("db.response.status_code", state)
            span.set_status(api.StatusCode.ERROR)
            raise


class TracedCursor(Cursor[Any]):
    """A cursor whose queries have spans."""

    server: ClassVar[Attributes] = {}

    def execute(self, query: Query, params: Params | None = None, **how: Any) -> Self:
        """Execute a query."""
        with _span(self.server, query):
            return super().execute(query, params, **how)

    def executemany(self, query: Query, params_seq: Iterable[Params], **how: Any) -> None:
        """Execute a query with each of the parameters."""
        with _span(self.server, query):
            super().executemany(query, params_seq, **how)


class AsyncTracedCursor(AsyncCursor[Any]):
    """The same for asyncio."""

    server: ClassVar[Attributes] = {}

    async def execute(self, query: Query, params: Params | None = None, **how: Any) -> Self:
        """Execute a query."""
        with _span(self.server, query):
            return await super().execute(query, params, **how)

    async def executemany(self, query: Query, params_seq: Iterable[Params], **how: Any) -> None:
        """Execute a query with each of the parameters."""
        with _span(self.server, query):
            await super().executemany(query, params_seq, **how)
