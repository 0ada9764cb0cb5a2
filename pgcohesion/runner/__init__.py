"""Commands and files of a host, local or over SSH: one protocol, three implementations."""

from __future__ import annotations

from .base import Done, Pipe, Runner, shown
from .local import Local
from .recorder import Recorder

__all__ = ["Done", "Local", "Pipe", "Recorder", "Runner", "shown"]
