"""Invoke's entry: every module of tasks/ becomes a namespace."""

from __future__ import annotations

from pathlib import Path

__path__ = [str(Path(__file__).resolve().with_suffix(""))]
if __spec__ is not None:
    __spec__.submodule_search_locations = __path__

from pgcohesion import namespaces  # noqa: E402  (submodules need __path__ first)

namespace = namespaces(Path(__file__).resolve().parent)
