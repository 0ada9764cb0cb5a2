"""A script's options: typed by its annotations, converted from what was typed."""

from __future__ import annotations

import copy
import math
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from ..errors import UsageError, suggestion

REQUIRED: Any = object()
SETTINGS = {"timeout", "retries", "resumable", "parallel_copies", "changes"}
TAKEN = {"env", "json", "dry_run", "yes", "verbose", "quiet", "set", "help", "fresh", "given", "name"}
_NOUNS = {int: "a whole number", float: "a number", bool: "yes or no", Path: "a path", str: "a text"}
_WORDS = {"yes": True, "true": True, "on": True, "1": True, "no": False, "false": False, "off": False, "0": False}


class Arg(NamedTuple):
    """What :func:`arg` was given."""

    default: Any
    help: str
    choices: tuple[Any, ...]


def arg(default: Any = REQUIRED, *, help: str = "", choices: Sequence[Any] = ()) -> Any:  # noqa: A002
    """Say more of a script's option than its annotation and default do. Without a default it is positional."""
    return Arg(default, help, tuple(choices))


class Option(NamedTuple):
    """An option: its *name* in Python, its type, its default (REQUIRED: positional), help and choices."""

    name: str
    kind: Any
    default: Any
    help: str
    choices: tuple[Any, ...]

    @property
    def flag(self) -> str:
        """How it is typed."""
        name = self.name.replace("_", "-")
        return name.upper() if self.default is REQUIRED else f"--{name}"

    @property
    def text(self) -> str:
        """Its help, with its default and choices."""
        known = get_args(_plain(self.kind)) if get_origin(_plain(self.kind)) is Literal else self.choices
        more = [" or ".join(map(str, known))] if known else []
        more += (
            [f"default: {_shown(self.default)}"]
            if self.default != [] and not any(self.default is d for d in (REQUIRED, None, False, True))
            else []
        )
        return f"{self.help} ({'; '.join(more)})".strip() if more else self.help

    @property
    def many(self) -> bool:
        """Whether it may be given again and again."""
        return get_origin(_plain(self.kind)) is list

    def convert(self, value: Any) -> Any:
        """Return *value*, a text or already of its type, as the option's type. Raises UsageError."""
        kind = _plain(self.kind)
        if value is None and kind is not self.kind:
            return None
        if get_origin(kind) is list:
            if isinstance(value, str) or not isinstance(value, Sequence):
                raise self._refused(value, "a list")
            (item,) = get_args(kind)
            return [self._one(item, part) for part in value]
        return self._one(kind, value)

    def _one(self, kind: Any, value: Any) -> Any:
        choices = get_args(kind) if get_origin(kind) is Literal else self.choices
        made = _parsed(type(choices[0]) if get_origin(kind) is Literal else kind, value)
        if made is None or (choices and made not in choices):
            if choices:
                raise UsageError(f"`{self.flag} {value}` is no choice", fix=suggestion(str(value), map(str, choices)))
            raise self._refused(value, _NOUNS[kind])
        return made

    def _refused(self, value: Any, wanted: str) -> UsageError:
        good = {"a whole number": "10", "a number": "0.5", "yes or no": "yes"}.get(wanted, "VALUE")
        return UsageError(f"`{self.flag} {value}` is not {wanted}", fix=f"{self.flag} {good}")


def _parsed(kind: type, value: Any) -> Any:
    """Return *value* as *kind*, or None."""
    if not isinstance(value, str) or kind is str:
        good = isinstance(value, (int, float) if kind is float else kind) and (kind is bool or value is not True)
        return (float(value) if kind is float else value) if good and not (kind is int and value is False) else None
    try:
        made = _WORDS.get(value.lower()) if kind is bool else kind(value)
    except ValueError:
        return None
    bad = (isinstance(made, float) and not math.isfinite(made)) or (kind is Path and not value)
    return None if bad else made


def _plain(kind: Any) -> Any:
    """Return ``X`` of ``X | None``."""
    if get_origin(kind) in (Union, types.UnionType):
        (kind,) = (part for part in get_args(kind) if part is not types.NoneType)
    return kind


def declared(cls: type, base: type) -> dict[str, Option]:
    """Return the options that the annotations of *cls* declare, and its bases' below *base*, theirs first.

    Raises TypeError for a name that is taken and for an annotation that no command line can give.
    """
    found = {}
    for name, kind in _annotations(cls):
        if name.startswith("_") or name in SETTINGS or get_origin(kind) is ClassVar:
            continue
        if name in TAKEN or hasattr(base, name):
            raise TypeError(f"{cls.__name__}.{name}: an option cannot have this name")
        given = getattr(cls, name, REQUIRED)
        default, text, choices = given if isinstance(given, Arg) else (given, "", ())
        found[name] = Option(name, kind, default, text, choices)
        _check(found[name], cls)
    return found


def _annotations(cls: type) -> Iterator[tuple[str, Any]]:
    hints = get_type_hints(cls)
    for base in reversed(cls.__mro__):
        yield from ((name, hints[name]) for name in vars(base).get("__annotations__", {}))


def _check(option: Option, cls: type) -> None:
    kind = _plain(option.kind)
    item = get_args(kind)[0] if get_origin(kind) is list else kind
    if get_origin(item) is not Literal and item not in _NOUNS:
        raise TypeError(f"{cls.__name__}.{option.name}: {option.kind} is no type of an option")
    if item is bool and option.default is REQUIRED:
        raise TypeError(f"{cls.__name__}.{option.name}: a flag needs a default")


def values(options: Mapping[str, Option], given: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a value for each option. Raises UsageError for what is unknown, missing or of the wrong type."""
    for key in given:
        if key not in options:
            raise UsageError(f"`{name}` has no option `{key}`", fix=suggestion(key, options))
    for key, option in options.items():
        if key not in given and option.default is REQUIRED:
            raise UsageError(f"`{name}` needs {option.flag}", fix=f"inv {name} {option.flag}")
    return {
        key: option.convert(given[key]) if key in given else copy.copy(option.default)
        for key, option in options.items()
    }


def _shown(default: Any) -> str:
    return f"{default:g}" if isinstance(default, float) else str(default)
