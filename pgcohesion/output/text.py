"""Views -> lines of text, with or without colour."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import CohesionError
from ..folding import LEAST, fold
from ..redact import redact
from ..view import Grade, Line, Table, View

_COLOURS = {
    Grade.OK: "32",
    Grade.WARN: "33",
    Grade.FAIL: "31",
    Grade.UNKNOWN: "35",
    Grade.SKIPPED: "2",
    "+": "32",
    "~": "33",
    "-": "31",
    ">": "36",
    "bold": "1",
    "dim": "2",
    "error": "1;31",
    "fix": "36",
    "selected": "7",
}


WHY = "why:  "  # the detail that is prose
BELOW = 4  # how far columns are indented that did not fit
_CONTROL = {number: f"\\x{number:02x}" for number in (*range(32), *range(127, 160)) if chr(number) != "\t"} | {
    10: "\\n"
}
# Marks that turn the direction of what follows, and separators of lines: they would rearrange what stands beside them.
_CONTROL |= {
    number: f"\\u{number:04x}"
    for number in (0x200B, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2060, 0x206A), 0xFEFF)
}


def clean(text: str) -> str:
    """Return *text* without control characters: a name from a database must not move the cursor."""
    return text.translate(_CONTROL)


class Painter:
    """Adds colour, or nothing."""

    def __init__(self, colour: bool) -> None:
        self.colour = colour

    def __call__(self, text: str, style: str | Grade) -> str:
        """Return *text* in the colour of *style*."""
        code = _COLOURS.get(style)
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and code and text else text


def _fold(text: str, width: int, hang: int) -> list[str]:
    """Return *text* folded to *width*, if any; a secret that has spaces must be masked before it is broken."""
    return fold(redact(text), width, hang) if width else [text]


def view(view: View, env: str, paint: Painter, *, terminal: bool, width: int = 0) -> Iterator[str]:
    """Yield the lines of an answer; the verdict comes last, the next step only to a terminal.

    Prose is folded to *width*, where there is one; what is to be pasted never is.
    """
    for block in view.blocks:
        yield from table(block, paint, width) if isinstance(block, Table) else line(block, paint, width)
    if view.verdict:
        first, *rest = _fold(f"{env}: {clean(view.verdict)}", width, 4)
        yield f"{env}: {paint(first.removeprefix(f'{env}: '), view.grade)}"
        yield from (paint(one, view.grade) for one in rest)
    if view.next and terminal:
        yield paint(f"next: {view.next}", "fix")


def line(item: Line, paint: Painter, width: int = 0) -> Iterator[str]:
    """Yield a line and its details."""
    heads: list[tuple[str, str]] = [(item.mark, item.mark)] if item.mark else []
    heads += [(f"{item.grade:<7}", item.grade)] if item.grade else []
    plain = "".join(f"{word} " for word, _ in heads)
    hang = len(plain) if item.grade else 2 * len(heads)
    first, *rest = _fold(plain + clean(item.text), width if heads or item.prose else 0, hang)
    yield "".join(f"{paint(word, style)} " for word, style in heads) + first[len(plain) :]
    yield from rest
    for detail in item.details:
        yield from _fold(f"    {clean(detail)}", width if detail.startswith(WHY) else 0, 4 + len(WHY))


def table(item: Table, paint: Painter, width: int = 0) -> Iterator[str]:
    """Yield a header and rows in columns as wide as their widest cell; the last column is not padded.

    Where a terminal is too narrow, prose in the last column is folded; or else what does not fit stands below.
    """
    rows = [[clean(str(cell)) for cell in row] for row in item.rows]
    widths = [max(map(len, column)) for column in zip(item.header, *rows, strict=True)]
    starts = [sum(widths[:n]) + 2 * n for n in range(len(widths))]
    fitting, last = len(widths), starts[-1]
    if width and last + (min(LEAST, widths[-1]) if item.prose else widths[-1]) > width:
        fitting = max(1, sum(start + size <= width for start, size in zip(starts, widths, strict=True)))
        last -= starts[fitting] - BELOW if fitting < len(widths) else 0
    for cells, raw in [(item.header, item.header), *zip(rows, item.rows, strict=True)]:
        padded = [f"{text:<{size}}" for text, size in zip(cells, widths, strict=True)]
        styled = [paint(t, v) if isinstance(v, Grade) else t for t, v in zip(padded, raw, strict=True)]
        more: list[str] = []
        if item.prose and width:
            styled[-1], *more = _fold(cells[-1], width - last, 0)
        lines = [
            "  ".join(styled[:fitting]),
            " " * BELOW + "  ".join(styled[fitting:]),
            *(" " * last + m for m in more),
        ]
        yield from (paint(line.rstrip(), "bold" if raw is item.header else "") for line in lines if line.strip())


def error(problem: CohesionError, paint: Painter, width: int = 0) -> Iterator[str]:
    """Yield an error in its three parts; further lines of a part stand below its first."""
    first, *rest = _fold(f"error: {clean(problem.what)}", width, 7)
    yield f"{paint('error:', 'error')}{first.removeprefix('error:')}"
    yield from rest
    for name, text, style in (("why", problem.why, ""), ("fix", problem.fix, "fix")):
        for number, part in enumerate(text.splitlines()):
            head = f"  {name}: " if number == 0 else "       "
            if style:
                yield f"{head}{paint(clean(part), style)}"
            else:
                yield from _fold(f"{head}{clean(part)}", width, 7)
