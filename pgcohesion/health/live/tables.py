"""The rows of each view of a live screen: facts -> cells, sorted and filtered; nothing here knows a width in use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from msgspec import Struct

from ...view import Grade, size
from ..changes import SEVERITY
from ..registry import Finding
from .facts import Node, Progress, Session
from .memory import Gain
from .snapshot import Snapshot
from .words import age, percent, rate, tidy

VIEWS = ("sessions", "locks", "findings", "queries", "progress")
ORDERS: dict[str, tuple[str, ...]] = {
    "sessions": ("age", "transaction", "state", "wait", "role", "database", "pid"),
    "queries": ("time", "calls", "mean", "rows"),
}
STATES = {
    "idle in transaction": "idle tx",
    "idle in transaction (aborted)": "aborted",
    "fastpath function call": "active",
    "": "-",
}
BAR = 12


class Column(Struct, frozen=True):
    """A column of *width* cells (0: what is left), shown where the screen has at least *least* columns."""

    name: str
    width: int = 0
    least: int = 0
    right: bool = False


class Row(Struct, frozen=True):
    """A row: *key* says what it is about, whatever else has changed; *about* is the thing itself."""

    key: tuple[str, object]
    cells: tuple[str, ...]
    style: str = ""
    about: Any = None


class Section(Struct, frozen=True):
    """Rows under columns; *empty* is said where there are none."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    empty: str = ""


SESSIONS = (
    Column("pid", 7, right=True), Column("role", 10), Column("database", 9, 70), Column("application", 14, 100),
    Column("client", 15, 150), Column("state", 7), Column("wait", 15), Column("xact", 6, 120, right=True),
    Column("age", 6, right=True), Column("query"),
)  # fmt: skip
LOCKS = (
    Column("pid", 12), Column("role", 10, 70), Column("application", 14, 110), Column("age", 6, right=True),
    Column("mode or state", 15), Column("on", 16), Column("query"),
)  # fmt: skip
FINDINGS = (Column("grade", 7), Column("check", 20), Column("finding"))
QUERIES = (
    Column("ms/s", 8, right=True), Column("calls/s", 8, right=True), Column("ms/call", 9, right=True),
    Column("rows/s", 9, 70, right=True), Column("query"),
)  # fmt: skip
PROGRESS = (
    Column("pid", 7, right=True), Column("command", 12), Column("done", BAR + 6), Column("age", 6, 70, right=True),
    Column("on", 18), Column("phase"),
)  # fmt: skip
STANDBYS = (
    Column("standby", 18), Column("client", 15, 90), Column("state", 10), Column("sync", 7),
    Column("behind", 11, right=True), Column("time", 6, right=True), Column(""),
)  # fmt: skip
SLOTS = (
    Column("slot", 18), Column("kind", 9), Column("active", 6), Column("status", 10), Column("keeps", 11, right=True),
    Column(""),
)  # fmt: skip


def sections(
    snapshot: Snapshot, view: str, order: str = "", needle: str = "", *, ascii_only: bool = False
) -> list[Section]:
    """Return what a view shows; *needle*: only rows with this text, whatever its case."""
    made = _MAKERS[view](snapshot, order, ascii_only)
    wanted = needle.casefold()
    return [
        Section(
            one.columns,
            tuple(row for row in one.rows if wanted in " ".join(row.cells).casefold()),
            f"no row has `{needle}`" if one.rows else one.empty,
        )
        for one in made
    ]


# --- sessions --------------------------------------------------------------------------------------------------


def _sessions(snapshot: Snapshot, order: str, ascii_only: bool) -> list[Section]:
    found = list(snapshot.facts.sessions) if snapshot.facts else []
    found.sort(key=_ORDERS[order or "age"])
    empty = snapshot.seen.refused.get("sessions", "no other sessions")
    return [Section(SESSIONS, tuple(map(_session, found)), empty)]


def _session(one: Session) -> Row:
    state = STATES.get(one.state, one.state)
    named = one.application or (one.kind if one.kind != "client backend" else "")
    cells = (
        str(one.pid), one.role, one.database, named, one.client, state, one.wait, age(one.transaction),
        age(one.seconds), one.query,
    )  # fmt: skip
    waits = one.wait.startswith("Lock:")
    style = (
        str(Grade.FAIL)
        if waits
        else {"idle tx": str(Grade.WARN), "aborted": str(Grade.WARN), "idle": "dim"}.get(state, "")
    )
    return Row(("session", one.pid), cells, style, one)


_ORDERS: dict[str, Callable[[Session], Any]] = {
    "age": lambda one: (one.state == "idle", -(one.seconds or 0), one.pid),
    "transaction": lambda one: (-(one.transaction or 0), one.pid),
    "state": lambda one: (one.state, -(one.seconds or 0), one.pid),
    "wait": lambda one: (not one.wait, one.wait, -(one.seconds or 0), one.pid),
    "role": lambda one: (one.role, one.pid),
    "database": lambda one: (one.database, one.pid),
    "pid": lambda one: one.pid,
}


# --- locks -----------------------------------------------------------------------------------------------------


