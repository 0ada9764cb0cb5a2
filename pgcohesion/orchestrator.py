"""The database services of an application in one hand: opened when needed, watched, drained, closed."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

from msgspec import Struct, to_builtins

from .config.model import FEATURES
from .errors import ConfigError

if TYPE_CHECKING:
    from .application import DatabaseConfig
    from .connections import AsyncConnectionManager, ConnectionManager
    from .connections.fleet import Fleet, HostStatus
    from .connections.monitor import Monitor
    from .connections.statistics import Statistics
    from .health.probing import Prober
    from .migrate.standing import Status as MigrationStatus

EVENTS = ("down", "failover", "leak", "obsolete", "primary", "role", "slow_query", "up")
READY = 2.0  # seconds that one look at the database may take for readiness


class Health(Struct, frozen=True):
    """How the databases are now; *state* is ``starting``, ``ready``, ``degraded``, ``down`` or ``closed``.

    ``degraded``: something works, but a host is down, none takes writes, or connections are leaked.
    """

    state: str
    hosts: tuple[HostStatus, ...]
    leaks: tuple[dict[str, Any], ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the application can do its work."""
        return self.state in ("ready", "degraded")

    def as_dict(self) -> dict[str, Any]:
        """Return the state as JSON has it."""
        return dict(to_builtins(self))


class Status(Struct, frozen=True):
    """Everything about an environment's database services in one value; *source* says where the servers are said."""

    env: str
    source: str
    features: dict[str, bool]
    watched: bool
    health: Health
    statistics: Statistics

    def as_dict(self) -> dict[str, Any]:
        """Return the value as JSON has it."""
        return dict(to_builtins(self))


