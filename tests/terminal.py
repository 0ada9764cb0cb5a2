"""A real terminal for a command: a pty, its screen as pyte draws it, and keys."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

import pyte

# Makes the terminal the program's own: Ctrl-C reaches it.
OWNING = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"


class Terminal:
    """Runs a command in a terminal of its own; a context manager that ends it."""

    def __init__(
        self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], columns: int = 80, lines: int = 24
    ) -> None:
        self._screens = {name: pyte.Screen(columns, lines) for name in (b"l", b"h")}  # pyte has no other screen
        self._streams = {name: pyte.ByteStream(screen) for name, screen in self._screens.items()}
        self._on = b"l"
        self.raw = b""
        self._master, slave = pty.openpty()
        self.slave = os.ttyname(slave)
        self._size(columns, lines)
        self.before = termios.tcgetattr(slave)
        self._slave = slave
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWNING, *argv],
            cwd=cwd,
            env={**env, "TERM": "xterm-256color"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)
        os.close(self._slave)

    def _size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def resize(self, columns: int, lines: int) -> None:
        """Change the size, as dragging a window does."""
        for screen in self._screens.values():
            screen.resize(lines, columns)
        self._size(columns, lines)
        os.kill(self.process.pid, signal.SIGWINCH)

    def press(self, keys: str) -> None:
        """Send keys."""
        os.write(self._master, keys.encode())

    def pump(self, seconds: float = 0.05) -> None:
        """Take in what the command writes for a moment."""
        if select.select([self._master], [], [], seconds)[0]:
            try:
                data = os.read(self._master, 65536)
            except OSError:
                return
            self.raw += data
            for part in re.split(rb"(\x1b\[\?1049[hl])", data):
                if part.startswith(b"\x1b[?1049"):
                    self._on = part[-1:]
                self._streams[self._on].feed(part)

    @property
    def lines(self) -> list[str]:
        """The rows of the screen."""
        return [line.rstrip() for line in self._screens[self._on].display]

    @property
    def text(self) -> str:
        """The whole screen."""
        return "\n".join(self.lines)

    def until(self, true: Callable[[], object] | str, seconds: float = 30) -> None:
        """Wait until a text is on the screen, or something holds; fail when it does not come."""
        deadline = time.monotonic() + seconds
        while not (true in self.text if isinstance(true, str) else true()):
            assert time.monotonic() < deadline, f"{true!r} is not on\n{self.text}"
            self.pump()

    def ended(self, seconds: float = 10) -> int:
        """Wait for the end of the command and return its exit code."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.text
            self.pump()
        for _ in range(20):
            self.pump(0.01)
        return self.process.returncode

    def restored(self) -> bool:
        """Whether the terminal is as it was: its modes, the first screen, a cursor."""
        same = termios.tcgetattr(self._slave) == self.before
        return same and self._on == b"l" and self.raw.rfind(b"\x1b[?25h") > self.raw.rfind(b"\x1b[?25l")
