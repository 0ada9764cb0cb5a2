"""Layers -> a frozen, checked :class:`~.model.Config`; all problems are reported at once."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from ..errors import ConfigError, suggestion
from . import layers
from .layers import Layer
from .model import Config, SecretRef
from .problems import Key, Problem, dotted
from .rules import consistent


class Loaded(Struct, frozen=True):
    """An environment as read: its typed *config*, the *layers* it came from and the *variables* of secrets."""

    env: str
    root: Path
    config: Config
    layers: tuple[Layer, ...]
    variables: dict[str, str]


def load(root: Path, env: str, *, environ: Mapping[str, str] | None = None, sets: Sequence[str] = ()) -> Loaded:
    """Read an environment.

    Raises UsageError for an unknown name, ConfigError with every problem of the files.
    """
    environ = layers.process_environment() if environ is None else environ
    stack = list(layers.files(root, env))
    merged: dict[str, Any] = {}
    for layer in stack:
        merged = layers.merge(merged, layer.values)
    dotenv = layers.dotenv(root, env)
    for name, values in (
        (f"environments/{env}.env", layers.overrides(dotenv, merged)),
        ("process environment", layers.overrides(environ, merged)),
        ("command line", layers.assignments(sets)),
    ):
        if values:
            stack.append(Layer(name, values))
            merged = layers.merge(merged, values)
    config = convert(merged, stack, env)
    return Loaded(env, root.absolute(), config, tuple(stack), {**dotenv, **environ})


def bare(env: str, root: Path, *, environ: Mapping[str, str] | None = None) -> Loaded:
    """Return an environment without files: the defaults, and what variables say. Raises ConfigError."""
    environ = layers.process_environment() if environ is None else environ
    values = layers.overrides(environ, {})
    stack = (Layer("process environment", values),)
    return Loaded(env, root, convert(values, stack, env), stack if values else (), dict(environ))


def convert(merged: dict[str, Any], stack: Sequence[Layer], env: str) -> Config:
    """Return *merged* as a Config. Raises ConfigError with every problem."""
    loose = any(layer.file is None for layer in stack)
    try:
        config = msgspec.convert(merged, Config) if not loose else None
    except msgspec.ValidationError:
        config = None
    found: list[tuple[Key, str]] = []
    value = _convert(merged, Config, (), found) if config is None else config
    if isinstance(value, Config):
        found += consistent(value)
    if found or not isinstance(value, Config):
        raise _config_error(env, sorted({_placed(stack, key, reason) for key, reason in found}, key=_position))
    return value


def _position(problem: Problem) -> tuple[str, int]:
    file, _, line = problem.where.rpartition(":")
    return (file, int(line)) if line.isdigit() else (problem.where, 0)


def _config_error(env: str, problems: Sequence[Problem]) -> ConfigError:
    number = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
    return ConfigError(
        f"{number} in environment `{env}`",
        why="\n".join(str(problem) for problem in problems),
        fix=f"inv env.explain KEY --env={env} shows where a value comes from" if problems else "",
        problems=problems,
    )


def _placed(stack: Sequence[Layer], key: Key, reason: str) -> Problem:
    for depth in range(len(key), 0, -1):
        for layer in reversed(stack):
            if layer.get(key[:depth]) is not None:
                return Problem(layer.place(key), dotted(key), reason)
    return Problem(stack[-1].name, dotted(key), reason)


# --- one value at a time, to find every problem -------------------------------------------------------

_BAD: Any = object()  # a value that could not be converted; what holds it goes on without
_WORDS = {"on": True, "yes": True, "true": True, "off": False, "no": False, "false": False}
_NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "a table",
}


def _convert(value: Any, kind: Any, key: Key, found: list[tuple[Key, str]]) -> Any:
    kind, optional = _unwrap(kind)
    if value is None and optional:
        return None
    if isinstance(kind, type) and issubclass(kind, Struct):
        return _struct(value, kind, key, found)
    origin = get_origin(kind)
    if origin is dict:
        return _table(value, get_args(kind)[1], key, found)
    if origin is list:
        return _list(value, get_args(kind)[0], key, found)
    return _leaf(value, kind, key, found)


def _unwrap(kind: Any) -> tuple[Any, bool]:
    if get_origin(kind) in (Union, types.UnionType) and type(None) in get_args(kind):
        rest = [arg for arg in get_args(kind) if arg is not type(None)]
        return (rest[0] if len(rest) == 1 else kind), True
    return kind, False


def _struct(value: Any, kind: type[Struct], key: Key, found: list[tuple[Key, str]]) -> Any:
    if kind is SecretRef and isinstance(value, str):
        found.append(
            (key, 'a secret is a reference, never a value: { env = "NAME" }, { file = ... } or { command = ... }')
        )
        return _BAD
    if not isinstance(value, dict):
        found.append((key, f"must be a table, not {_kind(value)}"))
        return _BAD
    hints = get_type_hints(kind)
    found += [((*key, name), f"unknown key; {suggestion(name, hints)}") for name in value if name not in hints]
    fields = {name: _convert(item, hints[name], (*key, name), found) for name, item in value.items() if name in hints}
    fields = {name: item for name, item in fields.items() if item is not _BAD}
    required = [field.name for field in msgspec.structs.fields(kind) if field.required]
    found += [((*key, name), "is missing") for name in required if name not in value]
    return kind(**fields) if all(name in fields for name in required) else _BAD


def _table(value: Any, kind: Any, key: Key, found: list[tuple[Key, str]]) -> Any:
    if not isinstance(value, dict):
        found.append((key, f"must be a table, not {_kind(value)}"))
        return _BAD
    converted = {name: _convert(item, kind, (*key, name), found) for name, item in value.items()}
    return {name: item for name, item in converted.items() if item is not _BAD}


def _list(value: Any, kind: Any, key: Key, found: list[tuple[Key, str]]) -> Any:
    if isinstance(value, str):  # from a variable or --set: words with commas
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list):
        found.append((key, f"must be a list, not {_kind(value)}"))
        return _BAD
    converted = [_convert(item, kind, (*key, str(position)), found) for position, item in enumerate(value)]
    return [item for item in converted if item is not _BAD]


def _leaf(value: Any, kind: Any, key: Key, found: list[tuple[Key, str]]) -> Any:
    if kind is bool and isinstance(value, str):
        value = _WORDS.get(value.lower(), value)
    try:
        return msgspec.convert(value, kind, strict=not isinstance(value, str))
    except msgspec.ValidationError:
        found.append((key, f"must be {_wanted(kind, value)}"))
        return _BAD


def _wanted(kind: Any, value: Any) -> str:
    choices = get_args(kind)
    if choices and all(isinstance(choice, str) for choice in choices):
        return f"one of {', '.join(choices)}"
    names = _NAMES.get(kind) or " or ".join(_NAMES.get(choice, str(choice)) for choice in choices)
    return f"{names}, not {_kind(value)}"


def _kind(value: Any) -> str:
    return next((name for kind, name in _NAMES.items() if isinstance(value, kind)), type(value).__name__)


def explain(loaded: Loaded, key: str) -> Iterator[tuple[str, Any, bool]]:
    """Yield (place, raw value, wins) of *key* for each layer that sets it, the lowest first.

    Raises ConfigError for a key that no environment can have.
    """
    path = tuple(key.split("."))
    known(path)
    holders = [(layer, layer.get(path)) for layer in loaded.layers if layer.get(path) is not None]
    for position, (layer, value) in enumerate(holders):
        wins = position == len(holders) - 1 or (isinstance(value, dict) and not layers.is_reference(value))
        yield layer.place(path), value, wins


def known(path: Key) -> None:
    """Raise UsageError when no environment can have this key."""
    from ..errors import UsageError

    kind: Any = Config
    for depth, part in enumerate(path):
        kind, _ = _unwrap(kind)
        if isinstance(kind, type) and issubclass(kind, Struct):
            hints = get_type_hints(kind)
            if part not in hints:
                above = dotted(path[:depth])
                raise UsageError(
                    f"no key `{dotted(path)}`",
                    why=f"{f'`{above}`' if above else 'an environment'} has no `{part}`",
                    fix=suggestion(part, hints),
                )
            kind = hints[part]
        elif get_origin(kind) in (dict, list):
            kind = get_args(kind)[-1]
        else:
            raise UsageError(f"no key `{dotted(path)}`", why=f"`{dotted(path[:depth])}` is a single value")
