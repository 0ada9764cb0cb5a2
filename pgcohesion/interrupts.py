"""Signals that must wait for a moment (a program is being started), and that must not (the main thread waits)."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from .errors import Stop

POKE = signal.SIGURG  # ignored by default, and sent by nobody else
POKES, PAUSE = 3, 0.02  # the first may come in the instant before it begins to wait
_held = 0
_late: Stop | None = None


def deliver(stop: Stop) -> None:
    """Raise *stop* in the main thread: now, or as soon as nothing holds it back. For signal handlers."""
    global _late  # noqa: PLW0603  (a signal is the process's)
    if _held:
        _late = stop
        return
    raise stop


@contextmanager
def held() -> Iterator[None]:
    """Hold interrupts back for a block that is short; they come to the main thread, so others hold nothing back."""
    global _held, _late  # noqa: PLW0603
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _held += 1
    try:
        yield
    finally:
        _held -= 1
    if not _held and _late is not None:
        stop, _late = _late, None
        raise stop


@contextmanager
def heard(numbers: Collection[int]) -> Iterator[None]:
    """Let these signals interrupt what the main thread waits for, whichever thread the kernel gives them to.

    Their handlers run in the main thread, and only when it comes back to Python: from a lock or a socket that it waits
    for it does not, unless it is sent a signal itself. To be entered in the main thread.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    main = threading.get_ident()

    def pass_on() -> None:
        while got := os.read(reading, 64):
            for _ in range(POKES if any(number in numbers for number in got) else 0):
                signal.pthread_kill(main, POKE)
                time.sleep(PAUSE)
        os.close(reading)

    before = signal.signal(POKE, lambda *_: None)
    threading.Thread(target=pass_on, daemon=True, name="signals").start()
    told = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(told)
        os.close(writing)
        signal.signal(POKE, before)
