"""The first checks: (check, rows, grade, object)."""

from __future__ import annotations

from typing import Any

from pgcohesion.view import Grade

OK, INFO, WARN, FAIL = Grade.OK, Grade.INFO, Grade.WARN, Grade.FAIL
UNKNOWN, SKIPPED = Grade.UNKNOWN, Grade.SKIPPED
NOW = 1795392000.0  # 2026-11-23
SLOT = {
    "name": "it's",
    "quoted": "'it''s'",
    "kind": "physical",
    "plugin": "",
    "database": "",
    "age": None,
    "two_phase": False,
    "failover": False,
}
SETTING = {"good": "on", "role": "", "database": ""}
NEWLY = {"name": "work_mem = 1 kB", "present": 1.0, "seconds": 0.0}
HERE = {
    "name": "max_connections",
    "setting": "200",
    "shown": "200",
    "quoted": "'200'",
    "restart": True,
    "hidden": False,
    "standby": False,
    "host": "",
}
THERE = {**HERE, "standby": True, "host": "db2"}
ARCHIVE = {
    "mode": "on",
    "failing": False,
    "file": None,
    "age": 5.0,
    "command": "cp %p /archive/%f",
    "library": "",
    "standby": False,
    "either": True,
}
CHECKPOINT = {
    "timeout": 300.0,
    "standby": False,
    "redo": 0.0,
    "written": 1e6,
    "since": 1e9,
    "last": 4000.0,
    "seconds": 1200.0,
    "age": None,
}
SUPERUSER = {"name": 'o"dd', "ident": '"o""dd"', "power": "", "power_ident": "", "by": "", "admin": "", "alone": True}

