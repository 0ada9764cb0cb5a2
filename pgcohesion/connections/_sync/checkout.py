# Made by tools/sync.py from ../_async/checkout.py: change that.
"""One connection of a manager for the time of a block."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

from .connection import Connection

if TYPE_CHECKING:
    from .manager import ConnectionManager


class Checkout:
    """One connection of a manager for the time of a block."""

    __slots__ = ("_connection", "_lsn", "_manager", "_readonly", "_timeout")

    def __init__(self, manager: ConnectionManager, readonly: bool, timeout: float | None, lsn: int) -> None:
        self._manager, self._readonly, self._timeout, self._lsn = manager, readonly, timeout, lsn

    def __enter__(self) -> Connection[Any]:
        self._connection = self._manager.acquire(self._readonly, self._timeout, self._lsn)
        return self._connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._manager.release(self._connection, error)
