"""Fakes for tests of your own tasks and rooms: what the library's own tests use."""

from __future__ import annotations

from .runner import Recorder

__all__ = ["Recorder"]