class Orchestrator:
    """What an application holds: one for each environment and process. Nothing opens before its first use.

    Use it as a context manager, or call :meth:`start` and :meth:`close`; ``async with``, :meth:`astart`,
    :meth:`aclose` and :meth:`lifespan` are for asyncio. Hooks: ``orchestrator.on("failover", function)`` calls
    ``function(event, subject)`` for each of EVENTS; a subject is a Host, for ``slow_query`` the text and the seconds,
    for ``leak`` who holds the connection.
    """

    def __init__(self, config: DatabaseConfig) -> None:
        self.config = config
        self.env = config.env
        self._lock = threading.RLock()
        self._hooks: dict[str, list[Callable[[str, Any], None]]] = {}
        self._fleet: Fleet | None = None
        self._manager: ConnectionManager | None = None
        self._async_manager: AsyncConnectionManager | None = None
        self._monitor: Monitor | None = None
        self._prober: Prober | None = None
        self._closed = self._forked = False

    # --- services ---------------------------------------------------------------------------------------------

    @property
    def fleet(self) -> Fleet:
        """The hosts, and what is known of them."""
        with self._lock:
            if self._fleet is None:
                from .connections.fleet import Fleet

                self._fleet = Fleet.of(self.config.get_connection_config())
                self._fleet.watchers.append(self._tell)
            return self._fleet

    def get_connection_manager(self) -> ConnectionManager:
        """Return the connections, for threads."""
        with self._lock:
            if self._manager is None or self._forked:
                self._open()
            if self._manager is None:
                from .connections import ConnectionManager

                manager = ConnectionManager(self.config.get_connection_config(), self.fleet)
                self._instrument(manager)
                self._manager = manager
            return self._manager

    def get_async_connection_manager(self) -> AsyncConnectionManager:
        """Return the connections, for the event loop that calls first."""
        with self._lock:
            if self._async_manager is None or self._forked:
                self._open()
            if self._async_manager is None:
                from .connections import AsyncConnectionManager

                manager = AsyncConnectionManager(self.config.get_connection_config(), self.fleet)
                self._instrument(manager)
                self._async_manager = manager
            return self._async_manager

    def get_health_monitor(self) -> Monitor:
        """Return what watches the hosts. Raises ConfigError when the feature ``health_monitor`` is off."""
        if not self.config.feature("health_monitor"):
            raise ConfigError("the health monitor is switched off", fix="[features] health_monitor = true")
        with self._lock:
            if self._monitor is None:
                from .connections.monitor import Monitor

                self._monitor = Monitor(self.config.get_connection_config(), self.fleet, self._tend)
            return self._monitor

    def get_health_checks(self) -> Prober:
        """Return what runs the health checks in the background, every ``[monitoring] checks`` seconds.

        It is the engine of ``inv health.serve``: its ``state.report`` is what was found last. Raises ConfigError when
        no interval is set.
        """
        seconds = self.config.config.monitoring.checks
        if not seconds > 0:
            raise ConfigError("no health checks run in the background", fix="[monitoring] checks = 60")
        with self._lock:
            if self._prober is None:
                from . import health
                from .health.probing import Prober
                from .opening import context_of

                ctx = context_of(self.config.loaded)
                self._prober = Prober(ctx, lambda profile: health.look(ctx, profile), seconds)
            return self._prober

    @property
    def migrations(self) -> MigrationStatus:
        """The state of the migrations: which are applied, and which are not yet. Reads it anew each time."""
        from . import migrate
        from .opening import context_of

        ctx = context_of(self.config.loaded)
        try:
            return migrate.status(ctx)
        finally:
            ctx.close()

    # --- life -------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        if self._closed:
            from .errors import PoolClosed

            raise PoolClosed(f"the databases of `{self.env}` are closed", why="the program is shutting down")
        if self.config.feature("health_monitor"):
            self.get_health_monitor().start()
        if self.config.config.monitoring.checks > 0 and not self.get_health_checks().alive:
            self.get_health_checks().start()
        self._forked = False

    def forked(self) -> None:
        """Take note that this is a new process."""
        self._lock = threading.RLock()
        self._monitor, self._prober, self._forked = None, None, True

    def _instrument(self, manager: ConnectionManager | AsyncConnectionManager) -> None:
        manager.on_slow.append(self._slow)
        if self.config.feature("opentelemetry"):
            from importlib import import_module  # by name: what is off must not be needed

            try:
                tracing = import_module(f"{__package__}.integrations.opentelemetry")
            except ImportError as error:
                raise ConfigError(
                    "the feature `opentelemetry` is on, but OpenTelemetry is not installed",
                    why=str(error),
                    fix="pip install pgcohesion[opentelemetry]",
                ) from error
            tracing.trace(manager)

    def start(self) -> Self:
        """Open the connections that are to be there at once; raise what keeps the database from answering."""
        manager = self.get_connection_manager()
        manager.execute("SELECT 1", readonly=True)
        manager.tend()
        return self

    async def astart(self) -> Self:
        """Do the same for asyncio."""
        manager = self.get_async_connection_manager()
        await manager.execute("SELECT 1", readonly=True)
        await manager.tend()
        return self

    def close(self, timeout: float = 10.0) -> None:
        """Take no more work, wait up to *timeout* seconds for what runs, cancel the rest, close everything."""
        self._closed = True
        if self._monitor is not None:
            self._monitor.close()
        if self._prober is not None:
            self._prober.stop(timeout)
            self._prober.ctx.close()
        if self._manager is not None:
            self._manager.close(timeout)
        forget(self)

    async def aclose(self, timeout: float = 10.0) -> None:
        """Do the same for asyncio."""
        import asyncio

        self._closed = True
        until = monotonic() + timeout
        if self._async_manager is not None:
            await self._async_manager.close(timeout)
        await asyncio.to_thread(self.close, max(0.0, until - monotonic()))  # a thread that it waits for may need us

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return await self.astart()

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @asynccontextmanager
    async def lifespan(self, _app: object = None) -> AsyncIterator[None]:
        """Open at the start of an ASGI application and drain at its end: ``FastAPI(lifespan=db.lifespan)``."""
        async with self:
            yield

    def close_on_signals(self, *numbers: int, timeout: float = 10.0) -> None:
        """Drain at SIGTERM (or *numbers*), then let the signal do what it did before. Call it in the main thread.

        For programs without a server of their own: a web server first answers what it has accepted, with our
        connections; there, :meth:`lifespan` or ``atexit.register(db.close)`` comes after it.
        """
        for number in numbers or (signal.SIGTERM,):
            before = signal.getsignal(number)

            def drain(number: int, frame: FrameType | None, before: Any = before) -> None:
                signal.signal(number, before)  # a second one acts at once
                threading.Thread(target=self._drain, args=(number, timeout), name="pgcohesion-close").start()

            signal.signal(number, drain)

    def _drain(self, number: int, timeout: float) -> None:
        self.close(timeout)
        os.kill(os.getpid(), number)

    # --- what it is like ----------------------------------------------------------------------------------------

    def on(self, event: str, function: Callable[[str, Any], None]) -> None:
        """Call *function* at each *event*. Raises UsageError for one that does not exist."""
        if event not in EVENTS:
            from .errors import UsageError, suggestion

            raise UsageError(f"no event `{event}`", fix=suggestion(event, EVENTS))
        self._hooks.setdefault(event, []).append(function)

    def _tell(self, event: str, subject: Any) -> None:
        for function in self._hooks.get(event, ()):
            try:
                function(event, subject)
            except Exception:  # noqa: BLE001  (somebody's function must not end what calls it)
                _log().exception("a hook failed")

    def _slow(self, text: str, seconds: float) -> None:
        _log().warning("slow query: %.3f s: %s", seconds, text)
        self._tell("slow_query", (text, seconds))

    def _tend(self) -> None:
        """Look after the pools: called by the monitor about once an interval."""
        settings = self.config.get_connection_config().settings
        for manager in (self._manager, self._async_manager):
            if manager is None:
                continue
            for holder in manager.held(settings.leak_after):
                if not holder.told:
                    holder.told = True
                    manager.counters.leaks += 1
                    _log().warning("a connection was not given back: %s", holder)
                    self._tell("leak", holder)
            manager.tend_soon()

    def ready(self) -> bool:
        """Return whether the database answers a query within two seconds: for a readiness probe."""
        try:
            self.get_connection_manager().execute("SELECT 1", timeout=READY)
        except Exception:  # noqa: BLE001  (whatever it is: not ready)
            return False
        return True

    async def aready(self) -> bool:
        """Do the same for asyncio."""
        try:
            await self.get_async_connection_manager().execute("SELECT 1", timeout=READY)
        except Exception:  # noqa: BLE001
            return False
        return True

    def health(self) -> Health:
        """Return what is known, without asking any server: for a liveness probe."""
        hosts = self.fleet.status()
        settings = self.config.get_connection_config().settings
        leaks = tuple(
            holder.as_dict()
            for manager in (self._manager, self._async_manager)
            if manager is not None
            for holder in manager.held(settings.leak_after)
        )
        if self._closed:
            return Health("closed", hosts, leaks)
        up = [host for host in hosts if host.breaker == "closed"]
        if not any(host.ever_up for host in self.fleet.hosts):
            state = "starting" if up else "down"
        elif not up:
            state = "down"
        else:
            writable = any(host.role != "standby" and not host.read_only for host in up)
            state = "ready" if writable and len(up) == len(hosts) and not leaks else "degraded"
        return Health(state, hosts, leaks)

    def status(self) -> Status:
        """Return health, numbers, feature flags and where the servers are said, without asking any server."""
        return Status(
            self.env,
            self.config.get_connection_config().source,
            {name: self.config.feature(name) for name in FEATURES},
            self._monitor is not None and self._monitor.running,
            self.health(),
            self.statistics(),
        )

    def statistics(self) -> Statistics:
        """Return all numbers, of threads and of asyncio."""
        from .connections.statistics import Statistics

        managers = [manager for manager in (self._manager, self._async_manager) if manager is not None]
        if not managers:
            self.get_connection_manager()
            return self.statistics()
        return Statistics.sum([manager.statistics() for manager in managers])

    def metrics(self) -> str:
        """Return all numbers in Prometheus' text format."""
        return self.statistics().prometheus()


_orchestrators: dict[tuple[str, str], Orchestrator] = {}
_guard = threading.Lock()


def get_database_orchestrator(env: str | None = None) -> Orchestrator:
    """Return the orchestrator of an environment, the same one each time until it is closed.

    Raises UsageError or ConfigError for the environment; nothing is opened yet.
    """
    from .application import get_database_config

    config = get_database_config(env)
    with _guard:
        return _orchestrators.setdefault((config.env, str(config.root)), Orchestrator(config))


def _after_fork() -> None:
    """Let each orchestrator of a forked child watch again when it is next used: threads stay with the parent."""
    for orchestrator in _orchestrators.values():
        orchestrator.forked()


os.register_at_fork(after_in_child=_after_fork)


def forget(orchestrator: Orchestrator) -> None:
    """Take a closed one off the list."""
    with _guard:
        for key in [key for key, value in _orchestrators.items() if value is orchestrator]:
            del _orchestrators[key]


def _log() -> Any:
    import logging

    return logging.getLogger("pgcohesion")
