"""The first checks: (check, rows, grade, object)."""

from __future__ import annotations

from typing import Any

from pgcohesion.view import Grade

OK, WARN, FAIL = Grade.OK, Grade.WARN, Grade.FAIL
TABLE: list[tuple[str, list[dict[str, Any]], Grade, str]] = [
    ("inactive_slots", [{"name": "s", "kept": 10.0}], OK, ""),
    ("inactive_slots", [{"name": "it's", "kept": 2.0 * 1024**3}], WARN, "it's"),
    ("inactive_slots", [{"name": "s", "kept": 11.0 * 1024**3}], FAIL, "s"),
    ("archiver", [{"mode": "off", "failures": 3, "failing": True, "file": None}], OK, ""),
    ("archiver", [{"mode": "on", "failures": 3, "failing": False, "file": "x"}], OK, ""),
    ("archiver", [{"mode": "on", "failures": 3, "failing": True, "file": "0001"}], FAIL, "0001"),
    ("pending_restart", [], OK, ""),
    ("pending_restart", [{"name": "max_connections"}], WARN, "max_connections"),
    ("durability", [], OK, ""),
    ("durability", [{"name": "fsync"}], FAIL, "fsync"),
    ("checksum_failures", [], OK, ""),
    ("checksum_failures", [{"name": "chanuka", "failures": 2}], FAIL, "chanuka"),
    ("superusers", [], OK, ""),
    ("superusers", [{"name": 'o"dd'}], WARN, 'o"dd'),
    ("invalid_indexes", [], OK, ""),
    ("invalid_indexes", [{"name": "i"}], WARN, "i"),
    ("unindexed_foreign_keys", [{"name": "t", "constraint": "c", "bytes": 9.0, "columns": "a"}], OK, ""),
    ("unindexed_foreign_keys", [{"name": "t", "constraint": "c", "bytes": 2e7, "columns": "a"}], WARN, "t"),
    ("sequences", [], OK, ""),
    ("sequences", [{"name": "s", "owner": "t", "column": "id", "used": 0.5}], OK, ""),
    ("sequences", [{"name": "s", "owner": "t", "column": "id", "used": 0.8}], WARN, "s"),
    ("sequences", [{"name": "s", "owner": "t", "column": "id", "used": 0.96}], FAIL, "s"),
]
