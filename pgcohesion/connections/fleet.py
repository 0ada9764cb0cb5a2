"""The servers of one cluster as an application sees them: who is the primary, who is well, who lags. No I/O.

Pools and the monitor report what they saw; both faces of the manager ask where to go.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from ..config.model import Connections
from ..conninfo import Target
from .breaker import Breaker, State
from .target import ConnectionConfig, name

Role = Literal["unknown", "primary", "standby"]


class Seen(Struct, frozen=True):
    """What a look at a server showed; *lsn* is its write position, or on a standby what it has replayed, in bytes."""

    role: Role
    read_only: bool = False
    lsn: int = 0
    timeline: int = 0
    seconds: float = 0.0


class HostStatus(Struct, frozen=True):
    """A server now; *lag* in seconds behind the primary (None: not known), *latency* of the last look in seconds."""

    name: str
    role: Role
    read_only: bool
    breaker: State
    lag: float | None
    latency: float
    problem: str


class Host:
    """A server: where it is, and what is known of it."""

    def __init__(self, target: Target, settings: Connections, clock: Callable[[], float]) -> None:
        self.target, self.name = target, name(target)
        self.breaker = Breaker(settings.breaker, clock)
        self.seen = Seen("unknown")
        self.seen_at = 0.0
        self.lag: float | None = None
        self.good_at = 0.0  # when a pool last got a connection back in order
        self.problem = ""
        self.ever_up = False

    def __repr__(self) -> str:
        return f"<Host {self.name} {self.seen.role} {self.breaker.state}>"


class Fleet:
    """All servers of a cluster. *watch* is called with (event, host) when something changes."""

    def __init__(
        self,
        targets: Sequence[Target],
        settings: Connections,
        *,
        replicas: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._replicas, self._clock = settings, replicas, clock
        self._lock = threading.Lock()
        self._written: deque[tuple[float, int]] = deque(maxlen=600)  # (when, primary's position)
        self.hosts = tuple(Host(target, settings, clock) for target in targets)
        self.primary: Host | None = self.hosts[0] if len(self.hosts) == 1 else None
        self.watchers: list[Callable[[str, Host], None]] = []
        self.down_since: float | None = None

    @classmethod
    def of(cls, config: ConnectionConfig, clock: Callable[[], float] = time.monotonic) -> Fleet:
        """Return the fleet of a configuration; with the feature circuit_breaker off, no breaker ever opens."""
        settings = config.settings
        if not config.circuit_breaker:
            never = replace(settings.breaker, failures=1 << 62, share=2.0)
            settings = replace(settings, breaker=never)
        return cls(config.targets, settings, replicas=config.read_replicas, clock=clock)

    # --- where to go ------------------------------------------------------------------------------------

    def writable(self) -> Sequence[Host]:
        """Return the hosts to try for a write, the most likely first."""
        primary = self.primary
        if primary is not None and primary.breaker.closed:
            return (primary,)
        rank = {"primary": 0, "unknown": 1, "standby": 2}
        return sorted(self.hosts, key=lambda h: (not h.breaker.closed, h.seen.read_only, rank[h.seen.role]))

    def readable(self, load: Callable[[Host], int], lsn: int = 0) -> Sequence[Host]:
        """Return the hosts to try for a read, the least loaded replica first and the primary last.

        With *lsn*, replicas that are not known to have replayed it come after those that are.
        """
        if not self._replicas:
            return self.writable()
        fit = [host for host in self.hosts if host.breaker.closed and self._fits(host)]
        fit.sort(key=lambda host: (host.seen.lsn < lsn, load(host), host.seen.seconds))
        return (*fit, *(host for host in self.writable() if host not in fit))

    def _fits(self, host: Host) -> bool:
        if host.seen.role != "standby" or host.lag is None:
            return False
        return host.lag + self._clock() - host.seen_at <= self._settings.replicas.max_lag

    def _behind(self, seen: Seen) -> float | None:
        """Return how old the state of a standby is, in seconds; None when it is not known.

        Measured by when the primary was where the standby is now: a standby that lost its stream lags, too.
        """
        if seen.role == "primary":
            return 0.0
        if not self._written:
            return None
        ahead = [when for when, lsn in self._written if lsn > seen.lsn]
        return self._clock() - ahead[0] if ahead else 0.0

    # --- what was seen ----------------------------------------------------------------------------------

    def report(self, host: Host, seen: Seen) -> None:
        """Take note of what a look at *host* showed."""
        with self._lock:
            before, host.seen, host.seen_at = host.seen, seen, self._clock()
            host.ever_up, host.problem = True, ""
            old, event = self.primary, ""
            if seen.role == "primary" and not seen.read_only:
                if seen.lsn:
                    self._written.append((self._clock(), seen.lsn))
                if old is not host and (old is None or not self._leads(old, seen)):
                    self.primary, event = host, "primary" if old is None else "failover"
            elif old is host and len(self.hosts) > 1:
                self.primary = None
            if event == "failover":
                self._written.clear()
            host.lag = self._behind(seen)
        if not host.breaker.closed:
            host.breaker.reset()
            self._tell("up", host)
        self._recovered()
        if event:
            self._tell(event, host)
        elif before.role not in (seen.role, "unknown"):
            self._tell("role", host)
        if event == "failover" and old is not None:
            self._tell("obsolete", old)

    def _leads(self, old: Host, seen: Seen) -> bool:
        """Return whether the primary that is known counts more than the one that shows up."""
        if old.seen.role != "primary" or old.seen.read_only:
            return False
        return old.seen.timeline >= seen.timeline and old.breaker.closed

    def not_primary(self, host: Host, *, read_only: bool = False) -> None:
        """Take note that *host* takes no writes: a standby, or a primary that was made read-only."""
        with self._lock:
            role: Role = "primary" if read_only else "standby"
            host.seen = Seen(role, read_only, host.seen.lsn, host.seen.timeline, host.seen.seconds)
            was = self.primary is host and len(self.hosts) > 1
            if was:
                self.primary = None
        if was:
            self._tell("role", host)

    def connected(self, host: Host) -> None:
        """Take note that *host* let somebody in."""
        host.ever_up, host.problem = True, ""
        host.breaker.success()
        self._recovered()

    def failed(self, host: Host, problem: str) -> None:
        """Take note that *host* was lost or did not let anybody in."""
        host.problem = problem
        was = host.breaker.closed
        host.breaker.failure()
        if was and not host.breaker.closed:
            self._opened(host)

    def down(self, host: Host, problem: str) -> None:
        """Take note that *host* does not answer: its breaker opens at once."""
        host.problem = problem
        if host.breaker.closed:
            host.breaker.trip()
            self._opened(host)

    def _opened(self, host: Host) -> None:
        if self.down_since is None and not any(other.breaker.closed for other in self.hosts):
            self.down_since = self._clock()
        self._tell("down", host)

    def _recovered(self) -> None:
        self.down_since = None

    def hopeless(self) -> bool:
        """Return whether all hosts have been down for longer than a call should wait for."""
        since = self.down_since
        return since is not None and self._clock() - since > self._settings.breaker.patience

    @property
    def headless(self) -> bool:
        """Whether no primary is known that is well."""
        primary = self.primary
        return primary is None or not primary.breaker.closed

    @property
    def ever_up(self) -> bool:
        """Whether any host has let anybody in so far: until then, what fails is taken for a wrong configuration."""
        return any(host.ever_up for host in self.hosts)

    def _tell(self, event: str, host: Host) -> None:
        for watch in tuple(self.watchers):
            watch(event, host)

    def status(self) -> tuple[HostStatus, ...]:
        """Return all hosts."""
        return tuple(
            HostStatus(
                host.name,
                host.seen.role,
                host.seen.read_only,
                host.breaker.state,
                host.lag,
                host.seen.seconds,
                host.problem,
            )
            for host in self.hosts
        )
