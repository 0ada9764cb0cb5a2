"""What keeps WAL, and whether it is archived."""

from __future__ import annotations

import re
from typing import Any

from ...redact import masked
from ...view import Grade, count, size, span
from ..altering import alter_system
from ..registry import YOUNG, Finding, Limits, check_of, most
from ..sessions import remark

MIB, GIB = 1024**2, 1024**3
ARCHIVING = "-- with pgBackRest, for one:\n" + alter_system(
    "archive_command = 'pgbackrest --stanza=main archive-push %p'"
)
LONG = 600.0
"""Seconds for which a WAL file waits for an archiver that works only when it is far behind."""


@check_of(
    """SELECT slot_name AS name, quote_literal(slot_name) AS quoted, slot_type AS kind, coalesce(plugin, '') AS plugin,
              coalesce(database, '') AS database, two_phase,
              coalesce((to_jsonb(s) ->> 'failover')::bool, false) AS failover, coalesce(pg_wal_lsn_diff(
                  CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,
                  restart_lsn), 0)::float AS kept,
              extract(epoch FROM now() - (to_jsonb(s) ->> 'inactive_since')::timestamptz)::float AS age
         FROM pg_replication_slots s
        WHERE NOT active AND restart_lsn IS NOT NULL AND coalesce(wal_status, '') <> 'lost'
          AND (to_jsonb(s) ->> 'synced') IS DISTINCT FROM 'true'  -- a copy, which its primary's slot moves on
        ORDER BY kept DESC""",
    warn=32 * MIB,
    fail=10 * GIB,
)
def inactive_slots(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Replication slots that nobody reads: they keep WAL until the disk is full (limits in bytes).

    The standby or subscriber behind it is down, or has gone for good and was forgotten. max_slot_wal_keep_size says
    how much a slot may keep.
    """
    found = []
    for row in rows:
        since = "" if row.age is None else f" for {span(row.age)}"
        fix = (
            "-- start its reader again; or, if that has gone for good:\n"
            f"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots\n"
            f" WHERE slot_name = {row.quoted} AND NOT active;"
        )
        undo = f"SELECT pg_create_physical_replication_slot({row.quoted}, true);  -- keeps WAL from now on"  # noqa: S608  (quoted there)
        if row.kind == "logical":
            made = [row.quoted, "'" + row.plugin.replace("'", "''") + "'"]
            if row.two_phase or row.failover:
                made += ["false", str(row.two_phase).lower(), *(["true"] if row.failover else [])]
            undo = f"SELECT pg_create_logical_replication_slot({', '.join(made)});  -- in {remark(row.database)}"
        text = f"slot {row.name} was not read{since} and keeps {size(row.kept)} of WAL"
        found.append(limits.finding(row.kept, text, fix=fix, object=row.name, undo=undo, note=0))
    return most(found) or Finding(Grade.OK, "no slot keeps WAL that nobody reads", value=0)


@check_of(
    """SELECT current_setting('archive_mode') AS mode, last_failed_wal AS file,
              coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) AS failing,
              extract(epoch FROM now() - last_failed_time)::float AS age,
              trim(CASE current_setting('archive_mode')  -- while it is off, the other is shown as "(disabled)"
                   WHEN 'off' THEN (SELECT reset_val FROM pg_settings WHERE name = 'archive_command')
                   ELSE current_setting('archive_command') END) AS command,
              coalesce(current_setting('archive_library', true), '') AS library, pg_is_in_recovery() AS standby,
              current_setting('server_version_num')::int >= 160000 AS either
         FROM pg_stat_archiver""",
    cost="quick",
)
def archiver(rows: list[Any], limits: Limits) -> Finding:
    """WAL archiving: while it fails there is no point-in-time recovery, and WAL piles up."""
    (row,) = rows
    if row.mode == "off":
        if row.library or (row.command and not _copies_nothing(row.command)):
            name = "archive_library" if row.library else "archive_command"
            text = f"{name} is set, and archive_mode is off: no WAL is archived"
            return Finding(Grade.WARN, text, "ALTER SYSTEM SET archive_mode = on;  -- with a restart", "archive_mode")
        fix = f"ALTER SYSTEM SET archive_mode = on;  -- with a restart\n{ARCHIVING}"
        return Finding(Grade.INFO, "archiving is off: what is lost since the last backup cannot be had back", fix)
    if row.standby and row.mode == "on":
        return Finding(Grade.OK, "a standby archives nothing while it is one")
    wrong = _set_wrong(row)
    if wrong:
        return wrong
    if not row.failing:
        return Finding(Grade.OK, "archiving works")
    return Finding(
        Grade.FAIL,
        f"the last attempt, of {row.file} {span(row.age)} ago, failed",
        "-- run it by hand as the server's user; its errors are in the server's log:\nSHOW archive_command;",
        str(row.file),
    )


def _set_wrong(row: Any) -> Finding | None:
    """Return what the settings alone tell: with them nothing is ever archived."""
    about = "archive_command"
    if row.library and row.command and row.either:
        about, fix = "archive_library", alter_system("archive_command = ''")
        text = f"archive_command and archive_library ({row.library}) are both set: the archiver refuses to start"
    elif not row.library and row.command in ("", "(disabled)"):
        text, fix = "archive_mode is on and archive_command is empty: WAL only piles up", ARCHIVING
    elif not row.library and not row.failing and _copies_nothing(row.command):
        text = f"archive_command is `{masked(row.command)}`: it says that it has archived, and does not"
        fix = "-- name a command that copies %p to another place"
    else:
        return None
    return Finding(Grade.FAIL, text, fix, about)


def _copies_nothing(command: str) -> bool:
    words = command.split()
    program, more = words[0].rpartition("/")[2], re.search(r"&&|;|(?<!\|)\|(?!\|)", command)
    return (
        command.startswith("#")
        or not re.search("%[pf]", command)
        or (program in ("true", ":", "echo") and not more)
        or (program in ("cp", "cat", "dd", "mv") and "/dev/null" in command and "%f" not in command)
    )


@check_of(
    """SELECT slot_name AS name, quote_literal(slot_name) AS literal, wal_status AS status, active,
              to_jsonb(s) ->> 'invalidation_reason' AS reason,
              current_setting('max_slot_wal_keep_size') AS allowed,
              2 * (SELECT setting::bigint FROM pg_settings WHERE name = 'max_slot_wal_keep_size') AS twice
         FROM pg_replication_slots s
        WHERE wal_status IN ('unreserved', 'lost') AND (to_jsonb(s) ->> 'synced') IS DISTINCT FROM 'true'
        ORDER BY wal_status, slot_name""",
    cost="quick",
)
def lost_slots(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Replication slots whose WAL is going, or has gone: max_slot_wal_keep_size was passed.

    The reader of a lost slot can never go on: it has to be built anew. One that is unreserved can still be saved.
    """
    found = []
    for row in rows:
        if row.status == "lost":
            why = f" ({row.reason})" if row.reason else ""
            text = f"slot {row.name} has lost WAL that its reader needs{why}"
            fix = (
                f"-- its reader has to be built anew, with a new slot\nSELECT pg_drop_replication_slot({row.literal});"
            )
            found.append(Finding(Grade.FAIL, text, fix, row.name))
        else:
            text = f"slot {row.name} loses its WAL at one of the next checkpoints"
            fix = f"-- now {row.allowed}; as much as the disk holds\n" + alter_system(
                f"max_slot_wal_keep_size = '{row.twice}MB'"
            )
            found.append(Finding(Grade.WARN, text, fix, row.name))
    return most(found) or Finding(Grade.OK, "every slot has its WAL")


