"""Scripts: a class with typed options and steps is an Invoke task, a program and a callable."""

from __future__ import annotations

from .base import Script
from .options import arg

__all__ = ["Script", "arg"]
