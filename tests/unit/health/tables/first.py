"""The first checks: (check, rows, grade, object)."""

from __future__ import annotations

from typing import Any

from pgcohesion.view import Grade

OK, WARN, FAIL = Grade.OK, Grade.WARN, Grade.FAIL
ARCHIVE = {
    "mode": "on",
    "failing": False,
    "file": None,
    "age": 5.0,
    "command": "cp %p /archive/%f",
    "library": "",
    "standby": False,
}
TABLE: list[tuple[str, list[dict[str, Any]], Grade, str]] = [
    ("inactive_slots", [{"name": "s", "kept": 10.0}], OK, ""),
    ("inactive_slots", [{"name": "it's", "kept": 2.0 * 1024**3}], WARN, "it's"),
    ("inactive_slots", [{"name": "s", "kept": 11.0 * 1024**3}], FAIL, "s"),
    ("archiver", [{**ARCHIVE, "mode": "off", "failing": True}], Grade.INFO, ""),
    ("archiver", [ARCHIVE], OK, ""),
    ("archiver", [{**ARCHIVE, "command": "/bin/true"}], FAIL, "archive_command"),
    ("archiver", [{**ARCHIVE, "command": ""}], FAIL, "archive_command"),
    ("archiver", [{**ARCHIVE, "command": "", "library": "basic_archive"}], OK, ""),
    ("archiver", [{**ARCHIVE, "command": "", "standby": True}], OK, ""),
    ("archiver", [{**ARCHIVE, "failing": True, "file": "0001"}], FAIL, "0001"),
    ("late_checkpoints", [{"ratio": 9.0, "age": 3000.0, "since": 1000.0, "standby": False}], OK, ""),
    ("late_checkpoints", [{"ratio": 9.0, "age": 3000.0, "since": 1e9, "standby": False}], WARN, ""),
    ("late_checkpoints", [{"ratio": 90.0, "age": 30000.0, "since": 1e9, "standby": False}], FAIL, ""),
    ("late_checkpoints", [{"ratio": 90.0, "age": 30000.0, "since": 1e9, "standby": True}], OK, ""),
    ("pending_restart", [], OK, ""),
    ("pending_restart", [{"name": "max_connections"}], WARN, "max_connections"),
    ("durability", [], OK, ""),
    ("durability", [{"name": "fsync"}], FAIL, "fsync"),
    ("checksum_failures", [], OK, ""),
    ("checksum_failures", [{"name": "chanuka", "failures": 2}], FAIL, "chanuka"),
    ("superusers", [], OK, ""),
    ("superusers", [{"name": 'o"dd'}], WARN, 'o"dd'),
]
