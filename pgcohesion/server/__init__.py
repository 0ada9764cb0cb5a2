"""The PostgreSQL of an environment: embedded on this machine, or a host's packages."""

from __future__ import annotations

from .base import Server, State

__all__ = ["Server", "State"]
