"""Long work on the host ends with us, however we end; the pieces of shell do what they say under a plain sh."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pgcohesion.backup import shell
from pgcohesion.context import Context
from pgcohesion.errors import CommandFailed
from pgcohesion.opening import open_context
from pgcohesion.runner import Local
from tests.support import REPO

SHELLS = [name for name in ("dash", "bash", "busybox") if shutil.which(name)]
PLACE = shell.Place("/backups", None)


@pytest.fixture
def ctx() -> Context:
    return open_context("test", root=REPO, runner=Local())


def argv(script: str, *words: str, name: str = "sh") -> tuple[str, ...]:
    interpreter = ("busybox", "sh") if name == "busybox" else (name,)
    return (*interpreter, "-c", shell.WATCHED + script, "work", *words)


def sleeping(seconds: str) -> bool:
    """Return whether a `sleep` of this many seconds runs."""
    wanted = f"sleep\0{seconds}\0".encode()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().endswith(wanted):
                return True
        except OSError:
            continue
    return False


def wait_until(reached: bool, seconds: str) -> None:
    deadline = time.monotonic() + 10
    while sleeping(seconds) is not reached:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("name", SHELLS)
def test_the_output_and_the_end(ctx: Context, name: str) -> None:
    with shell.Watched(ctx, PLACE, argv('echo "$1"; echo complaint >&2', "o'n\"e $x", name=name), "failed") as work:
        assert work.result().split("\n")[:2] == ["o'n\"e $x", "complaint"]


@pytest.mark.parametrize("name", SHELLS)
@pytest.mark.parametrize(
    ("script", "why"),
    [("echo oh no; exit 3", "oh no"), ("exit 3", "exit status 3"), ("kill -9 $$", "it was ended from outside")],
)
def test_a_failure_says_what_it_wrote(ctx: Context, name: str, script: str, why: str) -> None:
    with pytest.raises(CommandFailed) as raised, shell.Watched(ctx, PLACE, argv(script, name=name), "failed") as work:
        work.result()
    assert raised.value.what == "failed"
    assert why in raised.value.why


@contextmanager
def maker(seconds: str, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process of ours that waits for work on the host."""
    program = (
        "import sys; from pgcohesion.runner import Local; pipe = Local().pipe(sys.argv[1:])\nwhile pipe.receive(): pass"
    )
    words = argv("sleep " + seconds + "; exit 0", name=name)
    process = subprocess.Popen([sys.executable, "-c", program, *words], cwd=REPO)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("name", SHELLS)
def test_the_work_ends_when_its_maker_is_killed(name: str) -> None:
    seconds = f"9{os.getpid()}"
    with maker(seconds, name) as process:
        wait_until(True, seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        wait_until(False, seconds)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")
def test_the_work_ends_when_it_is_interrupted(ctx: Context) -> None:
    seconds = f"8{os.getpid()}"
    with shell.Watched(ctx, PLACE, argv("sleep " + seconds), "failed"):
        wait_until(True, seconds)
    wait_until(False, seconds)


def test_a_folder_is_made_closed_and_once(ctx: Context, tmp_path: Path) -> None:
    target = tmp_path / "a b" / "c'd"
    make = ("sh", "-c", shell.FOLDER, "folder", str(target), "")
    ctx.runner.run(make)
    assert target.stat().st_mode & 0o777 == 0o700
    assert ctx.runner.run(make, check=False).status != 0


def test_a_backup_is_not_published_over_another(ctx: Context, tmp_path: Path) -> None:
    (tmp_path / "x.partial").mkdir()
    (tmp_path / "x").mkdir()
    words = (str(tmp_path / "x.partial"), str(tmp_path / "x"))
    from pgcohesion.backup.manifest import archive

    done = ctx.runner.run(("sh", "-c", shell.PUBLISH, "p", *words), stdin=archive({"manifest.json": b""}), check=False)
    assert done.status == 1
    assert "is there already" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_log_line_does_not_quote_the_script() -> None:
    assert shell.shown(("env", "A=b", "sh", "-c", shell.DUMP, "dump", "/x", "2")) == "dump /x 2"
