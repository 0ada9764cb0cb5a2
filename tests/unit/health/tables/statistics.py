"""What the planner knows: (check, rows, grade, object)."""

from __future__ import annotations

from typing import Any

from pgcohesion.view import Grade

OK, WARN, INFO = Grade.OK, Grade.WARN, Grade.INFO
STALE = {"name": "t", "changed": 20_000, "share": 0.4, "age": 60.0, "soon": False}

TABLE: list[tuple[str, list[dict[str, Any]], Grade, str]] = [
    ("never_analyzed", [], OK, ""),
    ("never_analyzed", [{"name": "t", "rows": 9999, "partitioned": False}], OK, ""),
    ("never_analyzed", [{"name": "t", "rows": 10_000, "partitioned": True}], WARN, "t"),
    ("stale_statistics", [], OK, ""),
    ("stale_statistics", [STALE], OK, ""),
    ("stale_statistics", [{**STALE, "share": 0.5}], WARN, "t"),
    ("stale_statistics", [{**STALE, "share": 0.5, "soon": True}], OK, ""),
    ("stale_statistics", [{**STALE, "share": 0.9, "age": None}], WARN, "t"),
    ("counters_reset", [], OK, ""),
    ("counters_reset", [{"name": "d", "age": 60.0}], INFO, "d"),
]
