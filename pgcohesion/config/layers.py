"""Where values come from: the files (a base first), ``<name>.env``, the process environment, the command line.

Later layers win. Layers hold raw values; :mod:`.load` makes types of the merged ones.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from ..errors import ConfigError, UsageError, suggestion
from .problems import Key, Problem, locate

PREFIX = "PGCOHESION__"
BASE = "base"  # what the others extend; no environment itself


class Layer(Struct, frozen=True):
    """A source of values: *name* is shown to people; *file* is None for the environment and the command line."""

    name: str
    values: dict[str, Any]
    file: Path | None = None
    root: Path | None = None

    def place(self, key: Key) -> str:
        """Return ``environments/staging.toml:12``, or the layer's name."""
        line = locate(self.file, key) if self.file and self.file.suffix == ".toml" else None
        return f"{self.name}:{line}" if line else self.name

    def get(self, key: Key) -> Any:
        """Return the raw value at *key*, or None."""
        value: Any = self.values
        for part in key:
            if isinstance(value, list) and part.isdigit() and int(part) < len(value):
                value = value[int(part)]
            elif isinstance(value, dict) and part in value:
                value = value[part]
            else:
                return None
        return value


def names(root: Path) -> list[str]:
    """Return the environments that have a file (``base`` is none)."""
    return sorted(path.stem for path in (root / "environments").glob("*.toml") if path.stem != BASE)


def files(root: Path, env: str) -> Iterator[Layer]:
    """Yield the layers of the environment's TOML file and those it extends, the outermost base first.

    Raises UsageError for an unknown environment, ConfigError for a file that is no TOML or extends itself.
    """
    chain: list[Layer] = []
    name: str | None = env
    while name:
        path = root / "environments" / f"{name}.toml"
        label = f"environments/{name}.toml"
        if any(layer.file == path for layer in chain):
            raise ConfigError(f"`{env}` extends itself", why=f"{chain[-1].name}: extends = {name!r}")
        if not path.is_file() or "/" in name or (name == BASE and not chain):
            raise _unknown(root, name, label, chain)
        try:
            values = tomllib.loads(path.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"`{label}` is no valid TOML", why=str(error)) from error
        chain.append(Layer(label, values, path, root))
        name = values.get("extends") if isinstance(values.get("extends"), str) else None
    yield from reversed(chain)


def _unknown(root: Path, name: str, label: str, chain: Sequence[Layer]) -> UsageError | ConfigError:
    fix = suggestion(name, names(root))
    if chain:
        return ConfigError(f"`{chain[-1].name}` extends `{name}`, which does not exist", fix=fix)
    return UsageError(f"no environment `{name}`", why=f"there is no {label}", fix=fix)


def dotenv(root: Path, env: str) -> dict[str, str]:
    """Return the variables of ``environments/<env>.env`` (none when there is no such file)."""
    path = root / "environments" / f"{env}.env"
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    values = dotenv_values(path, interpolate=False)
    return {name: value for name, value in values.items() if value is not None}


def overrides(variables: Mapping[str, str], known: dict[str, Any]) -> dict[str, Any]:
    """Return the values of ``PGCOHESION__A__B=value`` variables, nested; names match *known* in any case."""
    tree: dict[str, Any] = {}
    for name, value in variables.items():
        if name.startswith(PREFIX):
            put(tree, _spelled(name.removeprefix(PREFIX).split("__"), known), value)
    return tree


def _spelled(parts: Sequence[str], known: Any) -> list[str]:
    path = []
    for part in parts:
        table = known if isinstance(known, dict) else {}
        path.append(next((k for k in table if k.lower() == part.lower()), part.lower()))
        known = table.get(path[-1])
    return path


def assignments(items: Sequence[str]) -> dict[str, Any]:
    """Return the values of ``--set a.b=value`` options, nested. Raises UsageError for one without ``=``."""
    tree: dict[str, Any] = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"`--set {item}` has no value", fix="write it as --set settings.work_mem=16MB")
        put(tree, key.strip().split("."), value)
    return tree


def put(tree: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Set *value* at *path* of nested tables."""
    *parents, last = path
    for part in parents:
        below = tree.setdefault(part, {})
        if not isinstance(below, dict):
            below = tree[part] = {}
        tree = below
    tree[last] = value


def merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Return *above* laid over *below*: tables are merged, everything else is replaced."""
    merged = dict(below)
    for name, value in above.items():
        old = merged.get(name)
        replaces = not (isinstance(old, dict) and isinstance(value, dict)) or is_reference(value)
        merged[name] = value if replaces else merge(old, value)  # type: ignore[arg-type]
    return merged


def is_reference(value: dict[str, Any]) -> bool:
    """Return whether a table is a secret's reference: it is replaced as a whole."""
    return bool(value) and value.keys() <= {"env", "file", "command", "generate"}


def process_environment() -> dict[str, str]:
    """Return the variables of this process."""
    return dict(os.environ)


__all__ = ["Layer", "Problem", "assignments", "dotenv", "files", "merge", "names", "overrides"]
