"""Settings as PostgreSQL compares them: units, booleans, lists of names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import sql
from psycopg.sql import Composable

_BYTES = {"B": 1, "kB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_ON, _OFF = ("on", "true", "yes", "1"), ("off", "false", "no", "0")
LISTS = frozenset(
    {
        "search_path",
        "temp_tablespaces",
        "session_preload_libraries",
        "shared_preload_libraries",
        "local_preload_libraries",
        "unix_socket_directories",
    }
)  # GUC_LIST_QUOTE: their items are quoted one by one


def text_of(value: Any) -> str:
    """Return a declared value as PostgreSQL's text."""
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def same(wanted: Any, row: Any) -> bool:
    """Return whether the pg_settings *row* (setting, unit, vartype) has the declared value."""
    text = text_of(wanted)
    if row.vartype == "bool":
        return _boolean(text) == _boolean(row.setting)
    if row.vartype in ("integer", "real"):
        return _number(text, row.unit) == _number(row.setting, row.unit)
    if row.vartype == "enum":
        on = _boolean(text)  # an enum such as synchronous_commit takes the words of a boolean, too
        return text.lower() == row.setting.lower() or (on is not None and on == _boolean(row.setting))
    if row.name in LISTS or row.name == "DateStyle":
        return _items(text) == _items(row.setting)
    return text == str(row.setting)


def _boolean(text: str) -> bool | None:
    return True if text.strip().lower() in _ON else False if text.strip().lower() in _OFF else None


def _items(text: str) -> list[str]:
    return [item.strip().strip('"') for item in text.split(",")]


def _number(text: str, unit: str | None) -> float | str:
    """Return *text* in multiples of *unit* (``8kB``, ``ms``), rounded as the server does."""
    match = re.fullmatch(r"\s*(-?[\d.]+(?:e-?\d+)?|0x[\da-fA-F]+)\s*([A-Za-z]*)\s*", text)
    if not match:
        return text
    number = float(int(match[1], 16)) if match[1].startswith("0x") else float(match[1])
    if not match[2] or unit is None:
        return round(number, 6)
    factor, base = re.fullmatch(r"(\d*)(\w+)", unit).groups()  # type: ignore[union-attr]
    for scale in (_BYTES, _SECONDS):
        if base in scale and match[2] in scale:
            return float(round(number * scale[match[2]] / (scale[base] * int(factor or 1))))
    return text


def setting_changes(wanted: Mapping[str, Any], stored: Sequence[str]) -> list[tuple[str, Any]]:
    """Return the (name, value) of ALTER ROLE/DATABASE ... SET that differ from *stored* ("name=value")."""
    now = dict(item.split("=", 1) for item in stored)
    return [(name, value) for name, value in wanted.items() if not _as_stored(name, value, now.get(name))]


def _as_stored(name: str, wanted: Any, stored: str | None) -> bool:
    if stored is None:
        return False
    if name in LISTS:
        return _items(text_of(wanted)) == _items(stored)
    return text_of(wanted) == stored


def literal(name: str, value: Any) -> Composable:
    """Return a value for ``SET name TO ...``; the items of a list are quoted one by one."""
    if name in LISTS:
        return sql.SQL(", ").join(sql.Literal(item) for item in _items(text_of(value)))
    return sql.Literal(text_of(value))


def dotted_identifier(name: str) -> Composable:
    """Return a parameter's name, quoted; extensions' have a dot."""
    return sql.SQL(".").join(sql.Identifier(part) for part in name.split("."))
