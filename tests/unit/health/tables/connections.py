"""Connections: (check, rows, grade, object)."""

from __future__ import annotations

from typing import Any

from pgcohesion.view import Grade

OK, WARN, FAIL = Grade.OK, Grade.WARN, Grade.FAIL
SLOTS = {"slots": 100, "idle": 0, "most": "app"}
LIMITED = {"name": 'o"dd', "quoted": '"o""dd"', "allowed": 10, "idle": 1}

TABLE: list[tuple[str, list[dict[str, Any]], Grade, str]] = [
    ("connections", [{**SLOTS, "used": 1}], OK, ""),
    ("connections", [{**SLOTS, "used": 79}], OK, ""),
    ("connections", [{**SLOTS, "used": 80}], WARN, ""),
    ("connections", [{**SLOTS, "used": 97}], FAIL, ""),
    ("connections", [{**SLOTS, "used": 3, "slots": 0}], FAIL, ""),
    # All slots of the shared server would have to be taken: not seeded.
    ("reserved_slots", [{"used": 97, "slots": 100, "reserved": 3}], OK, ""),
    ("reserved_slots", [{"used": 98, "slots": 100, "reserved": 3}], WARN, ""),
    ("reserved_slots", [{"used": 99, "slots": 100, "reserved": 3}], FAIL, ""),
    ("reserved_slots", [{"used": 101, "slots": 100, "reserved": 3}], FAIL, ""),
    ("reserved_slots", [{"used": 1, "slots": 100, "reserved": 0}], WARN, ""),
    *(
        case
        for check in ("role_connections", "database_connections")
        for case in (
            (check, [], OK, ""),
            (check, [{**LIMITED, "used": 7}], OK, ""),
            (check, [{**LIMITED, "used": 8}], WARN, 'o"dd'),
            (check, [{**LIMITED, "used": 10}], FAIL, 'o"dd'),
            (check, [{**LIMITED, "used": 30}], FAIL, 'o"dd'),
        )
    ),
]
