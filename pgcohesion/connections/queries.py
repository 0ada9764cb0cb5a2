"""How often each query ran, how long it took, how many rows came: bounded memory, well below a microsecond a query."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from math import log2
from typing import Any

from msgspec import Struct

STEPS = 4  # buckets an octave: a percentile is right within a tenth
OTHER = "(other queries)"
_LITERAL = re.compile(
    r"""'(?:[^']|'')*'|\$(\w*)\$.*?\$\1\$|\b\d+(?:\.\d+)?\b|%s|%\(\w+\)[sbt]|--[^\n]*|/\*.*?\*/""", re.DOTALL
)
_LIST = re.compile(r"\(\s*\?(?:\s*,\s*\?)+\s*\)")


def normalise(text: str) -> str:
    """Return *text* with its literals as ``?``, its lists as ``(?, ...)`` and its white space as one blank."""
    text = _LITERAL.sub(lambda found: " " if found[0].startswith(("--", "/*")) else "?", text)
    return " ".join(_LIST.sub("(?, ...)", text).split())[:1000]


class Query(Struct, frozen=True):
    """A normalised text; times in seconds, *rows* in all."""

    text: str
    calls: int
    errors: int
    rows: int
    total: float
    p50: float
    p95: float
    p99: float


class Tally:
    """The numbers of one text on one connection."""

    __slots__ = ("buckets", "errors", "rows", "total")

    def __init__(self) -> None:
        self.buckets: dict[int, int] = {}
        self.errors = self.rows = 0
        self.total = 0.0

    def merge(self, other: Tally) -> None:
        """Add another's numbers."""
        for bucket, number in list(other.buckets.items()):
            self.buckets[bucket] = self.buckets.get(bucket, 0) + number
        self.errors += other.errors
        self.rows += other.rows
        self.total += other.total

    def percentile(self, share: float) -> float:
        """Return the seconds below which *share* of the calls stayed: the middle of the bucket."""
        wanted, seen = share * sum(self.buckets.values()), 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= wanted:
                return float(2 ** ((bucket + 0.5) / STEPS) / 1e6)
        return 0.0


class Log:
    """The queries of one connection. Only its holder writes; :class:`Queries` reads and adds up."""

    __slots__ = ("_limit", "_on_slow", "_tallies", "_written", "longest", "slow")

    def __init__(self, limit: int, slow: float, on_slow: Callable[[str, float], None]) -> None:
        self._limit, self.slow, self._on_slow = limit, slow, on_slow
        self.longest = 0.0  # since somebody last set it to 0; only of queries over *slow*
        self._tallies: dict[str, Tally] = {}  # by normalised text
        self._written: dict[str, Tally] = {}  # by text as written: most programs write few

    def add(self, text: str, seconds: float, rows: int, failed: bool) -> None:
        """Count one execution of *text*, as it was written."""
        tally = self._written.get(text) or self._find(text)
        bucket = int(STEPS * log2(seconds * 1e6)) if seconds > 1e-6 else 0
        tally.buckets[bucket] = tally.buckets.get(bucket, 0) + 1
        tally.total += seconds
        if failed:
            tally.errors += 1
        elif rows > 0:
            tally.rows += rows

    def report(self, text: str, seconds: float) -> None:
        """Tell of a slow query."""
        self.longest = max(self.longest, seconds)
        self._on_slow(normalise(text), seconds)

    def _find(self, text: str) -> Tally:
        name = normalise(text)
        if name not in self._tallies and len(self._tallies) >= self._limit:
            name = OTHER
        tally = self._tallies.setdefault(name, Tally())
        if len(self._written) < self._limit:
            self._written[text] = tally
        return tally

    def items(self) -> Iterable[tuple[str, Tally]]:
        """Return each text and its numbers."""
        return list(self._tallies.items())


class Queries:
    """All queries of a manager, also of connections that are closed."""

    def __init__(self, limit: int, slow: float, on_slow: Callable[[str, float], None]) -> None:
        self._limit, self._slow, self._on_slow = limit, slow, on_slow
        self._lock = threading.Lock()
        self._past: dict[str, Tally] = {}
        self._open: set[Log] = set()

    def log(self) -> Log:
        """Return the log of a new connection."""
        log = Log(self._limit, self._slow, self._on_slow)
        with self._lock:
            self._open.add(log)
        return log

    def retire(self, log: Log) -> None:
        """Keep the numbers of a connection that is closed."""
        with self._lock:
            if log in self._open:
                self._open.discard(log)
                self._add(self._past, log)

    def _add(self, into: dict[str, Tally], log: Log) -> None:
        for text, tally in log.items():
            name = text
            if name not in into and len(into) >= self._limit:
                name = OTHER
            into.setdefault(name, Tally()).merge(tally)

    def all(self) -> tuple[Query, ...]:
        """Return each normalised text, the one that took most time first."""
        found: dict[str, Tally] = {}
        with self._lock:
            for text, tally in self._past.items():
                found.setdefault(text, Tally()).merge(tally)
            for log in self._open:
                self._add(found, log)
        rows = (
            Query(
                text,
                sum(tally.buckets.values()),
                tally.errors,
                tally.rows,
                tally.total,
                tally.percentile(0.5),
                tally.percentile(0.95),
                tally.percentile(0.99),
            )
            for text, tally in found.items()
        )
        return tuple(sorted(rows, key=lambda query: -query.total))


def written(query: Any) -> str:
    """Return the text of a query in any form that psycopg takes."""
    if isinstance(query, str):
        return query
    if isinstance(query, bytes):
        return query.decode("utf-8", "replace")
    return str(query.as_string()) if hasattr(query, "as_string") else str(query)
