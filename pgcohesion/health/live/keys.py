"""What a person has chosen, and what a key makes of it: a pure function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from ..registry import Finding
from .facts import Node, Session
from .memory import Gain
from .snapshot import Snapshot
from .tables import ORDERS, VIEWS, Row, sections

INTERVALS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
PAGE = 10


class Desk(Struct, frozen=True):
    """What is chosen: the *view*, its *keys* and *places* (the selected row of each), *orders*, and the *needle*.

    *over* lies on top: help, detail (of *about*) or fix; *typing* is what the keyboard writes: filter or name.
    """

    interval: float
    env: str = ""
    view: str = "sessions"
    keys: Mapping[str, tuple[str, object]] = {}
    places: Mapping[str, int] = {}
    orders: Mapping[str, str] = {}
    needle: str = ""
    typing: str = ""
    typed: str = ""
    over: str = ""
    about: Row | None = None
    scroll: int = 0
    paused: bool = False
    note: str = ""

    def place(self, rows: Sequence[Row]) -> int:
        """Return the position of the selected row: where it is now, or where it was when it has gone."""
        key = self.keys.get(self.view)
        found = next((n for n, row in enumerate(rows) if row.key == key), None)
        return max(0, min(self.places.get(self.view, 0), len(rows) - 1)) if found is None else found

    @property
    def pid(self) -> int | None:
        """The session that is shown in full."""
        about = self.about if self.over == "detail" else None
        return about.key[1] if about and about.key[0] == "session" and isinstance(about.key[1], int) else None


class Effect(Struct, frozen=True):
    """What is to be done: quit, copy (*text*), plan (*finding*), do, forget."""

    kind: str
    text: str = ""
    finding: Finding | None = None


Pressed = tuple[Desk, Effect | None]


def rows(snapshot: Snapshot, desk: Desk) -> list[Row]:
    """Return all rows of the view."""
    made = sections(snapshot, desk.view, desk.orders.get(desk.view, ""), desk.needle)
    return [row for one in made for row in one.rows]


def press(desk: Desk, key: str, snapshot: Snapshot) -> Pressed:
    """Return what a key makes of the desk, and what is to be done for it."""
    desk = replace(desk, note="")
    if desk.typing:
        return _type(desk, key, snapshot)
    if desk.over:
        return _leaf(desk, key, snapshot)
    if key in _MOVES:
        return _move(desk, _MOVES[key], rows(snapshot, desk)), None
    if key in _VIEW_KEYS:
        return replace(desk, view=_VIEW_KEYS[key], needle=""), None
    handler = _KEYS.get(key)
    return handler(desk, snapshot) if handler else (desk, None)


def selected(desk: Desk, snapshot: Snapshot) -> Row | None:
    """Return the selected row."""
    found = rows(snapshot, desk)
    return found[desk.place(found)] if found else None


def _move(desk: Desk, by: int, found: Sequence[Row]) -> Desk:
    if not found:
        return desk
    place = max(0, min(desk.place(found) + by, len(found) - 1))
    return replace(
        desk, keys={**desk.keys, desk.view: found[place].key}, places={**desk.places, desk.view: place}
    )  # fmt: skip


# --- what is typed -----------------------------------------------------------------------------------------------


def _type(desk: Desk, key: str, snapshot: Snapshot) -> Pressed:
    if key == "escape":
        return _typed_nothing(desk)
    if key == "enter":
        return (replace(desk, typing=""), None) if desk.typing == "filter" else _confirmed(desk)
    text = desk.needle if desk.typing == "filter" else desk.typed
    if key == "backspace":
        text = text[:-1]
    elif len(key) == 1:
        text += key
    return replace(desk, **{"needle" if desk.typing == "filter" else "typed": text}), None


def _typed_nothing(desk: Desk) -> Pressed:
    if desk.typing == "filter":
        return replace(desk, typing="", needle=""), None
    return replace(desk, typing="", typed="", over="", note="nothing was changed"), Effect("forget")


def _confirmed(desk: Desk) -> Pressed:
    if desk.typed == desk.env:
        return replace(desk, typing="", typed=""), Effect("do")
    note = f"nothing was changed: `{desk.env}` was not typed"
    return replace(desk, typing="", typed="", over="", note=note), Effect("forget")


# --- what lies on top ----------------------------------------------------------------------------------------------


def _leaf(desk: Desk, key: str, snapshot: Snapshot) -> Pressed:
    if key in ("escape", "enter", "q", "?"):
        return replace(desk, over="", about=None, scroll=0), Effect("forget") if desk.over == "fix" else None
    if key in _MOVES:
        return replace(desk, scroll=max(0, desk.scroll + _MOVES[key])), None
    if desk.over == "detail" and key in ("c", "f"):
        return _KEYS[key](desk, snapshot)
    return desk, None


def begun(desk: Desk, snapshot: Snapshot) -> Desk:
    """Return the desk ready for a name to be typed, when a plan has come that asks for it."""
    mending = snapshot.mending
    if desk.over == "fix" and mending and mending.stage == "ready" and not desk.typing:
        return replace(desk, typing="name", typed="")
    return desk


# --- keys ------------------------------------------------------------------------------------------------------------


def _quit(desk: Desk, snapshot: Snapshot) -> Pressed:
    return desk, Effect("quit")


def _help(desk: Desk, snapshot: Snapshot) -> Pressed:
    return replace(desk, over="help", scroll=0), None


def _explain(desk: Desk, snapshot: Snapshot) -> Pressed:
    row = selected(desk, snapshot)
    if row is None or row.about is None:
        return desk, None
    return replace(desk, over="detail", about=row, scroll=0), None


def _about(desk: Desk, snapshot: Snapshot) -> Row | None:
    return desk.about if desk.over == "detail" else selected(desk, snapshot)


def _copy(desk: Desk, snapshot: Snapshot) -> Pressed:
    row = _about(desk, snapshot)
    about = row.about if row else None
    text = about.fix if isinstance(about, Finding) else ""
    text = about.query if isinstance(about, (Session, Node, Gain)) else text
    if not row or not text:
        return replace(desk, note="there is nothing to copy"), None
    what = "the fix" if isinstance(about, Finding) else "the query"
    return replace(desk, over="detail", about=row, note=f"copied {what}"), Effect("copy", text)


def _fix(desk: Desk, snapshot: Snapshot) -> Pressed:
    row = _about(desk, snapshot)
    if row is None or not isinstance(row.about, Finding):
        return replace(desk, note="a fix starts from a finding: 3, then f"), None
    return replace(desk, over="fix", about=row, scroll=0, typed=""), Effect("plan", finding=row.about)


def _pause(desk: Desk, snapshot: Snapshot) -> Pressed:
    return replace(desk, paused=not desk.paused), None


def _slower(desk: Desk, snapshot: Snapshot) -> Pressed:
    return replace(desk, interval=next((i for i in INTERVALS if i > desk.interval), desk.interval)), None


def _faster(desk: Desk, snapshot: Snapshot) -> Pressed:
    return replace(desk, interval=next((i for i in reversed(INTERVALS) if i < desk.interval), desk.interval)), None


def _sort(desk: Desk, snapshot: Snapshot) -> Pressed:
    orders = ORDERS.get(desk.view)
    if orders is None:
        return replace(desk, note=f"{desk.view} have one order"), None
    now = desk.orders.get(desk.view, orders[0])
    order = orders[(orders.index(now) + 1) % len(orders)]
    return replace(desk, orders={**desk.orders, desk.view: order}, note=f"sorted by {order}"), None


def _filter(desk: Desk, snapshot: Snapshot) -> Pressed:
    return replace(desk, typing="filter"), None


def _clear(desk: Desk, snapshot: Snapshot) -> Pressed:
    return replace(desk, needle=""), None


def _tab(step: int) -> Callable[[Desk, Snapshot], Pressed]:
    def turn(desk: Desk, snapshot: Snapshot) -> Pressed:
        view = VIEWS[(VIEWS.index(desk.view) + step) % len(VIEWS)]
        return replace(desk, view=view, needle=""), None

    return turn


_VIEW_KEYS = {str(number): view for number, view in enumerate(VIEWS, 1)}
_MOVES = {"up": -1, "k": -1, "down": 1, "j": 1, "pageup": -PAGE, "pagedown": PAGE, "home": -(10**6), "end": 10**6}
_KEYS: dict[str, Callable[[Desk, Snapshot], Pressed]] = {
    "q": _quit,
    "?": _help,
    "enter": _explain,
    "c": _copy,
    "f": _fix,
    "p": _pause,
    " ": _pause,
    "+": _slower,
    "-": _faster,
    "s": _sort,
    "/": _filter,
    "escape": _clear,
    "tab": _tab(1),
    "backtab": _tab(-1),
}
HELP = (
    ("q", "quit"),
    ("1-5, Tab", "sessions, locks, findings, queries, progress and replication"),
    ("j k, arrows", "move"),
    ("Enter", "explain: a finding's reason and fix, a session's query and locks"),
    ("c", "copy the fix, or the query, to the clipboard of the terminal (OSC 52)"),
    ("f", "start the guarded fix of a finding: its plan is shown, the environment's name is typed"),
    ("s", "sort by the next column"),
    ("/", "show only rows with a text; Esc shows all"),
    ("p", "pause and go on"),
    ("+ -", "look less often, more often"),
    ("?", "this help"),
)
