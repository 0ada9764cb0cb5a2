"""Everything that is known at one moment, and the verdict of it."""

from __future__ import annotations

from msgspec import Struct

from ...view import Grade, count
from ..changes import SEVERITY
from ..registry import Check, Finding, Limits
from .facts import Facts, Node
from .memory import Gain, Point, Rates
from .words import age, tidy

SLOW = 2.0  # seconds: from then on it is said that no answer has come
WORSE = (Grade.FAIL, Grade.WARN)
WORDS = {
    "refused": "refused",
    "connect_timeout": "no answer to a connection",
    "query_timeout": "no answer",
    "authentication": "not let in",
    "not_accepting": "not accepting connections",
    "slots_exhausted": "no connection is left",
    "lost": "the connection is lost",
}


class Trouble(Struct, frozen=True):
    """Why nothing is known: *kind* as of Unreachable, *words* of the server, *since* epoch seconds."""

    kind: str
    words: str
    fix: str
    since: float


class Judged(Struct, frozen=True):
    """What the checks found, each by its newest run; *at* is when the last one ended (epoch seconds).

    *limits* are those of the checks in this environment.
    """

    findings: tuple[Finding, ...] = ()
    at: float | None = None
    checks: dict[str, Check] = {}
    limits: dict[str, Limits] = {}

    @property
    def bad(self) -> list[Finding]:
        """Warnings and failures, the worst first."""
        bad = [one for one in self.findings if one.grade in WORSE]
        return sorted(bad, key=lambda one: (WORSE.index(one.grade), one.check, one.object))


class Top(Struct, frozen=True):
    """The statements of the last while; *why* says why there are none. *at*: epoch seconds."""

    gains: tuple[Gain, ...] = ()
    why: str = "waiting for a second look"
    at: float | None = None


class Mending(Struct, frozen=True):
    """A fix on its way: *stage* is planning, ready, doing, done or failed; *lines* are the plan, then the result."""

    finding: Finding
    stage: str
    lines: tuple[str, ...] = ()


class Seen(Struct, frozen=True):
    """What the reader knows after *number* looks: *facts* are of *read* (epoch seconds), unless there is *trouble*.

    *refused* has the words of the server about what it does not answer.
    """

    number: int = 0
    facts: Facts | None = None
    read: float | None = None
    trouble: Trouble | None = None
    rates: Rates = Rates()
    waits: tuple[tuple[str, float], ...] = ()
    points: tuple[Point, ...] = ()
    top: Top = Top()
    refused: dict[str, str] = {}


class Snapshot(Struct, frozen=True):
    """One moment of an environment, at *now* (epoch seconds); *asking* is since when an answer is waited for."""

    env: str
    host: str
    now: float
    interval: float
    seen: Seen = Seen()
    asking: float | None = None
    judged: Judged = Judged()
    mending: Mending | None = None

    @property
    def facts(self) -> Facts | None:
        """The last facts that were read."""
        return self.seen.facts

    @property
    def trouble(self) -> Trouble | None:
        """Why nothing is known, if nothing is."""
        return self.seen.trouble

    # --- the verdict --------------------------------------------------------------------------------------

    @property
    def reachable(self) -> bool:
        """Whether the server answers."""
        return self.trouble is None and not self._silent

    @property
    def _silent(self) -> float:
        """Seconds for which an answer is overdue, or 0."""
        waited = self.now - self.asking if self.asking is not None else 0.0
        return waited if waited >= SLOW else 0.0

    @property
    def grade(self) -> Grade:
        """The worst of what is seen now and what the checks have found."""
        if not self.reachable:
            return Grade.FAIL
        if self.facts is None:
            return Grade.UNKNOWN
        return max((self.grade_now, *(one.grade for one in self.judged.bad)), key=SEVERITY.index)

    @property
    def grade_now(self) -> Grade:
        """The grade of connections and waits at this moment, by the limits of their checks."""
        if self.facts is None:
            return Grade.OK
        counters = self.facts.counters
        share = counters.total / counters.slots if counters.slots else 0.0
        seen = (("connections", share), ("blocked_sessions", self.longest))
        return max((self.judged.limits[name].grade(value) for name, value in seen if name in self.judged.limits),
                   key=SEVERITY.index, default=Grade.OK)  # fmt: skip

    @property
    def longest(self) -> float:
        """Seconds of the longest wait for a lock."""
        nodes: tuple[Node, ...] = self.facts.nodes if self.facts else ()
        return max((node.waits or 0.0 for node in nodes), default=0.0)

    @property
    def verdict(self) -> str:
        """One line: how it is, and why."""
        if self.trouble:
            word = WORDS.get(self.trouble.kind, "out of reach")
            said = f": {tidy(self.trouble.words)}" if self.trouble.words else ""
            return f"fail: {word} since {_whole(self.now - self.trouble.since)}{said}"
        if self._silent:
            return f"fail: no answer for {_whole(self._silent)}"
        if self.facts is None:
            return f"connecting to {self.host} ..."
        word = {Grade.FAIL: "fail", Grade.WARN: "warn"}.get(
            self.grade, "healthy" if self.judged.at else "so far healthy"
        )
        parts = [self._found(), *self._seen()]
        return f"{word}: {'; '.join(part for part in parts if part)}"

    def _found(self) -> str:
        if self.judged.at is None:
            return "the checks are not done yet"
        by_check: dict[str, Grade] = {}
        for one in self.judged.findings:
            by_check[one.check] = max(by_check.get(one.check, Grade.OK), one.grade, key=SEVERITY.index)
        graded = [(grade, sum(found is grade for found in by_check.values())) for grade in WORSE]
        bad = ", ".join(f"{number} {grade}" for grade, number in graded if number)
        checked = f"{count(len(by_check), 'check')} {age(self.now - self.judged.at)} ago"
        return f"{bad} of {checked}" if bad else checked

    def _seen(self) -> list[str]:
        if self.facts is None:
            return []
        waiting = [node for node in self.facts.nodes if node.blockers]
        seen = [f"{count(len(waiting), 'session')} blocked, {age(self.longest)}"] if waiting else []
        counters = self.facts.counters
        seen += [f"{count(counters.hidden, 'session')} hidden: needs pg_monitor"] if counters.hidden else []
        if "connections" in self.judged.limits and counters.slots:
            share = counters.total / counters.slots
            full = self.judged.limits["connections"].grade(share) is not Grade.OK
            seen += [f"{counters.total} of {counters.slots} connections"] if full else []
        return seen


def _whole(seconds: float) -> str:
    return f"{max(seconds, 0):.0f} s" if seconds < 120 else age(seconds)
