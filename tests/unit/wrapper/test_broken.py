"""A .venv that is broken, half made, or being made by somebody else."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from tests.unit.wrapper.clone import Clone, ended, three_parts, wait_until

pytestmark = pytest.mark.unit


def _unstamped(clone: Clone) -> None:
    (clone.venv / "made-by-inv").unlink()


def _half_stamped(clone: Clone) -> None:
    (clone.venv / "made-by-inv").write_text("1\n")


def _without_invoke(clone: Clone) -> None:
    (clone.venv / "bin/invoke").unlink()


def _a_file(clone: Clone) -> None:
    shutil.rmtree(clone.venv)
    clone.venv.write_text("")


def _a_link_to_nowhere(clone: Clone) -> None:
    shutil.rmtree(clone.venv)
    clone.venv.symlink_to("/nowhere")


def _without_python(clone: Clone) -> None:
    (clone.venv / "bin/python").unlink()
    (clone.venv / "bin/python").symlink_to("/nowhere/python3")


def _moved(clone: Clone) -> None:
    clone.root = clone.root.rename(clone.root.with_name("moved"))


def _copied(clone: Clone) -> None:
    clone.root = shutil.copytree(clone.root, clone.root.with_name("copy"), symlinks=True)


BROKEN = {
    _unstamped: "the old one is incomplete",
    _half_stamped: "the old one is incomplete",
    _without_invoke: "the old one is incomplete",
    _a_file: "first run",
    _a_link_to_nowhere: "first run",
    _without_python: "the Python of the old one is gone",
    _moved: "the folder was moved",
    _copied: "the folder was moved",
}


@pytest.mark.parametrize(("damage", "reason"), BROKEN.items())
def test_broken_venv_is_made_anew(made: Clone, damage: Callable[[Clone], None], reason: str) -> None:
    damage(made)
    seen, stderr = made.ok()
    assert seen["prefix"] == str(made.venv)
    assert reason in stderr
    assert made.ok()[1] == ""


def _installing(clone: Clone, seconds: float) -> subprocess.Popen[str]:
    """Start a run whose installer stays for *seconds*, and return when it is at work."""
    process = clone.start(SLOW=str(seconds))
    wait_until(lambda: clone.installs)
    return process


def test_killed_while_installing(clone: Clone) -> None:
    process = _installing(clone, 60)
    os.killpg(process.pid, signal.SIGKILL)
    ended(process, -signal.SIGKILL)
    assert "incomplete" in clone.ok()[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["to-shell", "to-group"])
def test_interrupted_while_installing(clone: Clone, number: int, send: Callable[[int, int], None]) -> None:
    process = _installing(clone, 60)
    send(process.pid, number)
    assert three_parts(ended(process, 130)[1])[0] == "interrupted while preparing `.venv`"
    began = time.monotonic()
    assert "incomplete" in clone.ok()[1]
    assert time.monotonic() - began < 10  # nobody is left who holds the lock


def test_two_at_once(clone: Clone) -> None:
    both = [clone.start(SLOW="0.5"), clone.start(SLOW="0.5")]
    outcomes = [ended(process)[1] for process in both]
    assert sum("waiting for another ./inv" in stderr for stderr in outcomes) == 1
    assert len(clone.installs) == 1


def test_interrupted_while_waiting(clone: Clone) -> None:
    first = _installing(clone, 2)
    second = clone.start()
    time.sleep(0.5)
    second.terminate()
    ended(second, 130)
    assert first.poll() is None
    ended(first)


def test_installer_that_outlives_its_shell_is_waited_for(clone: Clone) -> None:
    process = _installing(clone, 1)
    process.kill()
    ended(process, -signal.SIGKILL)
    assert "waiting for another ./inv" in clone.ok()[1]
    assert len(clone.installs) == 2
