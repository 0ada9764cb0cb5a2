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
    ("late_checkpoints", [CHECKPOINT], WARN, ""),
    ("late_checkpoints", [{**CHECKPOINT, "seconds": 3500.0}], FAIL, ""),
    ("late_checkpoints", [{**CHECKPOINT, "redo": 100.0}], OK, ""),
    ("late_checkpoints", [{**CHECKPOINT, "written": 1e9 - 1e6}], OK, ""),  # a burst after a rest
    ("late_checkpoints", [{**CHECKPOINT, "seconds": 600.0}], OK, ""),
    ("late_checkpoints", [{**CHECKPOINT, "standby": True}], OK, ""),
    ("pending_restart", [], OK, ""),
    ("pending_restart", [{"name": "max_connections"}], WARN, "max_connections"),
    ("durability", [], OK, ""),
    ("durability", [{"name": "fsync"}], FAIL, "fsync"),
    ("checksum_failures", [], OK, ""),
    ("checksum_failures", [{"name": "chanuka", "failures": 2}], FAIL, "chanuka"),
    ("superusers", [], OK, ""),
    ("superusers", [{"name": 'o"dd'}], WARN, 'o"dd'),
]
