"""This machine."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import CommandFailed, Unreachable
from ..interrupts import held
from ..plan import WriteFile
from .base import Done, Pipe, failed, read_with, write_with

GRACE = 5.0
_live: set[int] = set()


class Local:
    """Runs programs on this machine, each in a process group of its own that ends with it."""

    name = "this machine"

    def run(
        self,
        argv: Sequence[str],
        *,
        user: str | None = None,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> Done:
        """Run a program to its end; *env* is added to ours."""
        process = self._start(argv, user, env)
        out, err = _communicate(process, stdin)
        done = Done(tuple(argv), process.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))
        if check and done.status:
            raise failed(done, self.name)
        return done

    def read(self, path: str, *, user: str | None = None) -> bytes | None:
        """Return a file's content, or None."""
        if user is not None and not _is(user) and os.geteuid() != 0:
            return read_with(self, path, user)
        try:
            return Path(path).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, file: WriteFile) -> None:
        """Write a file aside and move it into place."""
        if file.user is not None and not _is(file.user):
            return write_with(self, file)
        aside = Path(f"{file.path}.pgcohesion-{os.getpid()}")
        try:
            handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "wb") as out:
                out.write(file.content)
            aside.chmod(file.mode)
            aside.replace(file.path)
        except OSError as error:
            with contextlib.suppress(OSError):
                aside.unlink()
            raise CommandFailed(f"cannot write `{file.path}`", why=str(error)) from error

    def pipe(self, argv: Sequence[str], *, user: str | None = None) -> Pipe:
        """Start a program and talk to it."""
        return LocalPipe(self._start(argv, user, None))

    def close(self) -> None:
        """Nothing stays open."""

    def _start(self, argv: Sequence[str], user: str | None, env: Mapping[str, str] | None) -> subprocess.Popen[bytes]:
        try:
            return start(
                become(argv, user),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, **env} if env else None,
            )
        except OSError as error:
            raise Unreachable(f"cannot run `{argv[0]}`", why=str(error), fix="inv dev.doctor") from error


def become(argv: Sequence[str], user: str | None) -> list[str]:
    """Return *argv* as run by *user* on this machine."""
    if user is None or _is(user):
        return list(argv)
    if os.geteuid() == 0:
        return ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--reset-env", *argv]
    return ["sudo", "-n", "-u", user, "--", *argv]


def _is(user: str) -> bool:
    import pwd

    with contextlib.suppress(KeyError):
        return pwd.getpwnam(user).pw_uid == os.geteuid()
    return False


def start(argv: Sequence[str], *, alone: bool = True, **how: Any) -> subprocess.Popen[bytes]:
    """Start a program, in a process group of its own when it is *alone*; an interrupt that comes meanwhile ends it."""
    process = None
    try:
        with held():
            process = subprocess.Popen(argv, start_new_session=alone, **how)
    except BaseException:
        if process is not None:
            with process:  # closes its pipes
                end(process) if alone else process.terminate()
        raise
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    """End a program and all that it started: SIGTERM, then SIGKILL after 5 s."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
            return


def run_group(argv: Sequence[str], **how: Any) -> tuple[int, str]:
    """Run a program in a process group of its own; return its status and what it wrote."""
    process = start(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/", **how)
    out, _ = _communicate(process, None)
    return process.returncode, out.decode("utf-8", "replace")


def _communicate(process: subprocess.Popen[bytes], stdin: bytes | None) -> tuple[bytes, bytes]:
    """Wait for a program's end; when we are interrupted, end it and all that it started."""
    _live.add(process.pid)
    with process:
        try:
            return process.communicate(stdin)
        except BaseException:
            end(process)
            raise
        finally:
            _live.discard(process.pid)


def kill_all() -> None:
    """Kill every program that :meth:`Local.run` waits for (the last resort of an impatient user)."""
    for pid in tuple(_live):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


class LocalPipe:
    """A running program of this machine."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def send(self, data: bytes) -> None:
        """Write all of *data*."""
        assert self._process.stdin
        self._process.stdin.write(data)
        self._process.stdin.flush()

    def receive(self) -> bytes:
        """Return the next bytes; empty at the end."""
        assert self._process.stdout
        return self._process.stdout.read1(65536)  # type: ignore[attr-defined,no-any-return]

    def finish(self) -> None:
        """Close the program's stdin."""
        assert self._process.stdin
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def close(self) -> str:
        """End the program and return its stderr."""
        self.finish()
        end(self._process)
        assert self._process.stdout
        assert self._process.stderr
        with self._process.stdout, self._process.stderr:
            return self._process.stderr.read().decode("utf-8", "replace")
