"""What tests of your own tasks, scripts and applications need: fakes, a clock that stands still, real databases.

``pytest_plugins = ["pgcohesion.testing.plugin"]`` in a conftest.py gives the fixture ``database``: a real one for each
test, cloned from a template that has all migrations and seeds. The library's own tests use it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..runner import Recorder

if TYPE_CHECKING:
    from .databases import Databases as Databases
    from .databases import Throwaway as Throwaway


class FrozenClock:
    """Stands where it is until it is told to :meth:`advance`: give it where a function takes a clock."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time, in seconds."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Go on by so many seconds."""
        self.now += seconds


def __getattr__(name: str) -> Any:
    if name in ("Databases", "Throwaway"):
        return getattr(import_module(f"{__name__}.databases"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["Databases", "FrozenClock", "Recorder", "Throwaway"]
