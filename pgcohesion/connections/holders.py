"""Who holds a connection, for the report of leaks; cheap enough to be always on."""

from __future__ import annotations

import sys
import threading
from time import monotonic
from types import CodeType, FrameType
from typing import Any

DEPTH = 8
OWN = ("/pgcohesion/connections/", "/contextlib.py")


class Holder:
    """A checkout: *since* (time.monotonic), the thread, and where in the program it was made."""

    __slots__ = ("_frames", "since", "thread", "told")

    def __init__(self, since: float, thread: int, frames: list[tuple[CodeType, int]]) -> None:
        self.since, self.thread, self._frames = since, thread, frames
        self.told = False  # as a leak

    @property
    def stack(self) -> tuple[str, ...]:
        """Return ``file:line in function``, the innermost first, without frames of this package."""
        found = (f"{code.co_filename}:{_line(code, at)} in {code.co_name}" for code, at in self._frames)
        return tuple(line for line in found if not any(own in line for own in OWN))

    def as_dict(self) -> dict[str, Any]:
        """Return thread, seconds and stack."""
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        return {
            "thread": names.get(self.thread, "(ended)"),
            "seconds": round(monotonic() - self.since, 3),
            "stack": list(self.stack),
        }

    def __str__(self) -> str:
        held = self.as_dict()
        return f"{held['seconds']:.1f} s by {held['thread']} at {next(iter(self.stack), '?')}"


def holder() -> Holder:
    """Return a note of who calls: positions only, lines are looked up when somebody asks."""
    frames: list[tuple[CodeType, int]] = []
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001  (traceback.extract_stack costs a hundred times as much)
    while frame is not None and len(frames) < DEPTH:
        frames.append((frame.f_code, frame.f_lasti))
        frame = frame.f_back
    return Holder(monotonic(), threading.get_ident(), frames)


def _line(code: CodeType, instruction: int) -> int:
    for start, end, line in code.co_lines():
        if start <= instruction < end and line is not None:
            return line
    return code.co_firstlineno
