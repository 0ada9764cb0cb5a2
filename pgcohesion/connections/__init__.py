"""Connections to PostgreSQL: opening them, reading rows, and server errors in our terms."""

from __future__ import annotations

from .database import Database
from .errors import translate

__all__ = ["Database", "translate"]
