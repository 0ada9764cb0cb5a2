"""A snapshot -> the rows of a screen of so many columns and lines: pure, and right at every size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from ...view import Grade, size
from .details import lines as details
from .facts import MOST
from .keys import Desk
from .past import binned
from .snapshot import Snapshot
from .tables import VIEWS, Column, Row, Section, sections
from .words import age, cells, cut, fit, percent, rate, spark

Span = tuple[str, str]
"""A text and its style: a grade, bold, dim, fix, selected, or nothing."""
Spans = tuple[Span, ...]
TALL, EXTRA = 36, 7  # lines from which on more than one view is shown, and how many the others get
LEAST_BODY = 6
KEYS = "q quit  ? help  Enter explain  c copy  f fix  / filter  s sort  p pause  +/-"


class Size(Struct, frozen=True):
    """The terminal: *ascii_only* where it cannot show bars."""

    columns: int
    lines: int
    ascii_only: bool = False


def settled(snapshot: Snapshot, desk: Desk, on: Size) -> Desk:
    """Return the desk scrolled no further than what lies on top of it goes."""
    if not desk.scroll:
        return desk
    most = len(details(snapshot, desk, max(on.columns - 2, 1))) - 1
    return replace(desk, scroll=max(0, min(desk.scroll, most)))


def draw(snapshot: Snapshot, desk: Desk, on: Size) -> list[Spans]:
    """Return the rows of the screen, none wider than it, exactly as many as it has lines."""
    head = _head(snapshot, desk, on)
    tabs = _tabs(snapshot, desk)
    kept = head[: max(min(len(head), on.lines - LEAST_BODY - 2), 2)]
    room = max(on.lines - len(kept) - 2, 0)
    body = _over(snapshot, desk, on, room) if desk.over else _body(snapshot, desk, on, room)
    body += [()] * (room - len(body))
    screen = [*kept, tabs, *body[:room]][: max(on.lines - 1, 0)]
    return [_clip(row, on.columns) for row in [*screen, _foot(desk, on)][: on.lines]]


def _clip(row: Spans, width: int) -> Spans:
    """Cut a row to the width of the screen."""
    kept: list[Span] = []
    left = width
    for text, style in row:
        if left <= 0:
            break
        text = cut(text, left)  # noqa: PLW2901
        kept.append((text, style))
        left -= cells(text)
    return tuple(kept)


# --- the head ----------------------------------------------------------------------------------------------------


def _head(snapshot: Snapshot, desk: Desk, on: Size) -> list[Spans]:
    """Return the lines above the views, the most important first."""
    lines: list[Spans] = [_title(snapshot, desk, on), ((snapshot.verdict, str(snapshot.grade)),)]
    facts = snapshot.facts
    if facts is None:
        return lines
    counters, gained = facts.counters, snapshot.seen.rates
    idle = f"{counters.in_transaction} idle in transaction, {counters.idle} idle"
    load = (
        f"connections {counters.total}/{counters.slots}: {counters.active} active, {idle}, {counters.waiting} waiting"
    )
    reads = f"hit {percent(gained.hit, 1)}  temp {_bytes(gained.temp)}  deadlocks {rate(gained.deadlocks)}/s"
    lines += [
        ((load, ""),),
        ((f"tps {rate(gained.tps)}  rollbacks {rate(gained.rollbacks)}/s  {reads}", ""),),
        ((_wal(snapshot), ""),),
        *_sparks(snapshot, on),
        ((_waits(snapshot), ""),),
    ]
    return lines


def _title(snapshot: Snapshot, desk: Desk, on: Size) -> Spans:
    facts = snapshot.facts
    server = ""
    if facts is not None:
        role = "standby" if facts.counters.standby else "primary"
        server = f"  PostgreSQL {facts.counters.version} {role}, up {age(facts.counters.uptime)}"
    clock = datetime.fromtimestamp(snapshot.now).astimezone().strftime("%H:%M:%S")
    right = f"{'paused' if desk.paused else f'every {desk.interval:g} s'}  {clock}"
    left = fit(f"{snapshot.env} {snapshot.host}{server}", max(on.columns - len(right) - 1, 0))
    return ((f"{left} ", "bold"), (right, "bold" if desk.paused else "dim"))


def _wal(snapshot: Snapshot) -> str:
    facts = snapshot.facts
    assert facts is not None
    parts = [f"wal {_bytes(snapshot.seen.rates.wal)}"]
    if facts.checkpoints:
        parts.append(f"checkpoint {age(facts.checkpoints.age)} ago")
    counters = facts.counters
    if counters.standby:
        behind = f", {age(counters.replay_seconds)}" if counters.replay_bytes else ""
        parts.append(f"replay {size(counters.replay_bytes or 0)} behind{behind}")
    if facts.standbys:
        lag = max((one.lag or 0.0 for one in facts.standbys), default=0.0)
        late = max((one.seconds or 0.0 for one in facts.standbys), default=0.0)
        parts.append(f"standbys {len(facts.standbys)}: {size(lag)} {age(late)}".rstrip())
    if facts.slots:
        kept = max((one.kept or 0.0 for one in facts.slots), default=0.0)
        parts.append(f"slots {len(facts.slots)}: {size(kept)}")
    if facts.checkpoints:
        parts.append(f"checkpoints {facts.checkpoints.timed:.0f} timed, {facts.checkpoints.requested:.0f} requested")
    return "  ".join(parts)


def _bytes(value: float | None) -> str:
    return "-" if value is None else f"{size(value)}/s"


def _sparks(snapshot: Snapshot, on: Size) -> list[Spans]:
    """Return the lines of bars: beside each other, or on a tall screen each on a line of its own."""
    names = ("tps", "active", "waiting")
    tall = on.lines >= TALL
    width = on.columns - 20 if tall else (on.columns - len("tps   active   waiting  ") - 18) // 3
    bins = binned(snapshot.seen.points, snapshot.now, max(width, 1))
    shown: list[Spans] = []
    for name in names:
        values = [0.0 if one is None else getattr(one, name) for one in bins]
        last = snapshot.seen.points[-1] if snapshot.seen.points else None
        number = rate(getattr(last, name)) if last else "-"
        bars = spark(values, width, ascii_only=on.ascii_only)
        label = f"{name:<8}" if tall else f"{name} "
        shown.append(((label, "dim"), (bars, "fix"), (f" {number:<6}" if not tall else f" {number}", "")))
    return shown if tall else [tuple(span for spans in shown for span in spans)]


def _waits(snapshot: Snapshot) -> str:
    if not snapshot.seen.waits:
        return "waits of the last minute: no session was active"
    parts = (f"{name} {percent(share)}" for name, share in snapshot.seen.waits[:8])
    return f"waits of the last minute: {'  '.join(parts)}"


# --- the views -----------------------------------------------------------------------------------------------------


def _tabs(snapshot: Snapshot, desk: Desk) -> Spans:
    facts = snapshot.facts
    numbers = {
        "locks": sum(bool(node.blockers) for node in facts.nodes) if facts else 0,
        "findings": len(snapshot.judged.bad),
        "progress": len(facts.progress) if facts else 0,
    }
    many = facts.counters.total - 1 if facts else 0
    listed = f" ({len(facts.sessions)} of {many})" if facts and len(facts.sessions) == MOST < many else ""
    noted = {view: f" ({number})" if number else "" for view, number in numbers.items()} | {"sessions": listed}
    spans: list[Span] = []
    for number, view in enumerate(VIEWS, 1):
        text = f"{number} {view}{noted.get(view, '')}"
        spans += [(f"[{text}]", "bold") if view == desk.view else (f" {text} ", "dim"), (" ", "")]
    if desk.needle and desk.typing != "filter":
        spans.append((f" /{desk.needle}", "fix"))
    return tuple(spans)


def _body(snapshot: Snapshot, desk: Desk, on: Size, room: int) -> list[Spans]:
    """Return the view, and below it what others have to say where there is room for it."""
    made = sections(snapshot, desk.view, desk.orders.get(desk.view, ""), desk.needle, ascii_only=on.ascii_only)
    others = _others(snapshot, desk, on)
    reserved = sum(map(len, others)) if on.lines >= TALL else 0
    lines = _scrolled(made, desk, on, room - reserved)
    for other in others:
        left = room - len(lines)
        lines += other[:left] if left > 2 else []  # a title alone says nothing
    return lines


def _others(snapshot: Snapshot, desk: Desk, on: Size) -> list[list[Spans]]:
    """Return the first rows of each other view that has something to say."""
    found: list[list[Spans]] = []
    for view in ("locks", "findings", "progress"):
        made = sections(snapshot, view, ascii_only=on.ascii_only)[0]
        if view != desk.view and made.rows:
            rows = [_row(row, made.columns, on, chosen=False) for row in made.rows[: EXTRA - 2]]
            found.append([(), ((view, "bold"),), *rows])
    return found


def _scrolled(made: Sequence[Section], desk: Desk, on: Size, room: int) -> list[Spans]:
    """Return the sections with the selected row in sight, below the header of the first."""
    rows = [row for one in made for row in one.rows]
    chosen = rows[desk.place(rows)] if rows else None
    lines: list[tuple[Row | None, Sequence[Column], Spans]] = []
    for one in made:
        lines += [(None, (), ())] if lines else []
        lines.append((None, (), ((_header(one.columns, on), "bold"),)))
        lines += [(None, (), ((f"  {one.empty}", "dim"),))] if not one.rows and one.empty else []
        lines += [(row, one.columns, ()) for row in one.rows]
    at = next((n for n, (row, _, _) in enumerate(lines) if row is not None and row is chosen), 0)
    top = max(0, at - room + 2)
    return [
        _row(row, columns, on, chosen=row is chosen) if row else spans
        for row, columns, spans in (*lines[:1], *lines[top + 1 : top + room])
    ]


def _columns(columns: Sequence[Column], on: Size) -> Iterator[tuple[int, Column, int]]:
    """Yield position, column and width of those that there is room for."""
    shown = [(n, one) for n, one in enumerate(columns) if on.columns >= one.least]
    fixed = sum(one.width + 1 for _, one in shown if one.width)
    for n, one in shown:
        yield n, one, one.width or max(on.columns - fixed - 1, 0)


def _header(columns: Sequence[Column], on: Size) -> str:
    return " " + " ".join(fit(one.name, width, right=one.right) for _, one, width in _columns(columns, on))


def _row(row: Row, columns: Sequence[Column], on: Size, *, chosen: bool) -> Spans:
    text = " ".join(fit(row.cells[n], width, right=one.right) for n, one, width in _columns(columns, on))
    return ((f">{text}", "selected"),) if chosen else ((f" {text}", row.style),)


# --- what lies on top, and the foot --------------------------------------------------------------------------------


def _over(snapshot: Snapshot, desk: Desk, on: Size, room: int) -> list[Spans]:
    lines = details(snapshot, desk, max(on.columns - 2, 1))
    return [((f" {text}", style),) for text, style in lines[desk.scroll : desk.scroll + room]]


def _foot(desk: Desk, on: Size) -> Spans:
    if desk.typing == "filter":
        return ((f"/{desk.needle}_", "bold"), ("  Enter keeps it, Esc shows all", "dim"))
    if desk.typing == "name":
        return ((f"type {desk.env} to do it: {desk.typed}_", str(Grade.WARN)), ("  Esc leaves it", "dim"))
    if desk.note:
        return ((desk.note, "bold"),)
    if desk.over:
        return (("Esc goes back  j k scroll" + ("  c copy  f fix" if desk.over == "detail" else ""), "dim"),)
    return ((KEYS, "dim"),)
