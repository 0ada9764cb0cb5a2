"""Vacuum: (check, rows, grade, object)."""

from __future__ import annotations

from typing import Any

from pgcohesion.view import Grade

OK, WARN, FAIL = Grade.OK, Grade.WARN, Grade.FAIL
FREE = {"who": None, "held": None, "held_for": None, "soon": False}
HELD = {"who": "process 7", "held": 5_000_000, "held_for": 600.0, "soon": False}
PARAMETER = {"name": "t", "toast": False, "option": "autovacuum_vacuum_threshold", "value": "2e9", "rows": 5.0}
DEAD = {"name": "t", "toast": False, "dead": 20_000, "share": 0.1, **FREE}
OVERDUE = {"name": "t", "dead": 5000, "live": 100, "due": 1000.0, "ratio": 5.0, "age": None, **FREE}
PACE = {"cost_limit": 200, "paced": True}
WORKERS = {"busy": 3, "workers": 3, "age": 60.0, "longest": "autovacuum: VACUUM t", **PACE}
MEMORY = {"memory": 64 << 20, **PACE}
LONG = {**MEMORY, "name": "t", "pid": 7, "phase": "scanning heap", "passes": 0, "done": 0.5, "age": 60.0, "auto": True}
HOT = {
    "name": "t",
    "updates": 100_000.0,
    "hot": 90_000.0,
    "moved": 5000.0,
    "told": True,
    "fillfactor": 100,
    "seconds": 3600.0,
    "age": 1e6,
}
TIMID = {"name": "autovacuum_vacuum_scale_factor", "value": 5.0, "shown": "5", "restart": False}
AGED = {"name": "autovacuum_freeze_max_age", "value": 2e9, "shown": "2000000000", "restart": True}

TABLE: list[tuple[str, list[dict[str, Any]], Grade, str]] = [
    ("autovacuum_off", [], OK, ""),
    ("autovacuum_off", [{"name": "autovacuum"}, {"name": "track_counts"}], FAIL, "autovacuum, track_counts"),
    ("timid_autovacuum", [{**TIMID, "value": 0.2}], OK, ""),
    ("timid_autovacuum", [TIMID], WARN, "autovacuum_vacuum_scale_factor"),
    ("timid_autovacuum", [{**TIMID, "name": "autovacuum_max_workers", "value": 1e9}], OK, ""),
    ("timid_autovacuum", [{**TIMID, "name": "autovacuum_naptime", "value": 7200.0}], WARN, "autovacuum_naptime"),
    ("timid_autovacuum", [{**TIMID, "name": "vacuum_cost_limit", "value": 200.0}], OK, ""),
    ("timid_autovacuum", [{**TIMID, "name": "vacuum_cost_limit", "value": 1.0}], WARN, "vacuum_cost_limit"),
    ("timid_autovacuum", [AGED], WARN, "autovacuum_freeze_max_age"),
    ("autovacuum_off_tables", [], OK, ""),
    ("autovacuum_off_tables", [{"name": "t", "toast": True, "rows": -1.0}], WARN, "t"),
    ("timid_tables", [], OK, ""),
    ("timid_tables", [{**PARAMETER, "toast": True}], WARN, "t"),
    ("timid_tables", [PARAMETER, {**PARAMETER, "option": "autovacuum_vacuum_scale_factor"}], WARN, "t"),
    ("dead_rows", [], OK, ""),
    ("dead_rows", [{**DEAD, "share": 0.5, "toast": True}], WARN, "t"),
    ("dead_rows", [DEAD], OK, ""),
    ("dead_rows", [{**DEAD, "share": 0.2}], WARN, "t"),
    ("dead_rows", [{**DEAD, "share": 0.9, **HELD}], FAIL, "t"),
    ("dead_rows", [{**DEAD, "share": 0.9, **HELD, "held_for": None}], FAIL, "t"),
    ("dead_rows", [{**DEAD, "share": 0.7, "soon": True}], OK, ""),
    ("dead_rows", [{**DEAD, **HELD, "share": 0.7, "soon": True}], FAIL, "t"),
    ("overdue_vacuums", [{**OVERDUE, "soon": True}], OK, ""),
    ("overdue_vacuums", [], OK, ""),
    ("overdue_vacuums", [{**OVERDUE, "ratio": 2.9}], OK, ""),
    ("overdue_vacuums", [OVERDUE], WARN, "t"),
    ("overdue_vacuums", [{**OVERDUE, **HELD, "age": 60.0}], WARN, "t"),
    ("overdue_vacuums", [{**OVERDUE, "dead": 20_000, "live": 20_000}], OK, ""),  # dead_rows tells
    ("overdue_vacuums", [{**OVERDUE, "dead": 20_000, "live": 200_000}], WARN, "t"),
    ("busy_vacuum_workers", [{**WORKERS, "busy": 2, "age": 1e6}], OK, ""),
    ("busy_vacuum_workers", [WORKERS], OK, ""),
    ("busy_vacuum_workers", [{**WORKERS, "age": 3600.0}], WARN, ""),
    ("busy_vacuum_workers", [{**WORKERS, "age": 86400.0}], FAIL, ""),
    ("long_vacuums", [], OK, ""),
    ("long_vacuums", [LONG], OK, ""),
    ("long_vacuums", [{**LONG, "age": 21600.0, "passes": 3}], WARN, "t"),
    ("long_vacuums", [{**LONG, "age": 86400.0, "auto": False}], FAIL, "t"),
    ("hot_updates", [HOT], OK, ""),
    ("hot_updates", [{**HOT, "hot": 1000.0, "moved": 80_000.0}], WARN, "t"),
    ("hot_updates", [{**HOT, "hot": 1000.0}], WARN, "t"),
    ("hot_updates", [{**HOT, "hot": 1000.0, "fillfactor": 50}], WARN, "t"),  # an indexed column
    ("hot_updates", [{**HOT, "hot": 0.0, "told": False, "moved": 0.0}], WARN, "t"),
    ("hot_updates", [{**HOT, "hot": 0.0, "moved": 80_000.0, "fillfactor": 85}], OK, ""),
    ("hot_updates", [{**HOT, "hot": 0.0, "updates": 9999.0}], OK, ""),
]
