"""Transaction ids: (check, rows, grade, object)."""

from __future__ import annotations

from typing import Any

from pgcohesion.view import Grade

OK, WARN, FAIL = Grade.OK, Grade.WARN, Grade.FAIL
FREE = {"who": None, "held": None}
OLD = {"name": "d", "ident": "d", "xid": 0.1, "mxid": 0.0, "open": True, **FREE}
TABLES = {"name": "t", "toast": False, "xid": 1.0, "mxid": 0.0, "age": 2e8, "mage": 0.0, "temporary": False, **FREE}

TABLE: list[tuple[str, list[dict[str, Any]], Grade, str]] = [
    ("wraparound", [OLD], OK, "d"),
    ("wraparound", [{**OLD, "xid": 0.3}, {**OLD, "name": "e"}], WARN, "d"),
    ("wraparound", [{**OLD, "xid": 0.3, "who": "slot s", "held": 6e8}], WARN, "d"),
    ("wraparound", [{**OLD, "mxid": 0.7, "open": False}], FAIL, "d"),
    ("unfrozen_tables", [TABLES], OK, ""),
    ("unfrozen_tables", [{**TABLES, "xid": 1.3}], WARN, "t"),
    ("unfrozen_tables", [{**TABLES, "xid": 1.3, "temporary": True}], WARN, "t"),
    ("unfrozen_tables", [{**TABLES, "mxid": 4.0, "mage": 1.6e9, "toast": True}], FAIL, "t"),
]
