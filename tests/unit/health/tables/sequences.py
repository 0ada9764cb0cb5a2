"""Sequences: (check, rows, grade, object)."""

from __future__ import annotations

from typing import Any

from pgcohesion.view import Grade

OK, WARN, FAIL = Grade.OK, Grade.WARN, Grade.FAIL
ROW = {
    "name": "s",
    "owner": "t",
    "column": "id",
    "type": "integer",
    "used": 0.5,
    "allowed": True,
    "held": False,
    "further": "MAXVALUE 9223372036854775807",
}
TAKEN = {
    "name": "s",
    "table": "t",
    "column": "id",
    "next": 5,
    "taken": 5,
    "called": True,
    "step": 1,
    "closed": 0,
}

TABLE: list[tuple[str, list[dict[str, Any]], Grade, str]] = [
    ("sequences", [], OK, ""),
    ("sequences", [{**ROW, "used": 0.01}], OK, ""),
    ("sequences", [ROW], OK, "s"),
    ("sequences", [{**ROW, "used": 0.8}], WARN, "s"),
    ("sequences", [{**ROW, "used": 0.96}], FAIL, "s"),
    ("sequences", [{**ROW, "used": 0.96, "owner": None, "column": None, "type": None}], FAIL, "s"),
    ("sequences", [{**ROW, "used": None, "allowed": False}], Grade.SKIPPED, ""),
    ("sequences", [{**ROW, "used": None, "held": True}], Grade.UNKNOWN, "s"),
    ("taken_numbers", [], OK, ""),
    ("taken_numbers", [TAKEN], FAIL, "s"),
    ("taken_numbers", [{**TAKEN, "taken": 7}], WARN, "s"),
    ("taken_numbers", [{**TAKEN, "called": False}], WARN, "s"),
    ("taken_numbers", [{**TAKEN, "step": 2}], FAIL, "s"),
    ("taken_numbers", [{**dict.fromkeys(TAKEN), "closed": 3}], Grade.SKIPPED, ""),
]
