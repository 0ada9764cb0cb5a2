"""Texts that fit: cleaned of what would move the cursor, cut to cells of a terminal; numbers that can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from unicodedata import category, combining, east_asian_width

from ...output.text import clean
from ...redact import redact

BARS = "▁▂▃▄▅▆▇█"
ASCII_BARS = "_.-=+*%#"


def tidy(text: str | None) -> str:
    """Return *text* as one line: white space is one blank, secrets are masked, control characters are spelled out."""
    return clean(redact(" ".join((text or "").split())))


def cells(text: str) -> int:
    """Return how many cells of a terminal *text* takes."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(character: str) -> int:
    if combining(character) or category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if east_asian_width(character) in ("W", "F") else 1


def cut(text: str, width: int) -> str:
    """Return *text* in at most *width* cells; a tilde ends what was longer."""
    if width <= 0:
        return ""
    if text.isascii():
        return text if len(text) <= width else text[: width - 1] + "~"
    used, end = 0, 0  # *end*: how far it goes in with a tilde behind it
    for position, character in enumerate(text):
        used += _cells(character)
        if used > width:
            return text[:end] + "~"
        if used < width:
            end = position + 1
    return text


def fit(text: str, width: int, *, right: bool = False) -> str:
    """Return *text* in exactly *width* cells."""
    text = cut(text, width)
    blank = " " * (width - cells(text))
    return blank + text if right else text + blank


def wrap(text: str, width: int) -> list[str]:
    """Return the lines of *text*, none wider than *width* cells; its own line breaks stay."""
    lines: list[str] = []
    for line in text.splitlines() or [""]:
        rest = tidy_line(line)
        while cells(rest) > width > 0:
            head = cut(rest, width + 1)[:-1]
            at = head.rfind(" ")
            head = head[: at + 1] if at > width // 2 else head
            if not head:
                break
            lines.append(head.rstrip())
            rest = rest[len(head) :]
        lines.append(rest)
    return lines


def tidy_line(text: str) -> str:
    """Return one line of a longer text, its indentation kept."""
    return clean(redact(text.expandtabs(4)))


def age(seconds: float | None) -> str:
    """Return a duration in five characters: ``0.4s``, ``12s``, ``3m05s``, ``2h10m``, ``5d``."""
    if seconds is None:
        return ""
    seconds = max(seconds, 0.0)
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    if seconds < 60:
        return f"{seconds:.0f}s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes}m{int(seconds % 60):02}s"
    if minutes < 48 * 60:
        return f"{minutes // 60}h{minutes % 60:02}m"
    return f"{minutes // 1440}d"


def rate(value: float | None) -> str:
    """Return a number a second: ``0``, ``0.3``, ``1,234``; a dash where nobody knows."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 9.95 or value == 0 else f"{value:.1f}"


def percent(value: float | None, digits: int = 0) -> str:
    """Return a share as a person reads it; a dash where nobody knows."""
    return "-" if value is None else f"{value:.{digits}%}"


def spark(values: Sequence[float], width: int, *, ascii_only: bool = False) -> str:
    """Return the last *width* values as bars between 0 and the highest of them."""
    bars = ASCII_BARS if ascii_only else BARS
    shown = values[-width:] if width > 0 else []
    top = max(shown, default=0.0)
    return "".join(bars[min(int(value / top * 8), 7) if top > 0 else 0] for value in shown)
