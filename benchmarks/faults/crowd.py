"""The parent's side of the callers: start them, hear what they say, end them in bounded time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

from benchmarks.support import REPO

from .lab import DATABASE, PASSWORD, USER, LabError

LOGIN = {"dbname": DATABASE, "user": USER, "password": PASSWORD}


class Call(NamedTuple):
    """One call of one caller. Times in s of CLOCK_MONOTONIC; `end` is None when it had not returned at the end."""

    caller: int
    key: int
    start: float
    end: float | None
    error: str | None = None
    result: Any = None


class Crowd:
    """Callers of a candidate in a process of their own; a context manager whose exit ends them."""

    def __init__(
        self,
        name: str,
        hosts: Sequence[tuple[str, int]],
        *,
        call: str = "read",
        callers: int = 4,
        pause: float = 0.05,
        login: dict[str, str] | None = None,
    ) -> None:
        login = LOGIN | (login or {})
        order = {"candidate": name, "hosts": hosts, "call": call, "callers": callers, "pause": pause, "login": login}
        self.name, self.callers = name, callers
        self.calls: list[Call] = []
        self.opened: tuple[float, float, str | None] | None = None
        self.connections: int | None = None
        self._ready = threading.Event()
        self._order = json.dumps(order)

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "benchmarks.faults.callers", self._order]
        env = {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"PYTHONPATH": "."}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, cwd=REPO, env=env, stdin=pipe, stdout=pipe, text=True, bufsize=1, start_new_session=True
        )
        self._ear = threading.Thread(target=self._listen, daemon=True)
        self._ear.start()
        if not self._ready.wait(30) or self._process.poll() is not None:
            self._process.kill()
            self._process.wait()
            raise LabError(f"the callers of {self.name} did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process that holds the candidate."""
        return self._process.pid

    def go(self) -> None:
        """Let it open and call. Before the first `go` nothing happens; each later one asks for its connections."""
        assert self._process.stdin
        self._process.stdin.write("go\n")

    def warm(self, number: int = 5, seconds: float = 15) -> None:
        """Wait until each caller has had `number` good calls. Raises LabError when the time is up."""
        self.wait(lambda: all(self.good(who) >= number for who in range(self.callers)), seconds)

    def good(self, caller: int) -> int:
        """How many calls of a caller were good."""
        return sum(call.caller == caller and call.error is None for call in self.calls)

    def wait(self, ready: Callable[[], bool], seconds: float) -> None:
        """Poll until `ready`. Raises LabError with the last error heard when the time is up or the process gone."""
        end = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > end or self._process.poll() is not None:
                raise LabError(
                    f"callers of {self.name}: not there after {seconds:g} s; last error: {self.last_error()}"
                )
            time.sleep(0.02)

    def last_error(self) -> str | None:
        """What went wrong last."""
        heard = [call.error for call in self.calls if call.error]
        return heard[-1] if heard else self.opened and self.opened[2]

    def stop(self) -> None:
        """End the process: politely, so that it says which calls are still out, or after 3 s with SIGKILL."""
        if self._process.poll() is None:
            assert self._process.stdin
            self._process.stdin.close()
            try:
                self._process.wait(3)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._ear.join(3)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()

    def _listen(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            kind, *words = json.loads(line)
            if kind == "call":
                self.calls.append(Call(*words))
            elif kind == "flying":
                self.calls += [Call(who, key, start, None) for who, key, start in words[0]]
            elif kind == "opened":
                self.opened = (words[0], words[1], words[2])
            elif kind == "connections":
                self.connections = words[0]
            else:
                self._ready.set()
        self._ready.set()
