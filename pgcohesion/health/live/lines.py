"""A live view where there is no terminal: a document or a line each refresh, and what has changed since the last."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from msgspec import to_builtins

from ...errors import UNREACHABLE
from ...view import Answer, Grade, Line, View, count
from ..report import as_dict
from .snapshot import Snapshot
from .tables import shown, tree
from .words import age, percent, rate, tidy


class Refresh(Answer, frozen=True):
    """One refresh: *now*, and what was *before* it."""

    now: Snapshot
    before: Snapshot | None = None

    @property
    def failed(self) -> bool:
        """Whether something is at fail."""
        return self.now.grade is Grade.FAIL

    @property
    def code(self) -> int:
        """A view does not judge: only a server that does not answer is an error."""
        return 0 if self.now.reachable else UNREACHABLE

    def as_dict(self) -> dict[str, Any]:
        """Return everything that was read, as plain values: seconds, bytes, shares, and rates a second."""
        now, seen, trouble = self.now, self.now.seen, self.now.trouble
        facts = to_builtins(seen.facts) if seen.facts and now.reachable else {"counters": None}
        facts.pop("held", None)
        facts.pop("refused", None)
        error = None
        if not now.reachable:
            why, fix, kind = (trouble.words, trouble.fix, trouble.kind) if trouble else ("", "", "query_timeout")
            error = {"code": "unreachable", "what": now.verdict, "why": why, "fix": fix, "kind": kind}
        return {
            "grade": str(now.grade),
            "verdict": now.verdict,
            "host": now.host,
            "interval": now.interval,
            **facts,
            "rates": to_builtins(seen.rates) if now.reachable else None,
            "waits": dict(seen.waits),
            "queries": {"at": seen.top.at, "why": seen.top.why, "statements": to_builtins(seen.top.gains)},
            "skipped": seen.refused,
            "checked": now.judged.at,
            "findings": [as_dict(finding) for finding in shown(now.judged.findings)],
            **({"error": error} if error else {}),
        }

    def view(self) -> View:
        """Return what has changed, then the verdict with the load."""
        clock = datetime.fromtimestamp(self.now.now).astimezone().strftime("%H:%M:%S")
        verdict = f"{clock} {self.now.verdict}"
        return View(tuple(self._changes()), f"{verdict}; {_load(self.now)}" if self.now.reachable and self.now.facts
                    else verdict, self.now.grade)  # fmt: skip

    def _changes(self) -> Iterator[Line]:
        old, new = _listed(self.before), _listed(self.now)
        yield from (Line(text, mark="+") for key, text in new.items() if key not in old)
        yield from (Line(text, mark="-") for key, text in old.items() if key not in new)


def _load(now: Snapshot) -> str:
    assert now.facts is not None
    one, gained = now.facts.counters, now.seen.rates
    load = f"{one.total} of {one.slots} connections, {one.active} active, {one.waiting} waiting"
    return f"{load}, tps {rate(gained.tps)}, hit {percent(gained.hit, 1)}"


def _listed(snapshot: Snapshot | None) -> dict[tuple[str, object], str]:
    """Return what can come and go, with words for it: findings, blockers, commands that say how far they are."""
    if snapshot is None:
        return {}
    found: dict[tuple[str, object], str] = {
        ("finding", f"{one.fingerprint} {one.grade}"): f"{one.grade}: {one.check}: {tidy(one.text)}"
        for one in snapshot.judged.bad
    }
    facts = snapshot.facts
    if facts is None or not snapshot.reachable:
        return found
    roots = [node for _, node in tree(facts.nodes) if not node.blockers]
    for root in roots:
        blocked = sum(root.pid in node.blockers for node in facts.nodes)
        who = f"process {root.pid} ({root.role}, {root.state or 'gone'})" if root.pid else "a prepared transaction"
        found["blocks", root.pid] = f"{who} blocks {count(blocked, 'session')}: {root.query}"
    for one in facts.progress:
        words = " ".join(filter(None, (one.command, one.relation, one.phase, percent(one.share))))
        found["progress", one.pid] = f"process {one.pid}: {words}"
    for session in facts.sessions:
        if session.state == "active" and (session.seconds or 0) >= LONG:
            words = f"process {session.pid} ({session.role}) runs for {age(session.seconds)}: {session.query}"
            found["long", session.pid] = words
    return found


LONG = 60.0  # seconds: a query that takes longer is told
