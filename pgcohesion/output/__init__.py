"""The only place that prints: answers on stdout, everything else on stderr."""

from __future__ import annotations

from .terminal import Output

__all__ = ["Output"]
