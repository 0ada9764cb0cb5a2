"""The Runner protocol, and what its implementations share."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from ..errors import CommandFailed
from ..plan import WriteFile


class Done(Struct, frozen=True):
    """A program that has ended: its exit *status* and what it wrote."""

    argv: tuple[str, ...]
    status: int
    stdout: str
    stderr: str


class Pipe(Protocol):
    """A running program's stdin and stdout, as bytes."""

    def send(self, data: bytes) -> None:
        """Write all of *data*."""

    def receive(self) -> bytes:
        """Return the next bytes; empty at the end."""

    def finish(self) -> None:
        """Close the program's stdin."""

    def close(self) -> str:
        """End the program and return what it wrote to stderr."""


class Runner(Protocol):
    """Where commands run. *user*: become that user (through sudo where needed)."""

    name: str

    def run(
        self,
        argv: Sequence[str],
        *,
        user: str | None = None,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> Done:
        """Run a program to its end. Raises CommandFailed when *check* and its status is not 0."""

    def read(self, path: str, *, user: str | None = None) -> bytes | None:
        """Return a file's content, or None when there is no such file."""

    def write(self, file: WriteFile) -> None:
        """Write a file aside and move it into place."""

    def pipe(self, argv: Sequence[str], *, user: str | None = None) -> Pipe:
        """Start a program and talk to it."""

    def close(self) -> None:
        """End the connection and every program that still runs."""


def shown(argv: Sequence[str]) -> str:
    """Return a command as a person would type it."""
    return shlex.join(argv)


def failed(done: Done, where: str) -> CommandFailed:
    """Return the error of a program that ended badly."""
    words = (done.stderr.strip() or done.stdout.strip()).splitlines()[-12:]
    program = next((word for word in done.argv if "=" not in word), done.argv[0])
    return CommandFailed(
        f"`{program}` failed on {where} (exit status {done.status})",
        why="\n".join(words) or f"it said nothing: {shown(done.argv)}",
        status=done.status,
    )


READ = """[ -e "$1" ] || exit 44; exec base64 "$1" """
WRITE = """set -e; mkdir -p "${1%/*}"; umask 077; new=$1.pgcohesion-$$; trap 'rm -f "$new"' EXIT
base64 -d >"$new"; chmod "$2" "$new"; mv "$new" "$1"; trap - EXIT"""
ABSENT = 44


def read_with(runner: Runner, path: str, user: str | None) -> bytes | None:
    """Read a file through a shell on the host."""
    done = runner.run(("sh", "-c", READ, "read", path), user=user, check=False)
    if done.status == ABSENT:
        return None
    if done.status:
        raise failed(done, runner.name)
    return base64.b64decode(done.stdout)


def write_with(runner: Runner, file: WriteFile) -> None:
    """Write a file through a shell on the host, atomically."""
    argv = ("sh", "-c", WRITE, "write", file.path, f"{file.mode:o}")
    runner.run(argv, user=file.user, stdin=base64.encodebytes(file.content))