TABLE: list[tuple[str, list[dict[str, Any]], Grade, str]] = [
    ("inactive_slots", [], OK, ""),
    ("inactive_slots", [{**SLOT, "kept": 10.0}], INFO, "it's"),
    ("inactive_slots", [{**SLOT, "kept": 40.0 * 1024**2}], WARN, "it's"),
    ("inactive_slots", [{**SLOT, "kind": "logical", "plugin": "o'dd", "kept": 11.0 * 1024**3}], FAIL, "it's"),
    ("archiver", [{**ARCHIVE, "mode": "off", "command": "", "failing": True}], Grade.INFO, ""),
    ("archiver", [{**ARCHIVE, "mode": "off", "command": "/bin/true"}], Grade.INFO, ""),
    ("archiver", [{**ARCHIVE, "mode": "off"}], WARN, "archive_mode"),
    ("archiver", [{**ARCHIVE, "mode": "off", "command": "", "library": "basic_archive"}], WARN, "archive_mode"),
    ("archiver", [ARCHIVE], OK, ""),
    ("archiver", [{**ARCHIVE, "command": "/bin/true"}], FAIL, "archive_command"),
    *[
        ("archiver", [{**ARCHIVE, "command": command}], FAIL, "archive_command")
        for command in (
            *("true %p %f", "true || cp %p /b/%f", "echo %p", "cd .", "exit 0", "# cp %p /b/%f", "sh -c true"),
            *("cp %p /dev/null", "cat %p > /dev/null"),
        )
    ],
    *[
        ("archiver", [{**ARCHIVE, "command": command}], OK, "")
        for command in (
            *("echo %f >> /l && cp %p /b/%f", "true; cp %p /b/%f", "gzip < %p > /b/%f.gz 2> /dev/null"),
            *("cp pg_wal/%f /b/", "pgbackrest archive-push %p > /dev/null"),
        )
    ],
    ("archiver", [{**ARCHIVE, "command": "false", "failing": True, "file": "0001"}], FAIL, "0001"),
    ("archiver", [{**ARCHIVE, "library": "basic_archive"}], FAIL, "archive_library"),
    ("archiver", [{**ARCHIVE, "library": "basic_archive", "either": False}], OK, ""),
    ("archiver", [{**ARCHIVE, "command": ""}], FAIL, "archive_command"),
    ("archiver", [{**ARCHIVE, "command": "", "library": "basic_archive"}], OK, ""),
    ("archiver", [{**ARCHIVE, "command": "", "standby": True}], OK, ""),
    ("archiver", [{**ARCHIVE, "failing": True, "file": "0001"}], FAIL, "0001"),
    ("late_checkpoints", [CHECKPOINT], WARN, ""),
    ("late_checkpoints", [{**CHECKPOINT, "seconds": 3500.0}], FAIL, ""),
    ("late_checkpoints", [{**CHECKPOINT, "redo": 100.0}], OK, ""),
    ("late_checkpoints", [{**CHECKPOINT, "written": 1e9 - 1e6}], OK, ""),  # a burst after a rest
    ("late_checkpoints", [{**CHECKPOINT, "seconds": 600.0}], OK, ""),
    ("late_checkpoints", [{**CHECKPOINT, "standby": True}], OK, ""),
    ("pending_restart", [], OK, ""),
    ("pending_restart", [{"name": "max_connections", "running": "100", "quoted": "'100'"}], WARN, "max_connections"),
    ("durability", [], OK, ""),
    ("durability", [{**SETTING, "name": "fsync"}], FAIL, "fsync"),
    ("durability", [{**SETTING, "name": "synchronous_commit"}], WARN, "synchronous_commit"),
    (
        "durability",
        [{**SETTING, "name": "zero_damaged_pages", "good": "off", "role": "app"}],
        FAIL,
        "zero_damaged_pages",
    ),
    ("version", [{"version": "18.1", "major": 18, "now": NOW}], OK, "18"),
    ("version", [{"version": "99.1", "major": 99, "now": NOW}], OK, ""),
    ("version", [{"version": "14.20", "major": 14, "now": NOW}], WARN, "14"),
    ("version", [{"version": "12.22", "major": 12, "now": NOW}], FAIL, "12"),
    ("version", [{"version": "15.15", "major": 15, "now": NOW + 200 * 86400.0}], INFO, "15"),
    ("version", [{"version": "19beta1", "major": 19, "now": NOW}], WARN, "19beta1"),
    ("planner", [], OK, ""),
    ("planner", [{**SETTING, "name": "enable_indexscan", "other": ""}], WARN, "enable_indexscan"),
    ("planner", [{**SETTING, "name": "random_page_cost", "other": "4"}], WARN, "random_page_cost"),
    ("planner", [{**SETTING, "name": "effective_cache_size", "other": "1GB"}], WARN, "effective_cache_size"),
    ("unchecked_keys", [], OK, ""),
    ("unchecked_keys", [{"role": "app", "database": ""}], WARN, "session_replication_role"),
    ("untracked", [], OK, ""),
    ("untracked", [{**SETTING, "name": "track_activities", "sessions": 1}], WARN, "track_activities"),
    ("untracked", [{**SETTING, "name": "track_counts", "role": "ALL", "sessions": 0}], WARN, "track_counts"),
    ("settings_differ", [HERE, THERE], OK, ""),
    ("settings_differ", [HERE, {**THERE, "setting": "90"}], WARN, "max_connections"),
    ("settings_differ", [HERE, {**THERE, "setting": "90", "standby": False}], INFO, "max_connections"),
    ("settings_differ", [HERE, {**THERE, "setting": "300"}], INFO, "max_connections"),
    ("settings_differ", [{**HERE, "hidden": True}, {**THERE, "hidden": True, "setting": "9"}], INFO, "max_connections"),
    ("settings_differ", [THERE], UNKNOWN, ""),
    ("settings_changed", [{"name": "work_mem = 4096 kB", "present": 1.0, "seconds": 0.0}], UNKNOWN, ""),
    ("settings_changed", [{"name": "work_mem = 4096 kB", "present": 0.0, "seconds": 60.0}], OK, ""),
    ("settings_changed", [{"name": "fsync = on", "present": 0.0, "seconds": 60.0}, NEWLY], INFO, "work_mem"),
    ("broken_databases", [], OK, ""),
    ("broken_databases", [{"name": "o dd", "ident": '"o dd"'}], FAIL, "o dd"),
    ("damaged_indexes", [{"name": None}], SKIPPED, ""),
    ("damaged_indexes", [{"name": "12"}], OK, ""),
    ("damaged_tables", [{"name": None}], SKIPPED, ""),
    ("damaged_tables", [], OK, ""),
    ("damaged_tables", [{"name": "public.t", "faults": 2, "first": "block 0: xmin"}], FAIL, "public.t"),
    ("checksum_failures", [], OK, ""),
    ("checksum_failures", [{"name": "chanuka", "failures": 2, "age": 5.0}], FAIL, "chanuka"),
    ("superusers", [], OK, ""),
    ("superusers", [SUPERUSER], WARN, 'o"dd'),
    ("superusers", [{**SUPERUSER, "power": "postgres", "power_ident": "postgres"}], WARN, 'o"dd'),
    ("superusers", [{**SUPERUSER, "power": "dba", "power_ident": "dba", "alone": False}], Grade.INFO, 'o"dd'),
]
