"""What an answer looks like, as values: rooms build these, only ``output`` turns them into text.

A view never holds colour or width; a grade is always a word, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct, to_builtins


class Grade(StrEnum):
    """How good something is."""

    OK = "ok"
    INFO = "info"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"


class Line(Struct, frozen=True):
    """A line of text, with an optional mark (``+ ~ - >``) or grade in front; details stand indented below.

    *prose* may be folded where a terminal is narrow, as what has a mark or grade may; other lines are to be pasted.
    """

    text: str
    mark: str = ""
    grade: Grade | None = None
    details: tuple[str, ...] = ()
    prose: bool = False


class Table(Struct, frozen=True):
    """Rows below a header; a cell that is a Grade gets its colour. *prose*: the last column may be folded."""

    header: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    prose: bool = False


class View(Struct, frozen=True):
    """The blocks of an answer, then its verdict, then the next step (shown to a terminal only)."""

    blocks: tuple[Line | Table, ...] = ()
    verdict: str = ""
    grade: Grade = Grade.OK
    next: str = ""


class Answer(Struct, frozen=True):
    """What a task returns: a value that knows its JSON and its view.

    Subclasses add fields and override :meth:`view`; *failed* and *pending* decide the exit code.
    """

    @property
    def failed(self) -> bool:
        """Whether the task's work, or a check, failed (exit code 1)."""
        return False

    @property
    def pending(self) -> bool:
        """Whether changes are pending (exit code 6 with ``--check``)."""
        return False

    @property
    def code(self) -> int | None:
        """The exit code, where it is not what *failed* and *pending* make of it."""
        return None

    @property
    def reveals(self) -> bool:
        """Whether the user asked for a secret: then, and only then, secrets are not masked."""
        return False

    def as_dict(self) -> dict[str, Any]:
        """Return the answer as plain values for JSON."""
        value = to_builtins(self, enc_hook=str)
        assert isinstance(value, dict)
        return value

    def view(self) -> View:
        """Return what a person reads."""
        raise NotImplementedError


class Text(Answer, frozen=True):
    """An answer that is just lines of text (a URL, a rendered file)."""

    lines: tuple[str, ...]

    def view(self) -> View:
        """Return the lines, without a verdict."""
        return View(tuple(Line(line) for line in self.lines))


def count(number: int, noun: str, plural: str = "") -> str:
    """Return "1 check", "2 checks"."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def lines(rows: Sequence[str]) -> tuple[Line, ...]:
    """Return plain lines."""
    return tuple(Line(row) for row in rows)


def size(number: float) -> str:
    """Return bytes as a person reads them: ``512 B``, ``1.5 MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(number) < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"


def span(seconds: float) -> str:
    """Return a duration or an age: ``0.8 s``, ``12 min``, ``3 h``, ``5 d``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    for unit, length, limit in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172800)):
        if seconds < limit:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"


def moment(at: datetime, now: datetime | None = None) -> str:
    """Return local time with its offset and age: ``2026-11-22 14:03 +01:00, 2 h ago``; ``in 2 h`` what is to come."""
    local = at.astimezone()
    offset = local.strftime("%z")
    age = ((now or datetime.now(UTC)) - at).total_seconds()
    when = f"in {span(-age)}" if age < -1 else f"{span(max(age, 0))} ago"  # a clock may be a little off
    return f"{local:%Y-%m-%d %H:%M} {offset[:3]}:{offset[3:]}, {when}"
