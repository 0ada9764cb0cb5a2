"""Vacuum and wraparound: (check, rows, grade, object)."""

from __future__ import annotations

from typing import Any

from pgcohesion.view import Grade

OK, WARN, FAIL = Grade.OK, Grade.WARN, Grade.FAIL
DEAD = {"name": "t", "dead": 20_000, "share": 0.1, "held": 0}
OVERDUE = {"name": "t", "dead": 5000, "due": 1000.0, "ratio": 5.0, "age": None}
WORKERS = {"busy": 3, "workers": 3, "age": 60.0, "longest": "autovacuum: VACUUM t"}
HOT = {"name": "t", "updates": 100_000.0, "hot": 90_000.0, "fillfactor": 100, "seconds": 3600.0, "age": 1e6}
OLD = {"name": "d", "ident": "d", "xid": 0.1, "mxid": 0.0, "open": True}
TABLES = {"name": "t", "toast": False, "xid": 1.0, "mxid": 0.0, "age": 2e8}

TABLE: list[tuple[str, list[dict[str, Any]], Grade, str]] = [
    ("autovacuum_off", [], OK, ""),
    ("autovacuum_off", [{"name": "autovacuum"}, {"name": "track_counts"}], FAIL, "autovacuum, track_counts"),
    ("autovacuum_off_tables", [], OK, ""),
    ("autovacuum_off_tables", [{"name": "t", "toast": True, "rows": -1.0}], WARN, "t"),
    ("dead_rows", [], OK, ""),
    ("dead_rows", [DEAD], OK, ""),
    ("dead_rows", [{**DEAD, "share": 0.2}], WARN, "t"),
    ("dead_rows", [{**DEAD, "share": 0.9, "held": 5_000_000}], FAIL, "t"),
    ("overdue_vacuums", [], OK, ""),
    ("overdue_vacuums", [{**OVERDUE, "ratio": 2.9}], OK, ""),
    ("overdue_vacuums", [OVERDUE], WARN, "t"),
    ("busy_vacuum_workers", [{**WORKERS, "busy": 2, "age": 1e6}], OK, ""),
    ("busy_vacuum_workers", [WORKERS], OK, ""),
    ("busy_vacuum_workers", [{**WORKERS, "age": 3600.0}], WARN, ""),
    ("busy_vacuum_workers", [{**WORKERS, "age": 86400.0}], FAIL, ""),
    ("hot_updates", [HOT], OK, ""),
    ("hot_updates", [{**HOT, "hot": 1000.0}], WARN, "t"),
    ("hot_updates", [{**HOT, "hot": 0.0, "fillfactor": 85}], OK, ""),
    ("hot_updates", [{**HOT, "hot": 0.0, "updates": 9999.0}], OK, ""),
    ("wraparound", [OLD], OK, "d"),
    ("wraparound", [{**OLD, "xid": 0.3}, {**OLD, "name": "e"}], WARN, "d"),
    ("wraparound", [{**OLD, "mxid": 0.7, "open": False}], FAIL, "d"),
    ("unfrozen_tables", [TABLES], OK, ""),
    ("unfrozen_tables", [{**TABLES, "xid": 1.3}], WARN, "t"),
    ("unfrozen_tables", [{**TABLES, "mxid": 4.0, "toast": True}], FAIL, "t"),
]
