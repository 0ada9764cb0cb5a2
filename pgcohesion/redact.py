"""Secrets that this process has seen, and their removal from every text that leaves it."""

from __future__ import annotations

import json
import re

MASK = "***"
_PASSWORD = re.compile(r"(?i)((?:pass(?:word|wd|phrase)?|pwd|secret|token|key)\w*\s*[=:]\s*)('[^']*'|\"[^\"]*\"|\S+)")
_USERINFO = re.compile(r"(?<=://)([^/@\s:]*):[^/@\s]*@")
_seen: set[str] = set()
_patterns: list[re.Pattern[str]] = []  # one, of all that was seen


class Secret:
    """A secret value: shows as ``***`` wherever it is printed; only :meth:`reveal` gives it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value
        remember(value)

    def reveal(self) -> str:
        """Return the value itself."""
        return self._value

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        raise TypeError("a secret is not pickled")


def remember(value: str) -> None:
    """Mask *value*, and the ways in which it may be quoted, from now on.

    Values of fewer than 4 characters are not looked for: they would blacken ordinary words.
    """
    from urllib.parse import quote

    quoted = value.replace("'", "''")
    forms = {
        value,
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        quoted,
        quoted.replace("\\", "\\\\"),
        quote(value, safe=""),
        repr(value)[1:-1],
    }
    forms |= {line for form in tuple(forms) for line in form.splitlines()}
    new = {form for form in forms if len(form) >= 4} - _seen
    if new:
        _seen.update(new)
        _patterns[:] = [re.compile("|".join(re.escape(form) for form in sorted(_seen, key=len, reverse=True)))]


def redact(text: str) -> str:
    """Return *text* with every remembered secret masked."""
    for pattern in _patterns:
        text = pattern.sub(MASK, text)
    return text


def masked(text: str) -> str:
    """Return *text* of somebody else without what looks like a password in it: ``password=...``, ``user:...@``."""
    return _USERINFO.sub(rf"\1:{MASK}@", _PASSWORD.sub(rf"\1{MASK}", text))