@check_of(
    """SELECT slot_name AS name, quote_literal(slot_name) AS literal, active, slot_type = 'logical' AS logical,
              greatest(age(xmin), age(catalog_xmin))::float AS age, age(xmin) IS NOT NULL AS rows_too
         FROM pg_replication_slots s
        WHERE (xmin IS NOT NULL OR catalog_xmin IS NOT NULL) AND (to_jsonb(s) ->> 'synced') IS DISTINCT FROM 'true'
        ORDER BY age DESC""",
    warn=1_000_000,
    fail=10_000_000,
    cost="quick",
)
def slot_xmin(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Replication slots that hold back vacuum (limits in transactions).

    No row that was deleted since is removed, in any table or in the catalogue, and wraparound comes nearer.
    """
    found = []
    for row in rows:
        if not row.active:
            fix = (
                "-- start its reader again, or if it has gone for good:\n"
                f"SELECT pg_drop_replication_slot({row.literal});"
            )
        elif row.logical:
            fix = "-- its reader confirms nothing: look for an old transaction there, or restart it"
        else:
            fix = "-- on the standby: end its oldest query, or ALTER SYSTEM SET hot_standby_feedback = off;"
        what = "rows" if row.rows_too else "rows of the catalogue"
        text = f"slot {row.name} holds back vacuum: dead {what} of {row.age:,.0f} transactions stay"
        found.append(limits.finding(row.age, text, fix=fix, object=row.name))
    return most([one for one in found if one.grade is not Grade.OK]) or Finding(Grade.OK, "no slot holds back vacuum")


@check_of(
    """SELECT current_setting('archive_mode') AS mode, pg_is_in_recovery() AS standby, count(*)::int AS files,
              count(*) * pg_size_bytes(current_setting('wal_segment_size'))::float AS bytes,
              coalesce(extract(epoch FROM now() - greatest(min(modification), pg_postmaster_start_time())), 0)::float
                  AS waits
         FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'""",
    warn=20,
    fail=200,
    guard="has_function_privilege('pg_ls_archive_statusdir()', 'EXECUTE')",
    needs="pg_monitor: GRANT pg_monitor TO <role>;",
)
def archive_backlog(rows: list[Any], limits: Limits) -> Finding:
    """WAL files that wait to be archived (limits in files; one that waits for ten minutes warns, too).

    The backup ends before them, and pg_wal grows until archive_command is as fast as the server writes.
    """
    (row,) = rows
    if row.mode == "off":
        return Finding(Grade.OK, "archiving is off")
    if row.standby and row.mode == "on":
        return Finding(Grade.OK, "a standby archives nothing while it is one")
    text = f"{count(row.files, 'WAL file')} ({size(row.bytes)}) to be archived"
    if row.waits >= LONG and limits.grade(row.files) is Grade.OK:
        fix = (
            "SELECT pid, backend_start FROM pg_stat_activity WHERE backend_type = 'archiver';\n"
            "-- none: the log says why it does not start; one: its command hangs, on the host: ps -f --ppid PID"
        )
        return Finding(Grade.WARN, f"{text}, the oldest for {span(row.waits)}", fix, value=row.files)
    return limits.finding(
        row.files,
        text,
        fix="SELECT last_archived_wal, last_archived_time, last_failed_wal, last_failed_time FROM pg_stat_archiver;\n"
        "-- it fails: see its error in the log; it works but is slow: archive in parallel (pgbackrest archive-async)",
    )


