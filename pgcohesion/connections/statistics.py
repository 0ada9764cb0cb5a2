"""Numbers of pools, hosts and queries in one value: JSON, and Prometheus' text format 0.0.4."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from msgspec import Struct, to_builtins

from .fleet import HostStatus
from .queries import Query

S = TypeVar("S", bound=Struct)


class PoolStatistics(Struct):
    """One pool: what is now, then counters since it was made; times in seconds."""

    size: int = 0
    idle: int = 0
    in_use: int = 0
    waiting: int = 0
    opening: int = 0
    opened: int = 0
    failed: int = 0
    discarded: int = 0
    waited: int = 0
    wait_seconds: float = 0.0
    timeouts: int = 0
    cancelled: int = 0


class Counters(Struct):
    """One manager: calls that ran again, were refused by an open breaker, had an unknown outcome."""

    retries: int = 0
    refused: int = 0
    unknown: int = 0
    leaks: int = 0
    slow_queries: int = 0
    failovers: int = 0


class Statistics(Struct, frozen=True):
    """Everything that is counted."""

    hosts: tuple[HostStatus, ...]
    pools: dict[str, PoolStatistics]
    counters: Counters
    queries: tuple[Query, ...] = ()

    @classmethod
    def sum(cls, parts: Sequence[Statistics]) -> Statistics:
        """Return the numbers of several managers of the same hosts as one."""
        if len(parts) == 1:
            return parts[0]
        pools = {name: _sum([part.pools[name] for part in parts]) for name in parts[0].pools}
        queries = tuple(sorted((query for part in parts for query in part.queries), key=lambda query: -query.total))
        return cls(parts[0].hosts, pools, _sum([part.counters for part in parts]), queries)

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers as JSON has them."""
        return dict(to_builtins(self))

    def prometheus(self) -> str:
        """Return the numbers in Prometheus' text format, one family after the other."""
        families: dict[str, list[str]] = {}
        for name, labels, value in self._samples():
            inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
            families.setdefault(name, []).append(f"{name}{{{inner}}} {value:g}" if inner else f"{name} {value:g}")
        lines = []
        for name, samples in families.items():
            kind = "counter" if name.endswith("_total") else "gauge"
            lines += [f"# TYPE {name} {kind}", *samples]
        return "\n".join(lines) + "\n"

    def _samples(self) -> Iterator[tuple[str, dict[str, str], float]]:
        for host in self.hosts:
            labels = {"host": host.name}
            yield "pgcohesion_host_up", labels, host.breaker == "closed"
            yield "pgcohesion_host_primary", labels, host.role == "primary"
            if host.lag is not None:
                yield "pgcohesion_host_lag_seconds", labels, host.lag
        for name, pool in self.pools.items():
            for field in PoolStatistics.__struct_fields__:
                gauge = field in ("size", "idle", "in_use", "waiting", "opening")
                number = getattr(pool, field)
                yield f"pgcohesion_pool_{field}{'' if gauge else '_total'}", {"host": name}, number
        for field in Counters.__struct_fields__:
            yield f"pgcohesion_{field}_total", {}, getattr(self.counters, field)
        for query in self.queries:
            labels = {"query": query.text}
            yield "pgcohesion_query_calls_total", labels, query.calls
            yield "pgcohesion_query_errors_total", labels, query.errors
            yield "pgcohesion_query_rows_total", labels, query.rows
            yield "pgcohesion_query_seconds_total", labels, query.total


def _sum(parts: Sequence[S]) -> S:
    first = type(parts[0])
    return first(**{name: sum(getattr(part, name) for part in parts) for name in first.__struct_fields__})


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
