"""Views -> lines of text, with or without colour."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import CohesionError
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


def view(view: View, env: str, paint: Painter, *, terminal: bool) -> Iterator[str]:
    """Yield the lines of an answer; the verdict comes last, the next step only to a terminal."""
    for block in view.blocks:
        yield from table(block, paint) if isinstance(block, Table) else line(block, paint)
    if view.verdict:
        yield f"{env}: {paint(clean(view.verdict), view.grade)}"
    if view.next and terminal:
        yield paint(f"next: {view.next}", "fix")


def line(item: Line, paint: Painter) -> Iterator[str]:
    """Yield a line and its details."""
    head = f"{paint(item.mark, item.mark)} " if item.mark else ""
    grade = f"{paint(f'{item.grade:<7}', item.grade)} " if item.grade else ""
    yield f"{head}{grade}{clean(item.text)}"
    for detail in item.details:
        yield f"    {clean(detail)}"


def table(item: Table, paint: Painter) -> Iterator[str]:
    """Yield a header and rows in columns as wide as their widest cell; the last column is not padded."""
    rows = [[clean(str(cell)) for cell in row] for row in item.rows]
    widths = [max(len(row[n]) for row in [list(item.header), *rows]) for n in range(len(item.header))]
    yield paint(_row(item.header, widths), "bold")
    for cells, raw in zip(rows, item.rows, strict=True):
        padded = [f"{text:<{width}}" for text, width in zip(cells, widths, strict=True)]
        styled = [paint(t, v) if isinstance(v, Grade) else t for t, v in zip(padded, raw, strict=True)]
        yield "  ".join(styled).rstrip()


def _row(cells: tuple[str, ...], widths: list[int]) -> str:
    return "  ".join(f"{text:<{width}}" for text, width in zip(cells, widths, strict=True)).rstrip()


def error(problem: CohesionError, paint: Painter) -> Iterator[str]:
    """Yield an error in its three parts; further lines of a part stand below its first."""
    yield f"{paint('error:', 'error')} {clean(problem.what)}"
    for name, text, style in (("why", problem.why, ""), ("fix", problem.fix, "fix")):
        for number, part in enumerate(text.splitlines()):
            head = f"  {name}: " if number == 0 else "       "
            yield f"{head}{paint(clean(part), style)}"
