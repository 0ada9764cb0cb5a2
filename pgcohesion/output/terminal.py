"""Streams, progress, confirmation: what a person or a program sees of a run."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

from ..errors import CohesionError
from ..folding import columns
from ..redact import redact
from . import text
from .text import Painter

if TYPE_CHECKING:
    from ..plan import Change
    from ..view import Answer, Line

SCHEMA_VERSION = 1
PROGRESS_AFTER = 0.5


class Output:
    """Prints the answer, the notes and the errors of one task.

    *stdout* takes the answer only: text, or with *json* exactly one JSON document.
    """

    def __init__(
        self,
        *,
        json: bool = False,
        quiet: bool = False,
        verbose: bool = False,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        stdin: TextIO | None = None,
    ) -> None:
        self.json, self.quiet, self.verbose = json, quiet, verbose
        self.stdout, self.stderr = stdout or sys.stdout, stderr or sys.stderr
        self.stdin = stdin or sys.stdin
        self.gone = False  # nobody reads stdout any more
        self._spinning = False  # one spinner at a time: a step within a step stays silent
        self._paint, self._paint_err = Painter(_colour(self.stdout)), Painter(_colour(self.stderr))

    @property
    def interactive(self) -> bool:
        """Whether a person can be asked."""
        return self.stdin is not None and self.stdin.isatty() and self.stderr.isatty()

    @property
    def live(self) -> bool:
        """Whether a screen can be drawn, and keys be read."""
        ours = self.stdin is not None and self.stdin.isatty() and self.stdout.isatty()
        return ours and not self.json and os.environ.get("TERM", "dumb") != "dumb"

    @property
    def painter(self) -> Painter:
        """What colours the answer."""
        return self._paint

    # --- stdout ---------------------------------------------------------------------------------------

    def answer(self, env: str, task: str, answer: Answer) -> None:
        """Print what the task returned."""
        if self.json:
            lines: Iterable[str] = [self.document(env, task, answer)]
        else:
            lines = text.view(
                answer.view(), env, self._paint, terminal=self.stdout.isatty(), width=columns(self.stdout)
            )
        self._print(self.stdout, lines, masked=not answer.reveals)

    def failure(self, env: str, task: str, error: CohesionError) -> None:
        """Print an error: on stderr, and with *json* as the document on stdout."""
        if self.json:
            more = {} if error.result is None else {"result": error.result.as_dict()}
            self._print(self.stdout, [self._document(env, task, ok=False, error=error.as_dict(), **more)])
        with contextlib.suppress(OSError):
            self.stdout.flush()
        self._print(self.stderr, text.error(error, self._paint_err, columns(self.stderr)))

    @classmethod
    def document(cls, env: str, task: str, answer: Answer) -> str:
        """Return what ``--json`` prints of an answer; secrets are still in it."""
        result = answer.as_dict()
        error = {"error": result.pop("error")} if "error" in result else {}
        return cls._document(env, task, ok=not (answer.failed or error), **error, result=result)

    @staticmethod
    def _document(env: str, task: str, **fields: Any) -> str:
        time = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        document = {"schema_version": SCHEMA_VERSION, "env": env, "task": task, "time": time, **fields}
        return json.dumps(document, ensure_ascii=False, default=str)

    # --- stderr ---------------------------------------------------------------------------------------

    def note(self, message: str) -> None:
        """Say something that is not the answer."""
        if not self.quiet:
            self._print(self.stderr, [message])

    def warn(self, message: str) -> None:
        """Say something that the user should act on; also when quiet."""
        self._print(self.stderr, [f"{self._paint_err('warning:', '~')} {message}"])

    def traceback(self, message: str) -> None:
        """Show a traceback (with ``--verbose``)."""
        self._print(self.stderr, message.rstrip().splitlines())

    def plan(self, changes: Iterable[Change]) -> None:
        """Show the changes that are about to be confirmed."""
        self._print(self.stderr, self._lines(change.line(verbose=self.verbose) for change in changes))

    def done(self, change: Change) -> None:
        """Say that a change was made."""
        if not self.quiet and not (self.json and not self.verbose):
            self._print(self.stderr, self._lines([change.line(verbose=self.verbose)]))

    @contextlib.contextmanager
    def step(self, label: str) -> Iterator[None]:
        """Show *label* with a spinner, to a terminal, when the work within takes over half a second."""
        if self._spinning or self.quiet or self.verbose or not self.stderr.isatty() or os.environ.get("TERM") == "dumb":
            yield
            return
        self._spinning, ended = True, threading.Event()
        spinner = threading.Thread(target=self._spin, args=(redact(label), ended), daemon=True)
        spinner.start()
        try:
            yield
        finally:
            ended.set()
            spinner.join()
            self._spinning = False

    def _spin(self, label: str, ended: threading.Event) -> None:
        if ended.wait(PROGRESS_AFTER):
            return
        from rich.console import Console
        from rich.markup import escape

        with Console(file=self.stderr).status(escape(label)):
            ended.wait()

    def confirm(self, prompt: str) -> str:
        """Return what the person types."""
        self.stderr.write(redact(prompt))
        self.stderr.flush()
        return self.stdin.readline().strip()

    def _lines(self, items: Iterable[Line]) -> Iterator[str]:
        for item in items:
            yield from text.line(item, self._paint_err, columns(self.stderr))

    def _print(self, stream: TextIO, lines: Iterable[str], *, masked: bool = True) -> None:
        try:
            stream.writelines(_printable(redact(line) if masked else line, stream) + "\n" for line in lines)
            stream.flush()
        except BrokenPipeError:
            silence(stream)
            self.gone = self.gone or stream is self.stdout


def _printable(line: str, stream: TextIO) -> str:
    encoding = stream.encoding or "utf-8"
    return line.encode(encoding, "backslashreplace").decode(encoding)


def silence(stream: TextIO) -> None:
    """Send the rest of *stream* nowhere: its reader has gone (``| head``)."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _colour(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
