"""Indexes: (check, rows, grade, object)."""

from __future__ import annotations

from typing import Any

from pgcohesion.view import Grade

OK, WARN, FAIL, INFO, UNKNOWN = Grade.OK, Grade.WARN, Grade.FAIL, Grade.INFO, Grade.UNKNOWN
MIB = 1024.0**2
INDEX = {
    "name": "public.i",
    "table": "public.t",
    "short": "i",
    "bytes": 9 * MIB,
    "definition": "CREATE INDEX i ON public.t USING btree (a)",
    "comment": None,
    "parent": False,
    "space": None,
}
INVALID = {
    "name": "public.i",
    "table": "public.t",
    "bare": "i",
    "short": "i",
    "unique": False,
    "parent": False,
    "lacking": None,
    "definition": None,
}
PARENT = {
    **INVALID,
    "parent": True,
    "definition": "CREATE INDEX i ON ONLY public.t USING btree (a)",
    "lacking": [["public.p", "public", "p_1", False]],
}
TWIN = {**INDEX, "first": "public.j", "constraint": None, "condef": None}
UNUSED = {**INDEX, "age": 9e6, "idle": None, "counted": True, "standbys": 0}
KEY = {"name": "t", "constraint": "k", "target": "u", "columns": "a", "rows": 10_000.0, "parent": False}
SCANS = {"name": "t", "rows": 1e6, "scans": 60.0, "read": 6e7, "lookups": 0.0, "seconds": 3600.0, "age": 1e6}
NULLS = {**INDEX, "share": 0.95, "column": "a"}
MANY = {"name": "t", "indexes": 20, "writes": 1e6, "lookups": 10.0}

TABLE: list[tuple[str, list[dict[str, Any]], Grade, str]] = [
    ("invalid_indexes", [], OK, ""),
    ("invalid_indexes", [INVALID], WARN, "public.i"),
    ("invalid_indexes", [{**INVALID, "bare": "i_ccnew1"}], WARN, "public.i"),
    ("invalid_indexes", [{**INVALID, "unique": True}], WARN, "public.i"),
    ("invalid_indexes", [PARENT], WARN, "public.i"),
    ("invalid_indexes", [{**PARENT, "definition": None, "lacking": None}], WARN, "public.i"),
    ("duplicate_indexes", [], OK, ""),
    ("duplicate_indexes", [TWIN], WARN, "public.i"),
    ("duplicate_indexes", [{**TWIN, "constraint": "c", "condef": "UNIQUE (a)"}], WARN, "public.i"),
    ("prefix_indexes", [], OK, ""),
    ("prefix_indexes", [{**INDEX, "longer": "public.j"}], WARN, "public.i"),
    ("unused_indexes", [], OK, ""),
    ("unused_indexes", [UNUSED], WARN, "public.i"),
    ("unused_indexes", [{**UNUSED, "idle": 2e7}], WARN, "public.i"),
    ("unused_indexes", [{**UNUSED, "bytes": 100.0}], OK, ""),
    ("unused_indexes", [{**UNUSED, "age": 3600.0}], UNKNOWN, "public.i"),
    ("unused_indexes", [{**UNUSED, "counted": False}], UNKNOWN, "public.i"),
    ("unindexed_foreign_keys", [], OK, ""),
    ("unindexed_foreign_keys", [{**KEY, "rows": 999.0}], OK, ""),
    ("unindexed_foreign_keys", [{**KEY, "rows": 9999.0}], INFO, "t"),
    ("unindexed_foreign_keys", [{**KEY, "rows": None}], OK, ""),
    ("unindexed_foreign_keys", [KEY], WARN, "t"),
    ("unindexed_foreign_keys", [{**KEY, "parent": True}], WARN, "t"),
    ("missing_indexes", [], OK, ""),
    ("missing_indexes", [SCANS], WARN, "t"),
    ("missing_indexes", [{**SCANS, "scans": 49.0}], OK, ""),
    ("missing_indexes", [{**SCANS, "read": 1000.0}], OK, ""),
    ("missing_indexes", [{**SCANS, "lookups": 1e6}], OK, ""),
    ("null_indexes", [], OK, ""),
    ("null_indexes", [NULLS], WARN, "public.i"),
    ("null_indexes", [{**NULLS, "share": 0.6}], INFO, "public.i"),
    ("null_indexes", [{**NULLS, "definition": None}], WARN, "public.i"),
    ("many_indexes", [], OK, ""),
    ("many_indexes", [MANY], INFO, "t"),
]
