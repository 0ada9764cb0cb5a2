"""Signals that must wait for a moment: one that came while a program is started would leave it behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .errors import Stop

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
