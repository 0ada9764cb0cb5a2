"""What a check's number counts: the words of its title, ``(limits in seconds)`` or ``(limits as a share)``, say so."""

from __future__ import annotations

import re

from ..view import size, span
from .registry import Check

_SAID = re.compile(r"\((?:limits?|in)\b[^()]*?\b(seconds|share|bytes|days|transactions|files|rows|sessions|multiple)\b")


def unit_of(check: Check) -> str:
    """Return seconds, share, bytes, days, another plural noun, or an empty word for a plain number."""
    said = _SAID.search(check.title)
    if said:
        return "" if said[1] == "multiple" else said[1]
    return "share" if any(limit is not None and 0 < limit < 1 for limit in (check.warn, check.fail)) else ""


def shown(value: float | None, unit: str) -> str:
    """Return a measured value as a person reads it: ``73 %``, ``1.5 MiB``, ``12 min``, ``3,400 rows``."""
    if value is None:
        return ""
    if unit == "share":
        return _percent(value * 100)
    if unit == "bytes":
        return size(value)
    if unit == "seconds":
        return _span(value)
    number = f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:.3g}"
    return f"{number} {unit[:-1] if number == '1' else unit}".rstrip()


def _percent(value: float) -> str:
    if 0 < abs(value) < 0.01:
        return "< 0.01 %"
    return f"{value:.3g} %" if abs(value) < 100 else f"{value:,.0f} %"


def _span(seconds: float) -> str:
    if 0 < abs(seconds) < 1:
        return f"{seconds * 1000:.3g} ms"
    return "0 s" if not seconds else f"-{span(-seconds)}" if seconds < 0 else span(seconds)