@check_of(
    """SELECT w.bytes, m.bytes AS limit,
              (SELECT slot_name FROM pg_replication_slots
                WHERE pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                                           ELSE pg_current_wal_lsn() END, restart_lsn) > m.bytes
                ORDER BY restart_lsn LIMIT 1) AS slot,
              (SELECT current_setting('archive_mode') <> 'off'
                      AND coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false)
                 FROM pg_stat_archiver) AS failing
         FROM (SELECT coalesce(sum(size), 0)::float AS bytes FROM pg_ls_waldir()) w,
              (SELECT (pg_size_bytes(current_setting('max_wal_size'))
                       + pg_size_bytes(current_setting('wal_keep_size')))::float AS bytes) m""",
    warn=2,
    fail=5,
    guard="has_function_privilege('pg_ls_waldir()', 'EXECUTE')",
    needs="pg_monitor: GRANT pg_monitor TO <role>;",
)
def wal_size(rows: list[Any], limits: Limits) -> Finding:
    """The size of pg_wal (limits as a multiple of max_wal_size and wal_keep_size together).

    Something keeps WAL: a slot, an archive that fails, or more writing than checkpoints can follow. A full disk there
    stops the server.
    """
    (row,) = rows
    raised = f"{-(-row.bytes * 2 // 1024**2):.0f}MB"
    fix = "-- when the disk has it\n" + alter_system(f"max_wal_size = '{raised}'")
    why = "checkpoints cannot follow"
    if row.failing:
        why, fix = "archiving fails", "SELECT * FROM pg_stat_archiver;  -- run archive_command by hand to see its error"
    elif row.slot:
        why = f"slot {row.slot} keeps it"
        fix = "SELECT slot_name, active, restart_lsn, wal_status FROM pg_replication_slots ORDER BY restart_lsn;"
    share, text = row.bytes / row.limit, f"pg_wal is {size(row.bytes)}, the settings allow {size(row.limit)}"
    return limits.finding(share, text if limits.grade(share) is Grade.OK else f"{text}: {why}", fix=fix)


