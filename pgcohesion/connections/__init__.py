"""Connections to PostgreSQL: opening them, reading rows, and server errors in our terms."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .database import Database
from .errors import translate

if TYPE_CHECKING:
    from ._async.manager import AsyncConnectionManager as AsyncConnectionManager
    from ._sync.manager import ConnectionManager as ConnectionManager
    from .target import ConnectionConfig as ConnectionConfig

_LATER = {
    "AsyncConnectionManager": "_async.manager",
    "ConnectionConfig": "target",
    "ConnectionManager": "_sync.manager",
}
__all__ = ["Database", "translate", *_LATER]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
