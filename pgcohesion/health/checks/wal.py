"""What keeps WAL, and whether it is archived."""

from __future__ import annotations

from typing import Any

from ...view import Grade, size
from ..registry import Finding, Limits, check_of

GIB = 1024**3


@check_of(
    """SELECT slot_name AS name, coalesce(pg_wal_lsn_diff(
                  CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,
                  restart_lsn), 0)::float AS kept
         FROM pg_replication_slots WHERE NOT active ORDER BY kept DESC""",
    warn=1 * GIB,
    fail=10 * GIB,
)
def inactive_slots(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Replication slots that nobody reads: they keep WAL until the disk is full (limits in bytes)."""
    found = [
        limits.finding(
            row.kept,
            f"slot {row.name} is not read and keeps {size(row.kept)} of WAL",
            fix="start its reader again, or if it has gone for good:\nSELECT pg_drop_replication_slot({});".format(
                "'" + row.name.replace("'", "''") + "'"
            ),
            object=row.name,
        )
        for row in rows
        if limits.grade(row.kept) is not Grade.OK
    ]
    return found or limits.finding(0, "no slot keeps WAL that nobody reads")


@check_of(
    """SELECT current_setting('archive_mode') AS mode, failed_count AS failures,
              coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) AS failing,
              last_failed_wal AS file
         FROM pg_stat_archiver"""
)
def archiver(rows: list[Any], limits: Limits) -> Finding:
    """WAL archiving: while it fails there is no point-in-time recovery, and WAL piles up."""
    (row,) = rows
    if row.mode == "off" or not row.failing:
        return Finding(Grade.OK, "archiving is off" if row.mode == "off" else "archiving works")
    return Finding(
        Grade.FAIL,
        f"the last attempt, of {row.file}, failed",
        "run archive_command by hand as the server's user; its errors are in the server's log",
        str(row.file),
    )
