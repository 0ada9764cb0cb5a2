"""SQLAlchemy on our connections: they come from the manager's pool, and go back to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, overload
from weakref import WeakKeyDictionary

from sqlalchemy import URL, Connection, Dialect, Engine, NullPool, create_engine, event, text
from sqlalchemy.orm import Session, sessionmaker

from ..orchestrator import Orchestrator
from . import retrying

T = TypeVar("T")
_orchestrators: WeakKeyDictionary[Dialect, Orchestrator] = WeakKeyDictionary()


def engine(orchestrator: Orchestrator, **options: Any) -> Engine:
    """Return an engine whose connections are *orchestrator*'s; *options* are those of ``create_engine``.

    Nothing is opened yet. SQLAlchemy keeps no pool beside ours: options that describe one raise TypeError. Raises
    ConfigError when nothing says where the database is.
    """
    target = orchestrator.config.get_connection_config().targets[0]
    url = URL.create("postgresql+psycopg", target.user or None, None, target.host, target.port, target.dbname)
    made = create_engine(url, poolclass=NullPool, **options)
    _orchestrators[made.dialect] = orchestrator

    @event.listens_for(made, "do_connect")
    def connect(dialect: Dialect, record: object, positional: object, named: dict[str, Any]) -> Any:
        return orchestrator.get_connection_manager().lend(adapters=named["context"].adapters)

    return made


@overload
def run(
    source: Engine,
    function: Callable[..., T],
    *arguments: Any,
    readonly: bool = ...,
    idempotent: bool = ...,
    timeout: float | None = ...,
) -> T: ...
@overload
def run(
    source: sessionmaker[Session],
    function: Callable[..., T],
    *arguments: Any,
    readonly: bool = ...,
    idempotent: bool = ...,
    timeout: float | None = ...,
) -> T: ...
def run(
    source: Any,
    function: Callable[..., T],
    *arguments: Any,
    readonly: bool = False,
    idempotent: bool = False,
    timeout: float | None = None,
) -> T:
    """Call *function* with a connection (of an engine) or a session (of a sessionmaker) in a transaction.

    It is called again, and raises, as by ``ConnectionManager.run``; *timeout* in seconds ends trying again.
    """
    bound = source if isinstance(source, Engine) else source.kw["bind"]
    manager = _orchestrators[bound.dialect].get_connection_manager()

    @contextmanager
    def begin() -> Iterator[Connection | Session]:
        with source.begin() as opened:
            if readonly:
                opened.execute(text("SET TRANSACTION READ ONLY"))
            yield opened

    return retrying.run(
        manager,
        begin,
        lambda given: function(given, *arguments),
        readonly=readonly,
        idempotent=idempotent,
        timeout=timeout,
    )
