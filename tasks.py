"""Invoke's entry: every module of tasks/ becomes a namespace."""

from __future__ import annotations

import sys
from pathlib import Path

sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)  # Invoke turns it off; then nothing of ours is cached
__path__ = [str(Path(__file__).resolve().with_suffix(""))]
if __spec__ is not None:
    __spec__.submodule_search_locations = __path__

from pgcohesion.cli import namespaces  # noqa: E402  (submodules need __path__ first)

namespace = namespaces(Path(__file__).resolve().parent)
