"""Counters that grow for ever, judged over a window: what they have gained since an earlier run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from .registry import Check

Sample = Mapping[str, Mapping[str, float]]
"""Of each key the counters, and when they ``began`` (epoch seconds, or None)."""
SLACK = 15.0  # seconds: a look may take so long until it asks when counters began


def sample(check: Check, rows: Sequence[Any], now: float) -> dict[str, dict[str, Any]]:
    """Return the counters of *rows* as they are kept for a later run."""
    return {
        _key(check, row): {
            **{name: float(getattr(row, name) or 0) for name in check.counters},
            "began": None if row.age is None else now - row.age,
        }
        for row in rows
    }


def windowed(check: Check, rows: Sequence[Any], now: float, at: float | None, earlier: Sample) -> list[SimpleNamespace]:
    """Return *rows* with the counters' increase since *earlier*, which was taken *at*, and its ``seconds``.

    Counters that were reset since, or that *earlier* has not seen, count from when they began.
    """
    return [_increase(check, row, now, at, earlier.get(_key(check, row))) for row in rows]


def _increase(
    check: Check, row: Any, now: float, at: float | None, before: Mapping[str, Any] | None
) -> SimpleNamespace:
    values = row._asdict()
    counters = {name: float(values[name] or 0) for name in check.counters}
    began = None if row.age is None else now - row.age
    if before is not None and at is not None and _goes_on(counters, began, before):
        increase = {name: value - before[name] for name, value in counters.items()}
        return SimpleNamespace(**{**values, **increase}, seconds=max(now - at, 0.001))
    return SimpleNamespace(**{**values, **counters}, seconds=row.age or 0.0)


def _goes_on(counters: Mapping[str, float], began: float | None, before: Mapping[str, Any]) -> bool:
    """Return whether these are still the counters of *before*: not reset, of the same object, on the same server."""
    then = before.get("began")
    if None not in (began, then) and abs(began - then) > SLACK:  # type: ignore[operator]
        return False
    return all(name in before and value >= before[name] for name, value in counters.items())


def _key(check: Check, row: Any) -> str:
    return str(getattr(row, check.key)) if check.key else ""
