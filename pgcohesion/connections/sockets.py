"""Shutting a connection's socket from outside: the only thing that ends a wait for a host that is gone."""

from __future__ import annotations

import contextlib
import os
import socket


def shut(number: int, expected: tuple[str, int] | None = None) -> None:
    """Shut the socket with file descriptor *number*; its owner then reads the end of the connection.

    The descriptor may have been closed and given to another connection meanwhile: with *expected* (address and port),
    a socket that leads elsewhere is left alone. Raises OSError when it is closed.
    """
    with socket.socket(fileno=os.dup(number)) as ours:
        if expected is not None and ours.family != socket.AF_UNIX and ours.getpeername()[:2] != expected:
            return
        with contextlib.suppress(OSError):
            ours.shutdown(socket.SHUT_RDWR)
