"""A terminal that is taken over for a while: rows are drawn, keys are read, and it is given back whatever happens."""

from __future__ import annotations

import base64
import logging
import os
import re
import select
import signal
import termios
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Self

from ..interrupts import held
from ..redact import redact
from . import logs
from .terminal import Output
from .text import Painter

TAKE = "\x1b[?1049h\x1b[?25l\x1b[2J"  # the other screen, no cursor, blank
GIVE = "\x1b[0m\x1b[?25h\x1b[?1049l"
ESCAPE_WAIT = 0.05  # seconds: what follows a lone ESC later is another key
NAMES = {
    "\r": "enter", "\n": "enter", "\t": "tab", "\x7f": "backspace", "\x08": "backspace", "\x1b[Z": "backtab",
    "\x1b[A": "up", "\x1b[B": "down", "\x1b[C": "right", "\x1b[D": "left", "\x1bOA": "up", "\x1bOB": "down",
    "\x1bOC": "right", "\x1bOD": "left", "\x1b[5~": "pageup", "\x1b[6~": "pagedown", "\x1b[H": "home", "\x1b[F": "end",
    "\x1b[1~": "home", "\x1b[4~": "end", "\x1bOH": "home", "\x1bOF": "end", "\x1b": "escape",
}  # fmt: skip
KEY = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1bO.|\x1b|.", re.DOTALL)
Signal = Callable[[int, FrameType | None], Any] | int | None


def keys(text: str) -> list[str]:
    """Return the names of the keys that a terminal sent: ``up``, ``enter``, ``q``; what has no name is left out."""
    found = (NAMES.get(one, one) for one in KEY.findall(text))
    return [one for one in found if one in NAMES.values() or one.isprintable()]


class Terminal:
    """The terminal of an :class:`Output`, as a context manager. Only the main thread may use it, but for :meth:`wake`.

    Messages of the log are held back meanwhile: they would be drawn over, and draw over the screen.
    """

    def __init__(self, output: Output) -> None:
        self._in, self._out = output.stdin.fileno(), output.stdout.fileno()
        self._encoding = output.stdout.encoding or "utf-8"
        self._paint: Painter = output.painter
        self._shown: list[str] = []
        self._blank = True  # what is shown is not what was drawn last
        self._gone = False
        self._old: dict[int, Signal] = {}
        self._log = _Held()

    @property
    def unicode(self) -> bool:
        """Whether it can show more than ASCII."""
        return self._encoding.lower().replace("-", "") == "utf8"

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        with suppress(OSError):
            columns, lines = os.get_terminal_size(self._out)
            if columns and lines:
                return columns, lines
        return 80, 24

    # --- taken and given back ---------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        with held():
            self._saved = termios.tcgetattr(self._in)
            self._wakes, self._wake = os.pipe()
            os.set_blocking(self._wake, False)
            os.set_blocking(self._wakes, False)
            self._log.begin()
            self._take()
            if threading.current_thread() is threading.main_thread():
                handlers = {signal.SIGWINCH: self._resized, signal.SIGTSTP: self._suspended}
                self._old = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with held():
            for number, handler in self._old.items():
                signal.signal(number, handler)
            self._give()
            self._log.end()
            os.close(self._wakes)
            os.close(self._wake)

    def _take(self) -> None:
        mode = termios.tcgetattr(self._in)
        mode[0] &= ~(termios.IXON | termios.ICRNL)  # Ctrl-S would stop the screen
        mode[3] &= ~(termios.ECHO | termios.ICANON)
        mode[6] = list(mode[6])
        mode[6][termios.VQUIT] = b"\x00"  # Ctrl-\ would leave the terminal as it is
        mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
        termios.tcsetattr(self._in, termios.TCSADRAIN, mode)
        self._blank = True
        self._write(TAKE)

    def _give(self) -> None:
        self._write(GIVE)
        with suppress(termios.error):
            termios.tcsetattr(self._in, termios.TCSAFLUSH, self._saved)

    def _resized(self, number: int, frame: FrameType | None) -> None:
        self._blank = True
        self.wake()

    def _suspended(self, number: int, frame: FrameType | None) -> None:
        """Give the terminal back for as long as the shell has stopped us."""
        self._give()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._suspended)
        self._take()
        self.wake()

    # --- in and out ---------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """End :meth:`keys` early; any thread may."""
        with suppress(OSError):
            os.write(self._wake, b".")

    def keys(self, seconds: float) -> list[str]:
        """Return the keys that were pressed, after at most *seconds*; ``q`` when the terminal has gone."""
        if self._gone:
            return ["q"]
        ready, _, _ = select.select([self._in, self._wakes], [], [], seconds)
        if self._wakes in ready:
            with suppress(BlockingIOError):
                os.read(self._wakes, 4096)
        return self._pressed() if self._in in ready else []

    def _pressed(self) -> list[str]:
        data = b""
        try:
            data = os.read(self._in, 4096)
            while data.endswith(b"\x1b") and select.select([self._in], [], [], ESCAPE_WAIT)[0]:
                data += os.read(self._in, 4096)
        except OSError:
            self._gone = True
        return keys(data.decode("utf-8", "ignore")) if data else ["q"]

    def show(self, rows: Sequence[Sequence[tuple[str, str]]]) -> None:
        """Draw rows of (text, style) from the top; those that are as they were are left alone."""
        lines = [redact("".join(self._paint(text, style) for text, style in row)) for row in rows]
        parts = []
        if self._blank:
            self._blank, self._shown, parts = False, [], ["\x1b[2J"]
        before = [*self._shown, *([""] * (len(lines) - len(self._shown)))]
        parts += [
            f"\x1b[{n};1H{new}\x1b[K" for n, (new, old) in enumerate(zip(lines, before, strict=False), 1) if new != old
        ]
        if len(before) > len(lines):
            parts.append(f"\x1b[{len(lines) + 1};1H\x1b[J")
        self._shown = lines
        self._write("".join(parts))

    def copy(self, text: str) -> None:
        """Put *text* on the clipboard, in terminals that allow it (OSC 52)."""
        self._write(f"\x1b]52;c;{base64.b64encode(redact(text).encode()).decode()}\x07")

    def _write(self, text: str) -> None:
        data = text.encode(self._encoding, "replace")
        try:
            while data:
                data = data[os.write(self._out, data) :]
        except OSError:
            self._gone = True


class _Held(logging.Handler):
    """Keeps the messages of the log, and gives them to its handlers later."""

    def __init__(self) -> None:
        super().__init__()
        self._records: deque[logging.LogRecord] = deque(maxlen=1000)
        self._handlers: list[logging.Handler] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record)

    def begin(self) -> None:
        """Stand in for the handlers of the log."""
        logger = logging.getLogger(logs.ROOT)
        self._handlers, logger.handlers[:] = logger.handlers[:], [self]

    def end(self) -> None:
        """Put them back, and give them what came meanwhile."""
        logging.getLogger(logs.ROOT).handlers[:] = self._handlers
        for record in self._records:
            for handler in self._handlers:
                handler.handle(record)
        self._records.clear()
