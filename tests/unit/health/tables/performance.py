"""What counters gain: (check, rows, grade, object)."""

from __future__ import annotations

from typing import Any

from pgcohesion.view import Grade

OK, WARN, FAIL, INFO = Grade.OK, Grade.WARN, Grade.FAIL, Grade.INFO
UNKNOWN = Grade.UNKNOWN
MIB = 1024.0**2
DEADLOCKS = {"name": "d", "deadlocks": 0.0, "age": 1e6, "seconds": 1e6}
WORK = {"name": "d", "commits": 1e6, "rollbacks": 0.0, "age": 1e6, "seconds": 3600.0}
TEMP = {"name": "d", "bytes": 0.0, "files": 0.0, "work_mem": "4MB", "worst": None, "age": 1e6, "seconds": 3600.0}
CACHE = {
    "name": "d",
    "hits": 1e6,
    "reads": 0.0,
    "buffers": "128MB",
    "dumped": False,
    "pages": 16384.0,
    "up": 1e6,
    "age": 1e6,
    "seconds": 3600.0,
}
CHURN = {"name": "d", "sessions": 100.0, "abandoned": 0.0, "fatal": 0.0, "killed": 0.0, "age": 1e6, "seconds": 3600.0}
CONFLICTS = {"name": "d", "conflicts": 5.0, "standby": True, "age": 1e6, "seconds": 3600.0}
STATEMENTS = {
    "loaded": True,
    "made": True,
    "available": True,
    "most": "5000",
    "others": None,
    "evicted": 0.0,
    "age": 1e6,
    "seconds": 3600.0,
}
SLOW = {
    "name": "1 d r",
    "id": "1",
    "database": "d",
    "calls": 1000.0,
    "ms": 50_000.0,
    "total": 1e6,
    "query": "SELECT\n 1",
    "age": 1e6,
    "seconds": 3600.0,
}
READS = {"name": "d", "reads": 1e5, "ms": 1000.0, "timed": True, "age": 1e6, "seconds": 3600.0}
SLRU = {"name": "subtransaction", "hits": 1e6, "reads": 0.0, "age": 1e6, "seconds": 3600.0}
YOUNG = {"age": 100.0, "seconds": 100.0}

TABLE: list[tuple[str, list[dict[str, Any]], Grade, str]] = [
    ("deadlocks", [DEADLOCKS], OK, ""),
    ("deadlocks", [{**DEADLOCKS, **YOUNG}], UNKNOWN, ""),
    ("deadlocks", [{**DEADLOCKS, **YOUNG, "deadlocks": 1.0}], WARN, "d"),
    ("deadlocks", [{**DEADLOCKS, "deadlocks": 100.0, "seconds": 60.0}], FAIL, "d"),
    ("deadlocks", [{**DEADLOCKS, "deadlocks": 100.0}], OK, ""),
    ("rollbacks", [WORK], OK, ""),
    ("rollbacks", [{**WORK, **YOUNG}], UNKNOWN, ""),
    ("rollbacks", [{**WORK, "commits": 10.0, "rollbacks": 480.0}], OK, ""),
    ("rollbacks", [{**WORK, "commits": 1000.0, "rollbacks": 300.0}], WARN, "d"),
    ("rollbacks", [{**WORK, "commits": 1000.0, "rollbacks": 3000.0}], FAIL, "d"),
    ("temp_files", [TEMP], OK, ""),
    ("temp_files", [{**TEMP, **YOUNG}], UNKNOWN, ""),
    ("temp_files", [{**TEMP, "bytes": 200 * MIB}], WARN, "d"),
    ("temp_files", [{**TEMP, "bytes": 200e3 * MIB}], FAIL, "d"),
    ("temp_files", [{**TEMP, "bytes": 200 * MIB, "worst": "SELECT " + "long " * 50}], WARN, "d"),
    ("cache_misses", [CACHE], OK, ""),
    ("cache_misses", [{**CACHE, **YOUNG}], UNKNOWN, ""),
    ("cache_misses", [{**CACHE, "reads": 5e5}], WARN, "d"),
    ("cache_misses", [{**CACHE, "reads": 5e5, "dumped": True}], OK, ""),
    ("cache_misses", [{**CACHE, "hits": 0.0, "reads": 9999.0}], OK, ""),
    ("cache_misses", [{**CACHE, "reads": 3e4, "hits": 0.0, "up": 60.0}], OK, ""),
    ("cache_misses", [{**CACHE, "reads": 5e5, "up": 60.0}], WARN, "d"),
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
    ("statement_statistics", [{**STATEMENTS, "evicted": 12.0}], INFO, ""),
    ("statement_statistics", [{**STATEMENTS, "made": False}], INFO, ""),
    ("statement_statistics", [{**STATEMENTS, "loaded": False}], INFO, ""),
    ("statement_statistics", [{**STATEMENTS, "loaded": False, "available": False}], INFO, ""),
    ("slow_statements", [{"name": None}], UNKNOWN, ""),
    ("slow_statements", [SLOW], OK, ""),
    ("slow_statements", [{**SLOW, **YOUNG}], UNKNOWN, ""),
    ("slow_statements", [{**SLOW, "ms": 5e5}], WARN, "1"),
    ("slow_statements", [{**SLOW, "ms": 5e5, **YOUNG}], WARN, "1"),
    ("slow_statements", [{**SLOW, "ms": 5e5, "query": None}], WARN, "1"),
    ("slow_statements", [{**SLOW, "ms": 5e5, "query": "SELECT FROM pg_stat_activity"}], OK, ""),
    ("slow_statements", [{**SLOW, "ms": 5e5, "calls": 99.0}], OK, ""),
    ("slow_statements", [{**SLOW, "ms": 5e5, "calls": 1e5}], OK, ""),
    ("slow_reads", [READS], OK, ""),
    ("slow_reads", [{**READS, **YOUNG}], UNKNOWN, ""),
    ("slow_reads", [{**READS, "timed": False}], INFO, ""),
    ("slow_reads", [{**READS, "ms": 2e6}], WARN, "d"),
    ("slow_reads", [{**READS, "ms": 6e6}], FAIL, "d"),
    ("slow_reads", [{**READS, "ms": 2e6, "reads": 9999.0}], OK, ""),
    ("slru_misses", [SLRU], OK, ""),
    ("slru_misses", [{**SLRU, **YOUNG}], UNKNOWN, ""),
    ("slru_misses", [{**SLRU, "reads": 9999.0, "hits": 0.0}], OK, ""),
    ("slru_misses", [{**SLRU, "reads": 5e5}], INFO, "subtransaction"),
]
