"""One connection of a manager for the time of a block."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

from .connection import AsyncConnection

if TYPE_CHECKING:
    from .manager import AsyncConnectionManager


class AsyncCheckout:
    """One connection of a manager for the time of a block."""

    __slots__ = ("_connection", "_lsn", "_manager", "_readonly", "_timeout")

    def __init__(self, manager: AsyncConnectionManager, readonly: bool, timeout: float | None, lsn: int) -> None:
        self._manager, self._readonly, self._timeout, self._lsn = manager, readonly, timeout, lsn

    async def __aenter__(self) -> AsyncConnection[Any]:
        self._connection = await self._manager.acquire(self._readonly, self._timeout, self._lsn)
        return self._connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._manager.release(self._connection, error)
