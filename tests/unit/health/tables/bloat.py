"""Space that is lost: (check, rows, grade, object)."""

from __future__ import annotations

from typing import Any

from pgcohesion.view import Grade

OK, WARN, FAIL, UNKNOWN, SKIPPED = Grade.OK, Grade.WARN, Grade.FAIL, Grade.UNKNOWN, Grade.SKIPPED
MIB = 1024.0**2
INT, TEXT = [4.0, 4.0, 0.0, 4.0], [-1.0, 4.0, 0.0, 52.0]
COMMON = {"name": "t", "bytes": 100 * MIB, "page": 8192.0, "readable": True}
BLOAT = {**COMMON, "toast": False, "rows": 1e6, "columns": [INT, TEXT], "fillfactor": 100.0}
INDEX = {**COMMON, "rows": 4e6, "columns": [[8.0, 8.0, 0.0, 8.0]], "fillfactor": 90.0, "exclusion": False}
UNSEEN = {"columns": [INT, [-1.0, 4.0, None, None]]}
GAPS = [[1.0, 1.0, 0.0, 1.0], [8.0, 8.0, 0.0, 8.0]] * 20
CHUNK = {"toast": True, "columns": [INT, INT, [-1.0, 4.0, 0.0, 2000.0]]}
CATALOG = {"name": "pg_attribute", "bytes": 80 * MIB, "rows": 1e5, "width": 400.0}
MEASURED = {"name": "t", "index": False, "toast": False, "bytes": 100 * MIB, "share": 0.4, "exclusion": False}

TABLE: list[tuple[str, list[dict[str, Any]], Grade, str]] = [
    ("table_bloat", [], OK, ""),
    ("table_bloat", [BLOAT], OK, ""),
    ("table_bloat", [{**BLOAT, "rows": 4e5}], WARN, "t"),
    ("table_bloat", [{**BLOAT, "rows": 1e4}], FAIL, "t"),
    ("table_bloat", [{**BLOAT, "rows": 1e4, "bytes": 8 * MIB}], OK, ""),
    ("table_bloat", [{**BLOAT, "rows": 5e5, "fillfactor": 50.0}], OK, ""),
    ("table_bloat", [{**BLOAT, "rows": 100 * 128 * 23, "columns": GAPS}], OK, ""),  # 40 gaps of 7 bytes
    ("table_bloat", [{**BLOAT, "rows": 100 * 128 * 4, **CHUNK}], OK, ""),
    ("table_bloat", [{**BLOAT, "rows": 100 * 128, **CHUNK}], WARN, "t"),
    ("table_bloat", [{**BLOAT, **UNSEEN}], UNKNOWN, ""),
    ("table_bloat", [{**BLOAT, **UNSEEN, "readable": False}], SKIPPED, ""),
    ("table_bloat", [{**BLOAT, **UNSEEN}, {**BLOAT, "rows": 1e4}], FAIL, "t"),
    ("index_bloat", [], OK, ""),
    ("index_bloat", [INDEX], OK, ""),
    ("index_bloat", [{**INDEX, "rows": 1e6}], WARN, "t"),
    ("index_bloat", [{**INDEX, "rows": 2.2e6, "columns": [[8.0, 8.0, 0.9, 8.0]]}], OK, ""),  # nulls have a bitmap
    ("index_bloat", [{**INDEX, "rows": 10.0, "exclusion": True}], FAIL, "t"),
    ("index_bloat", [{**INDEX, **UNSEEN}], UNKNOWN, ""),
    ("measured_bloat", [], OK, ""),
    ("measured_bloat", [{"name": None}], SKIPPED, ""),
    ("measured_bloat", [MEASURED], OK, ""),
    ("measured_bloat", [{**MEASURED, "share": None}], OK, ""),
    ("measured_bloat", [{**MEASURED, "share": 0.6}], WARN, "t"),
    ("measured_bloat", [{**MEASURED, "index": True, "share": 0.95}], FAIL, "t"),
    ("measured_bloat", [{**MEASURED, "bytes": 9 * MIB, "share": 0.6}], OK, ""),
    ("catalog_bloat", [], OK, ""),
    ("catalog_bloat", [CATALOG], OK, ""),
    ("catalog_bloat", [{**CATALOG, "rows": 1e3}], WARN, "pg_attribute"),
    ("catalog_bloat", [{**CATALOG, "rows": 2e4, "width": 2100.0}], OK, ""),
]
