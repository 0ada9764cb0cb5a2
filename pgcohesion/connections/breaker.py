"""A circuit breaker for one host: a closed call costs next to nothing, an open one is refused at once.

After M. Nygard, "Release It!". States: closed; open until its pause is over; then half open for exactly one probe.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Literal

from ..config.model import Breaker as Settings

State = Literal["closed", "open", "half_open"]
LONGEST_PAUSE = 8  # in units of the first one


class Breaker:
    """Counts what went wrong with a host among its last *window* calls, slow ones too.

    It opens when *failures* came one after another, or make up the *share* of a full window.
    """

    __slots__ = ("_bad", "_calls", "_clock", "_lock", "_pause", "_probe_since", "_retry_at", "_settings", "_streak",
                 "closed", "opened", "opened_at", "rejected")  # fmt: skip

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._clock = settings, clock
        self._lock = threading.Lock()
        self.closed = True  # read without the lock on every call
        self.opened_at: float | None = None  # of this outage
        self.opened = self.rejected = 0
        self._forget()

    def _forget(self) -> None:
        self._bad = self._calls = self._streak = 0  # _bad: the last calls, a bit each, 1 is bad
        self._pause, self._retry_at = self._settings.pause, 0.0
        self._probe_since: float | None = None

    @property
    def state(self) -> State:
        """Return the state."""
        if self.closed:
            return "closed"
        return "open" if self._probe_since is None else "half_open"

    def success(self) -> None:
        """Count a good call; a good probe closes the breaker."""
        if self.closed and not self._bad:
            return  # nothing bad to outweigh: the usual case takes no lock
        with self._lock:
            if self.closed:
                self._count(0)
            else:
                self._forget()
                self.closed, self.opened_at = True, None

    def failure(self) -> None:
        """Count a lost connection, a failed attempt to connect or a call that was too slow."""
        with self._lock:
            if not self.closed:
                if self._probe_since is not None:
                    self._pause = min(self._pause * 2, self._settings.pause * LONGEST_PAUSE)
                    self._wait()
                return
            self._count(1)
            window = self._settings.window
            share = self._bad.bit_count() / window if self._calls >= window else 0.0
            if self._streak >= self._settings.failures or share >= self._settings.share:
                self._open()

    def trip(self) -> None:
        """Open at once: somebody knows that the host is down."""
        with self._lock:
            if self.closed:
                self._open()

    def reset(self) -> None:
        """Close: somebody knows that the host is well."""
        with self._lock:
            self._forget()
            self.closed, self.opened_at = True, None

    def allow(self) -> bool:
        """Return whether a call may go on: always when closed; when open, for one probe once the pause is over."""
        if self.closed:
            return True
        with self._lock:
            now = self._clock()
            stale = self._probe_since is not None and now - self._probe_since > self._settings.probe_timeout
            if now < self._retry_at or (self._probe_since is not None and not stale):
                self.rejected += 1
                return False
            self._probe_since = now
            return True

    def _count(self, bad: int) -> None:
        self._bad = (self._bad << 1 | bad) & ((1 << self._settings.window) - 1)
        self._calls += 1
        self._streak = self._streak + 1 if bad else 0

    def _open(self) -> None:
        self.closed = False
        self.opened += 1
        self.opened_at = self._clock()
        self._wait()

    def _wait(self) -> None:
        self._probe_since = None
        self._retry_at = self._clock() + self._pause * random.uniform(0.5, 1.0)  # noqa: S311  (spreads the probes)
