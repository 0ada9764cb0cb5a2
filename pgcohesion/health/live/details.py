"""What lies on top of the views: help, a finding or a session in full, a fix on its way."""

from __future__ import annotations

from collections.abc import Iterator

from ...view import Grade
from ..registry import Finding
from .facts import Node, Progress, Session
from .keys import HELP, Desk
from .memory import Gain
from .snapshot import Snapshot
from .words import age, rate, tidy, wrap

Line = tuple[str, str]
"""A text and its style."""
STAGES = {
    "planning": "looking at what would be done ...",
    "ready": "this would be done:",
    "doing": "doing it ...",
    "done": "done:",
    "failed": "not done:",
}


def lines(snapshot: Snapshot, desk: Desk, width: int) -> list[Line]:
    """Return what lies on top, in lines of at most *width* cells."""
    if desk.over == "help":
        made = _help(width)
    elif desk.over == "fix":
        made = _fix(snapshot, width)
    else:
        made = _detail(snapshot, desk, width)
    return list(made)


def _help(width: int) -> Iterator[Line]:
    wide = max(len(keys) for keys, _ in HELP) + 2
    for keys, text in HELP:
        first, *more = wrap(text, width - wide)
        yield f"{keys:<{wide}}{first}", ""
        yield from ((" " * wide + line, "") for line in more)


def _fix(snapshot: Snapshot, width: int) -> Iterator[Line]:
    mending = snapshot.mending
    if mending is None:
        return
    yield from ((line, str(mending.finding.grade)) for line in wrap(mending.finding.text, width))
    yield "", ""
    yield STAGES[mending.stage], "bold"
    for line in mending.lines:
        yield from ((part, "") for part in wrap(line, width))


def _detail(snapshot: Snapshot, desk: Desk, width: int) -> Iterator[Line]:
    about = desk.about.about if desk.about else None
    if isinstance(about, Finding):
        yield from _finding(snapshot, about, width)
    elif isinstance(about, Gain):
        yield f"{rate(about.time)} ms/s, {rate(about.calls)} calls/s, {about.mean:,.2f} ms a call", "bold"
        yield f"queryid {about.id}", "dim"
        yield "", ""
        yield from _text(about.query, width)
    elif isinstance(about, (Session, Node, Progress)):
        yield from _session(snapshot, about, width)


def _finding(snapshot: Snapshot, one: Finding, width: int) -> Iterator[Line]:
    check = snapshot.judged.checks.get(one.check)
    yield from ((line, str(one.grade)) for line in wrap(f"{one.grade}: {one.check}: {one.text}", width))
    if check:
        yield from _text(check.title, width)
    limit = "" if one.threshold is None else f", {one.grade} at {_number(one.threshold)}"
    facts = [
        f"value {_number(one.value)}{limit}" if one.value is not None else "",
        f"used up in {one.forecast:.0f} days" if one.forecast is not None else "",
        f"database {tidy(one.database)}" if one.database else "",
        f"host {one.host}" if one.host else "",
        one.fingerprint,
    ]
    yield "  ".join(part for part in facts if part), "dim"
    for name, text, style in (("why", check.why if check else "", ""), ("fix", one.fix, "fix"), ("undo", one.undo, "")):
        if text:
            yield "", ""
            yield name, "bold"
            yield from ((f"  {line}", style) for line in wrap(text, width - 2))


def _session(snapshot: Snapshot, one: Session | Node | Progress, width: int) -> Iterator[Line]:
    facts = snapshot.facts
    current = next((s for s in facts.sessions if s.pid == one.pid), None) if facts else None
    current = current or (one if isinstance(one, Session) else None)
    yield f"process {one.pid}" if one.pid else "a prepared transaction: see the finding about it", "bold"
    if current:
        yield from _text(
            f"{current.kind}  role {current.role}  database {current.database}"
            f"  application {current.application or '-'}  client {current.client or 'local'}",
            width,
        )
        times = f"{current.state or '-'} for {age(current.seconds) or '-'}"
        yield f"{times}  transaction {age(current.transaction) or '-'}  wait {current.wait or '-'}", ""
    held = facts.held if facts and facts.held and facts.held.pid == one.pid else None
    yield "", ""
    yield "query", "bold"
    known = one.query if isinstance(one, Node) else current.query if current else ""
    yield from ((f"  {line}", "") for line in wrap(held.query if held else known, width - 2))
    yield "", ""
    yield "locks", "bold"
    if held is None:
        yield "  asking ...", "dim"
    for mode, kind, relation, granted in held.locks if held else ():
        text = f"  {mode:<26} {kind:<14} {relation}{'' if granted else '  (waits)'}"
        yield text, "" if granted else str(Grade.FAIL)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.3g}"


def _text(text: str, width: int) -> Iterator[Line]:
    yield from ((line, "") for line in wrap(text, width))
