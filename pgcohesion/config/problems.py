"""What is wrong in an environment's files, each with its place; never with a value."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from msgspec import Struct

Key = tuple[str, ...]


class Problem(Struct, frozen=True):
    """One wrong thing: *where* is ``file:line`` or a layer's name, *key* dotted."""

    where: str
    key: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.key}: {self.reason}" if self.key else f"{self.where}: {self.reason}"


def dotted(key: Key) -> str:
    """Return ``a.b."c d"``."""
    return ".".join(part if re.fullmatch(r"[\w-]+", part) else f'"{part}"' for part in key)


def _path(value: Any) -> list[str]:
    """Return the only path through nested tables (as tomllib reads a single header or key)."""
    path = []
    while isinstance(value, (dict, list)) and value:
        if isinstance(value, list):
            value = value[0]
        else:
            name, value = next(iter(value.items()))
            path.append(name)
    return path


def _parsed(source: str) -> list[str]:
    try:
        return _path(tomllib.loads(source))
    except tomllib.TOMLDecodeError:
        return []


def locate(file: Path, key: Key) -> int | None:
    """Return the line of *file* (from 1) where *key*, or the nearest table above it, is written.

    tomllib keeps no positions; this reads headers and keys line by line and is only used for messages.
    """
    best: tuple[int, int] | None = None
    table: list[str] = []
    counters: dict[tuple[str, ...], int] = {}
    for number, line in enumerate(file.read_text("utf-8", "replace").splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith("["):
            table = _parsed(stripped)
            if stripped.startswith("[["):
                position = counters[tuple(table)] = counters.get(tuple(table), -1) + 1
                table = [*table, str(position)]
            here = table
        elif "=" in stripped and not stripped.startswith("#"):
            here = table + _parsed(stripped.split("=")[0] + "= 0")
        else:
            continue
        if here and tuple(here) == key[: len(here)] and (best is None or len(here) > best[0]):
            best = (len(here), number)
    return best[1] if best else None