def _checkpoints(requested: str, timed: str, view: str) -> str:
    return f"""SELECT {requested}::float AS requested, {timed}::float AS timed, pg_is_in_recovery() AS standby,
              (SELECT wal_bytes::float FROM pg_stat_wal) AS written,
              extract(epoch FROM now() - stats_reset)::float AS age, current_setting('max_wal_size') AS limit,
              pg_size_bytes(current_setting('max_wal_size'))::float AS bytes FROM {view}"""  # noqa: S608  (constants)


HOUR, DAY = 3600, 86400
LEAST_FORCED = 10
"""In a window, and a day: fewer are no pressure."""


@check_of(
    _checkpoints("num_requested", "num_timed", "pg_stat_checkpointer"),
    before=(17, _checkpoints("checkpoints_req", "checkpoints_timed", "pg_stat_bgwriter")),
    warn=0.5,
    cost="quick",
    counters=("requested", "timed", "written"),
)
def requested_checkpoints(rows: list[Any], limits: Limits) -> Finding:
    """Checkpoints that WAL forces before their time (limit as a share of all).

    Each one writes everything at once, and after each a first change of a page writes the whole page to WAL again.
    """
    (row,) = rows
    if row.standby:
        return Finding(Grade.OK, "a standby follows its primary's checkpoints")
    # Backups, CREATE DATABASE and CHECKPOINT request them, too. WAL does so when half of max_wal_size was written.
    forced = min(row.requested, row.written // (row.bytes / 2))
    text = f"WAL forced {forced:.0f} of {row.requested + row.timed:.0f} checkpoints in {span(row.seconds)}"
    if forced < LEAST_FORCED * max(1, row.seconds / DAY):
        if row.seconds < HOUR / 2:
            return Finding(Grade.UNKNOWN, f"{text}, which is too short to tell", kind=YOUNG)
        return Finding(Grade.OK, text)
    fix = f"-- now {row.limit}\n" + alter_system(f"max_wal_size = '{row.bytes * 2 / 1024**2:.0f}MB'")
    share = forced / (row.requested + row.timed)
    return limits.finding(share, f"{text}: {size(row.written)} was written", fix=fix)


@check_of(
    """SELECT extract(epoch FROM current_setting('checkpoint_timeout')::interval)::float AS timeout,
              pg_is_in_recovery() AS standby, (redo_lsn - '0/0')::float AS redo,
              CASE WHEN pg_is_in_recovery() THEN 0 ELSE pg_current_wal_lsn() - '0/0' END::float AS written,
              CASE WHEN pg_is_in_recovery() THEN 0 ELSE pg_current_wal_lsn() - redo_lsn END::float AS since,
              extract(epoch FROM now() - checkpoint_time)::float AS last, NULL::float AS age
         FROM pg_control_checkpoint()""",
    warn=3,
    fail=10,
    cost="quick",
    guard="has_function_privilege('pg_control_checkpoint()', 'EXECUTE')",
    needs="pg_monitor: GRANT pg_monitor TO <role>;",
    counters=("redo", "written"),
)
def late_checkpoints(rows: list[Any], limits: Limits) -> Finding:
    """Checkpoints that do not end (limits as a multiple of checkpoint_timeout, between two runs of the checks).

    The disk is too slow for what must be written, or the checkpointer hangs: a crash now recovers for as long.
    """
    (row,) = rows
    waited = row.since - row.written  # WAL that an earlier run saw waiting for a checkpoint already
    if row.standby or row.redo > 0 or waited < SEGMENT:
        return Finding(Grade.OK, "checkpoints end")
    text = f"no checkpoint has ended for {span(row.last)}, though {size(row.since)} of WAL wait for one"
    fix = "CHECKPOINT;  -- and look at the disk: inv health.check --only host"
    return limits.finding(row.seconds / row.timeout, text, fix=fix)


SEGMENT = 16 * 1024**2
