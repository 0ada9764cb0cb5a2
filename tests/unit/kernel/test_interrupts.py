"""An interrupt that comes in the very moment in which a program starts leaves no program behind."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from pgcohesion.context import Options
from pgcohesion.database import _foreground
from pgcohesion.errors import DeadlineExceeded, Interrupted, Stop
from pgcohesion.interrupts import deliver, held
from pgcohesion.runner import Local
from pgcohesion.runner.local import start
from pgcohesion.session import _signals

started: list[subprocess.Popen[bytes]] = []


class Interrupting(subprocess.Popen[bytes]):
    """Starts a program, and is interrupted before its caller has it in hand."""

    def __init__(self, *words: Any, **how: Any) -> None:
        super().__init__(*words, **how)
        started.append(self)
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("run", ["start", "foreground", "local"])
def test_a_program_that_has_just_started_is_ended(monkeypatch: pytest.MonkeyPatch, run: str) -> None:
    monkeypatch.setattr(subprocess, "Popen", Interrupting)
    started.clear()
    command = ["sleep", "600"]
    ways: dict[str, Callable[[], object]] = {
        "start": lambda: start(command),
        "foreground": lambda: _foreground(command, {}),
        "local": lambda: Local().run(command),
    }
    with pytest.raises(Stop) as caught, _signals("a.task", Options()):
        ways[run]()
    assert isinstance(caught.value.error, Interrupted)
    (process,) = started
    assert process.wait(10) == -signal.SIGTERM


def test_what_is_held_back_comes_at_the_end_of_the_outermost_block() -> None:
    stop = Stop(DeadlineExceeded("late"))
    steps = []
    with pytest.raises(Stop), held():
        with held():
            deliver(stop)
            steps.append("inner")
        steps.append("outer")
    assert steps == ["inner", "outer"]
    with held():
        pass  # it came once
    with pytest.raises(Stop):
        deliver(stop)
