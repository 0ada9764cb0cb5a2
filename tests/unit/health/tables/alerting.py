"""Alerting: (check, rows, grade, object)."""

from __future__ import annotations

from typing import Any

from pgcohesion.view import Grade

ROW = {"route": "team", "count": 3, "age": 60.0, "error": "HTTPError: 500", "tries": 2}

TABLE: list[tuple[str, list[dict[str, Any]], Grade, str]] = [
    ("undelivered_alerts", [], Grade.OK, ""),
    ("undelivered_alerts", [ROW], Grade.OK, ""),
    ("undelivered_alerts", [{**ROW, "age": 7200.0}], Grade.WARN, "team"),
    ("undelivered_alerts", [{**ROW, "age": 1e5, "error": ""}], Grade.FAIL, "team"),
]
