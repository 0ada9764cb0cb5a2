"""Schema: (check, rows, grade, object)."""

from __future__ import annotations

from typing import Any

from pgcohesion.view import Grade

OK, WARN, FAIL, INFO = Grade.OK, Grade.WARN, Grade.FAIL, Grade.INFO
KEYLESS = {"name": "t", "rows": 5.0, "candidate": None, "partitioned_by": None, "taken": False}
OPEN = {"name": "t", "constraint": "c", "kind": "TABLE", "off": False}
TRIGGER = {
    "name": "t",
    "part": "g",
    "kind": "trigger",
    "on": "ALTER TABLE t ENABLE TRIGGER g;",
    "off": "ALTER TABLE t DISABLE TRIGGER g;",
}
TYPES = {
    "name": "t",
    "column": "a",
    "type": "integer",
    "target": "u",
    "target_column": "id",
    "target_type": "bigint",
}
PARTS = {"name": "t", "last": "t_1", "written": True, "spare": False, "past": 2.0, "days": None}

TABLE: list[tuple[str, list[dict[str, Any]], Grade, str]] = [
    ("no_primary_key", [], OK, ""),
    ("no_primary_key", [KEYLESS], WARN, "t"),
    ("no_primary_key", [{**KEYLESS, "rows": 0.0}], INFO, "t"),
    ("no_primary_key", [{**KEYLESS, "candidate": "u"}], WARN, "t"),
    ("no_primary_key", [{**KEYLESS, "partitioned_by": "at"}], WARN, "t"),
    ("no_primary_key", [{**KEYLESS, "taken": True}], WARN, "t"),
    ("unvalidated_constraints", [], OK, ""),
    ("unvalidated_constraints", [OPEN], WARN, "t.c"),
    ("unvalidated_constraints", [{**OPEN, "kind": "DOMAIN"}], WARN, "t.c"),
    ("unvalidated_constraints", [{**OPEN, "off": True}], INFO, "t.c"),
    ("disabled_triggers", [], OK, ""),
    ("disabled_triggers", [TRIGGER], WARN, "t.g"),
    ("disabled_triggers", [{**TRIGGER, "kind": "f"}], WARN, "t.g"),
    ("disabled_triggers", [{**TRIGGER, "kind": "u"}], WARN, "t.g"),
    ("disabled_triggers", [{**TRIGGER, "kind": "rule"}], WARN, "t.g"),
    ("disabled_triggers", [{**TRIGGER, "kind": "event", "name": None}], WARN, "g"),
    ("unpopulated_views", [], OK, ""),
    ("unpopulated_views", [{"name": "v"}], WARN, "v"),
    ("unlogged_tables", [], OK, ""),
    ("unlogged_tables", [{"name": "t", "rows": 0.0, "bytes": 0.0}], OK, ""),
    ("unlogged_tables", [{"name": "t", "rows": 1.0, "bytes": 8192.0}], WARN, "t"),
    ("foreign_key_types", [], OK, ""),
    ("foreign_key_types", [TYPES], WARN, "t.a"),
    ("replica_identity", [], OK, ""),
    ("replica_identity", [{"name": "t", "identity": "d", "candidate": None}], FAIL, "t"),
    ("replica_identity", [{"name": "t", "identity": "n", "candidate": "u"}], FAIL, "t"),
    ("half_detached", [], OK, ""),
    ("half_detached", [{"name": "t_1", "parent": "t", "rows": 3.0}], WARN, "t_1"),
    ("default_partitions", [], OK, ""),
    ("default_partitions", [{"name": "t_d", "parent": "t", "rows": 0.0}], OK, ""),
    ("default_partitions", [{"name": "t_d", "parent": "t", "rows": 3.0}], WARN, "t_d"),
    ("future_partitions", [], OK, ""),
    ("future_partitions", [{**PARTS, "past": -2.0}], OK, ""),
    ("future_partitions", [{**PARTS, "past": None}], OK, ""),
    ("future_partitions", [{**PARTS, "past": -0.5, "spare": True}], WARN, "t"),
    ("future_partitions", [{**PARTS, "past": -0.8, "days": 1.0}], OK, ""),
    ("future_partitions", [{**PARTS, "past": -0.3, "days": 1.0}], WARN, "t"),
    ("future_partitions", [{**PARTS, "past": -0.05, "days": 1 / 24}], OK, ""),  # two hours of hourly ones
    ("future_partitions", [PARTS], WARN, "t"),
    ("future_partitions", [{**PARTS, "written": False}], INFO, "t"),
    ("column_types", [], OK, ""),
    ("column_types", [{"name": "t.a", "type": "json"}], INFO, "t.a"),
]
