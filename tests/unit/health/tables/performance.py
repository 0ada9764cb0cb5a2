"""Statistics, bloat and counters: (check, rows, grade, object)."""

from __future__ import annotations

from typing import Any

from pgcohesion.view import Grade

OK, WARN, FAIL, INFO, UNKNOWN = Grade.OK, Grade.WARN, Grade.FAIL, Grade.INFO, Grade.UNKNOWN
MIB = 1024.0**2
BLOAT = {
    "name": "t",
    "full": "s.t",
    "bytes": 100 * MIB,
    "rows": 1e6,
    "width": 60.0,
    "fillfactor": 100.0,
    "page": 8192.0,
}
DEADLOCKS = {"name": "d", "deadlocks": 0.0, "age": 1e6, "seconds": 1e6}
WORK = {"name": "d", "commits": 1e6, "rollbacks": 0.0, "age": 1e6, "seconds": 3600.0}
TEMP = {"name": "d", "bytes": 0.0, "files": 0.0, "work_mem": "4MB", "age": 1e6, "seconds": 3600.0}
CACHE = {"name": "d", "hits": 1e6, "reads": 0.0, "buffers": "128MB", "up": 1e6, "age": 1e6, "seconds": 3600.0}
CHURN = {"name": "d", "sessions": 100.0, "abandoned": 0.0, "fatal": 0.0, "killed": 0.0, "age": 1e6, "seconds": 3600.0}
CONFLICTS = {"name": "d", "conflicts": 5.0, "standby": True, "age": 1e6, "seconds": 3600.0}
STATEMENTS = {"loaded": True, "made": True, "available": True}
YOUNG = {"age": 100.0, "seconds": 100.0}

TABLE: list[tuple[str, list[dict[str, Any]], Grade, str]] = [
    ("never_analyzed", [], OK, ""),
    ("never_analyzed", [{"name": "t", "rows": 9999, "partitioned": False}], OK, ""),
    ("never_analyzed", [{"name": "t", "rows": 10_000, "partitioned": True}], WARN, "t"),
    ("stale_statistics", [], OK, ""),
    ("stale_statistics", [{"name": "t", "changed": 20_000, "share": 0.4, "age": 60.0}], OK, ""),
    ("stale_statistics", [{"name": "t", "changed": 20_000, "share": 0.5, "age": 60.0}], WARN, "t"),
    ("counters_reset", [], OK, ""),
    ("counters_reset", [{"name": "d", "age": 60.0}], INFO, "d"),
    ("table_bloat", [], OK, ""),
    ("table_bloat", [BLOAT], OK, ""),
    ("table_bloat", [{**BLOAT, "rows": 4e5}], WARN, "t"),
    ("table_bloat", [{**BLOAT, "rows": 1e4}], FAIL, "t"),
    ("table_bloat", [{**BLOAT, "rows": 1e4, "bytes": 8 * MIB}], OK, ""),
    ("table_bloat", [{**BLOAT, "rows": 5e5, "fillfactor": 50.0}], OK, ""),
    ("table_bloat", [{**BLOAT, "width": None}], UNKNOWN, ""),
    ("index_bloat", [], OK, ""),
    ("index_bloat", [{**BLOAT, "rows": 4e6, "width": 8.0, "fillfactor": 90.0}], OK, ""),
    ("index_bloat", [{**BLOAT, "rows": 1e6, "width": 8.0, "fillfactor": 90.0}], WARN, "t"),
    ("index_bloat", [{**BLOAT, "rows": 10.0, "width": 8.0, "fillfactor": 90.0}], FAIL, "t"),
    ("index_bloat", [{**BLOAT, "width": None}], UNKNOWN, ""),
    ("catalog_bloat", [], OK, ""),
    ("catalog_bloat", [{"name": "pg_attribute", "bytes": 80 * MIB, "rows": 1e5}], OK, ""),
    ("catalog_bloat", [{"name": "pg_attribute", "bytes": 80 * MIB, "rows": 1e3}], WARN, "pg_attribute"),
    ("deadlocks", [DEADLOCKS], OK, ""),
    ("deadlocks", [{**DEADLOCKS, **YOUNG}], UNKNOWN, ""),
    ("deadlocks", [{**DEADLOCKS, **YOUNG, "deadlocks": 1.0}], WARN, "d"),
    ("deadlocks", [{**DEADLOCKS, "deadlocks": 100.0, "seconds": 60.0}], FAIL, "d"),
    ("deadlocks", [{**DEADLOCKS, "deadlocks": 100.0}], OK, ""),
    ("rollbacks", [WORK], OK, ""),
    ("rollbacks", [{**WORK, **YOUNG}], UNKNOWN, ""),
    ("rollbacks", [{**WORK, "commits": 10.0, "rollbacks": 500.0}], OK, ""),
    ("rollbacks", [{**WORK, "commits": 1000.0, "rollbacks": 300.0}], WARN, "d"),
    ("rollbacks", [{**WORK, "commits": 1000.0, "rollbacks": 3000.0}], FAIL, "d"),
    ("temp_files", [TEMP], OK, ""),
    ("temp_files", [{**TEMP, **YOUNG}], UNKNOWN, ""),
    ("temp_files", [{**TEMP, "bytes": 200 * MIB}], WARN, "d"),
    ("temp_files", [{**TEMP, "bytes": 200e3 * MIB}], FAIL, "d"),
    ("cache_misses", [CACHE], OK, ""),
    ("cache_misses", [{**CACHE, **YOUNG}], UNKNOWN, ""),
    ("cache_misses", [{**CACHE, "reads": 5e5}], WARN, "d"),
    ("cache_misses", [{**CACHE, "hits": 0.0, "reads": 9999.0}], OK, ""),
    ("cache_misses", [{**CACHE, "reads": 5e5, "up": 60.0}], OK, ""),
    ("connection_churn", [CHURN], OK, ""),
    ("connection_churn", [{**CHURN, **YOUNG}], UNKNOWN, ""),
    ("connection_churn", [{**CHURN, "sessions": 36_000.0}], WARN, "d"),
    ("lost_sessions", [CHURN], OK, ""),
    ("lost_sessions", [{**CHURN, "killed": 19.0, "sessions": 19.0}], OK, ""),
    ("lost_sessions", [{**CHURN, "abandoned": 30.0}], WARN, "d"),
    ("recovery_conflicts", [{**CONFLICTS, "standby": False}], OK, ""),
    ("recovery_conflicts", [CONFLICTS], WARN, "d"),
    ("recovery_conflicts", [{**CONFLICTS, "conflicts": 0.0}], OK, ""),
    ("statement_statistics", [STATEMENTS], OK, ""),
    ("statement_statistics", [{**STATEMENTS, "made": False}], INFO, ""),
    ("statement_statistics", [{**STATEMENTS, "loaded": False}], INFO, ""),
    ("statement_statistics", [{**STATEMENTS, "loaded": False, "available": False}], INFO, ""),
]