def tree(nodes: Iterable[Node]) -> Iterator[tuple[int, Node]]:
    """Yield who blocks whom as (depth, node): a root, those who wait for it, those who wait for them.

    Who waits for several stands below the first of them. A circle, which the server breaks by itself, begins anywhere.
    """
    by_pid = {node.pid: node for node in nodes}
    behind: dict[int, list[Node]] = {}
    for node in by_pid.values():
        for pid in node.blockers:
            behind.setdefault(pid, []).append(node)
    roots = [node for node in by_pid.values() if not node.blockers]
    seen: set[int] = set()
    for root in (*sorted(roots, key=lambda node: -len(behind.get(node.pid, ()))), *by_pid.values()):
        yield from _below(root, behind, seen)


def _below(root: Node, behind: dict[int, list[Node]], seen: set[int]) -> Iterator[tuple[int, Node]]:
    ahead = [(0, root)]
    while ahead:
        depth, node = ahead.pop()
        if node.pid in seen:
            continue
        seen.add(node.pid)
        yield depth, node
        longest_last = sorted(behind.get(node.pid, ()), key=lambda one: one.waits or 0)
        ahead += [(depth + 1, one) for one in longest_last]


def _locks(snapshot: Snapshot, order: str, ascii_only: bool) -> list[Section]:
    rows = tuple(_lock(depth, node) for depth, node in tree(snapshot.facts.nodes if snapshot.facts else ()))
    return [Section(LOCKS, rows, snapshot.seen.refused.get("nodes", "nobody waits for a lock"))]


def _lock(depth: int, node: Node) -> Row:
    state = STATES.get(node.state, node.state)
    what = node.mode.removesuffix("Lock") if node.blockers else state
    on = node.relation or (node.locktype if node.blockers else "")
    name = str(node.pid) if node.pid else "prepared"
    cells = (
        "  " * min(depth, 4) + name, node.role, node.application,
        age(node.waits if node.blockers else node.transaction), what, on, node.query,
    )  # fmt: skip
    return Row(("session", node.pid), cells, "" if node.blockers else str(Grade.FAIL), node)


# --- findings --------------------------------------------------------------------------------------------------


def shown(findings: Iterable[Finding]) -> list[Finding]:
    """Return what is not ok, the worst first."""
    bad = [one for one in findings if one.grade is not Grade.OK]
    return sorted(bad, key=lambda one: (-SEVERITY.index(one.grade), one.check, one.object, one.database))


def _findings(snapshot: Snapshot, order: str, ascii_only: bool) -> list[Section]:
    empty = "nothing was found" if snapshot.judged.at else "the checks are not done yet"
    return [Section(FINDINGS, tuple(map(_finding, shown(snapshot.judged.findings))), empty)]


def _finding(one: Finding) -> Row:
    where = "".join(f"{tidy(part)}: " for part in (one.host, one.database) if part)
    return Row(("finding", one.fingerprint), (one.grade, one.check, where + tidy(one.text)), str(one.grade), one)


# --- queries ---------------------------------------------------------------------------------------------------


def _queries(snapshot: Snapshot, order: str, ascii_only: bool) -> list[Section]:
    top = snapshot.seen.top
    found = sorted(top.gains, key=lambda gain: -getattr(gain, order or "time"))
    return [Section(QUERIES, tuple(map(_query, found)), top.why)]


def _query(gain: Gain) -> Row:
    cells = (rate(gain.time), rate(gain.calls), f"{gain.mean:,.2f}", rate(gain.rows), gain.query)
    return Row(("query", gain.id), cells, "", gain)


# --- progress and replication ------------------------------------------------------------------------------------


def _progress(snapshot: Snapshot, order: str, ascii_only: bool) -> list[Section]:
    facts = snapshot.facts
    if facts is None:
        return [Section(PROGRESS, (), "")]
    ages = {one.pid: one.seconds for one in facts.sessions}
    running = tuple(_running(one, ages.get(one.pid), ascii_only) for one in facts.progress)
    made = [Section(PROGRESS, running, "no vacuum, analyze, index, cluster, copy or base backup is running")]
    if facts.standbys:
        made.append(Section(STANDBYS, tuple(
            Row(("standby", f"{one.name} {one.client}"), (one.name, one.client, one.state, one.sync,
                "-" if one.lag is None else size(one.lag), age(one.seconds), ""))
            for one in facts.standbys)))  # fmt: skip
    if facts.slots:
        made.append(Section(SLOTS, tuple(
            Row(("slot", one.name), (one.name, one.kind, "yes" if one.active else "no", one.status,
                "-" if one.kept is None else size(one.kept), ""), "" if one.active else str(Grade.WARN))
            for one in facts.slots)))  # fmt: skip
    return made


def _running(one: Progress, seconds: float | None, ascii_only: bool) -> Row:
    full, blank = ("#", ".") if ascii_only else ("█", "░")
    done = round((one.share or 0.0) * BAR)
    bar = "" if one.share is None else f"{full * done}{blank * (BAR - done)} {percent(one.share):>4}"
    cells = (str(one.pid), one.command, bar, age(seconds), one.relation, one.phase)
    return Row(("session", one.pid), cells, "", one)


_MAKERS: dict[str, Callable[[Snapshot, str, bool], list[Section]]] = {
    "sessions": _sessions,
    "locks": _locks,
    "findings": _findings,
    "queries": _queries,
    "progress": _progress,
}
