"""One changing run at a time: a file lock here, one on the host; both end with the process that holds them."""

from __future__ import annotations

import fcntl
import getpass
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from .errors import ConfigError, Locked, Unreachable
from .runner import Pipe, Runner

HOST_LOCK = "/run/lock/pgcohesion.lock"
HEARTBEAT, LOST_AFTER = 10.0, 45
PERL = r"""use Fcntl ':flock'; $| = 1; my ($file, $who, $lost) = @ARGV;
open(my $f, '+>>', $file) or die "$file: $!\n";
if (!flock($f, LOCK_EX | LOCK_NB)) { seek($f, 0, 0); my $o = <$f>; print "busy $o\n"; exit 0 }
truncate($f, 0); syswrite($f, "$who\n"); print "locked\n";
$SIG{ALRM} = sub { exit 0 }; alarm $lost; while (<STDIN>) { alarm $lost } truncate($f, 0);
"""


def whoami(task: str) -> str:
    """Return who holds a lock, for the other side's message."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return f"{user}@{socket.gethostname()}, process {os.getpid()}, {task or 'a program'}, since {now}"


@contextmanager
def local_lock(folder: Path, env: str, task: str) -> Iterator[None]:
    """Hold ``<folder>/lock``. Raises Locked at once when another process has it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigError(
            f"cannot write to `{folder}`",
            why=str(error),
            fix="make the folder writable, or run as the user that owns it",
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise _locked(env, os.pread(handle, 500, 0).decode("utf-8", "replace").strip()) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, whoami(task).encode(), 0)
        yield
        os.ftruncate(handle, 0)
    finally:
        os.close(handle)


@contextmanager
def host_lock(runner: Runner, env: str) -> Iterator[None]:
    """Hold the lock of a host, for as long as this process is alive and reaches it."""
    pipe = runner.pipe(("perl", "-e", PERL, HOST_LOCK, whoami(""), str(LOST_AFTER)), user="root")
    answer = b""
    while not answer.endswith(b"\n"):
        part = pipe.receive()
        if not part:
            raise Unreachable(f"cannot lock `{runner.name}`", why=pipe.close() or "the connection ended")
        answer += part
    if not answer.startswith(b"locked"):
        pipe.close()
        raise _locked(env, answer.decode("utf-8", "replace").removeprefix("busy").strip())
    ended = threading.Event()
    threading.Thread(target=_beat, args=(pipe, ended), daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        pipe.finish()
        pipe.close()


def _beat(pipe: Pipe, ended: threading.Event) -> None:
    with suppress(OSError):
        while not ended.wait(HEARTBEAT):
            pipe.send(b"\n")


def _locked(env: str, holder: str) -> Locked:
    return Locked(
        f"another run works on `{env}`",
        why=f"the lock is held by {holder or 'another process'}",
        fix="wait until it has ended, then run the same command again",
    )
