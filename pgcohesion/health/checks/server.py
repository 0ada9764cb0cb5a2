"""The server as a whole: wraparound, settings, checksums, superusers."""

from __future__ import annotations

from typing import Any

from ...view import Grade, span
from ..registry import Finding, Limits, check_of


@check_of("SELECT name FROM pg_settings WHERE pending_restart ORDER BY name")
def pending_restart(rows: list[Any], limits: Limits) -> Finding:
    """Settings that were changed and wait for a restart: what runs is not what the file says."""
    if not rows:
        return Finding(Grade.OK, "no setting waits for a restart")
    names = ", ".join(row.name for row in rows)
    return Finding(Grade.WARN, f"a restart is due for {names}", "inv provision.apply", names)


@check_of(
    """SELECT name FROM pg_settings
        WHERE (name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off')
           OR (name IN ('zero_damaged_pages', 'ignore_checksum_failure') AND setting = 'on')
        ORDER BY name"""
)
def durability(rows: list[Any], limits: Limits) -> Finding:
    """Settings that lose or hide data: fsync and full_page_writes off, damaged pages ignored.

    With synchronous_commit off alone a crash loses the last moments of commits, but damages nothing.
    """
    if not rows:
        return Finding(Grade.OK, "what is committed is on disk")
    names = ", ".join(row.name for row in rows)
    good = {"zero_damaged_pages": "off", "ignore_checksum_failure": "off"}
    fix = "\n".join(f"ALTER SYSTEM SET {row.name} = {good.get(row.name, 'on')};" for row in rows)
    grade = Grade.WARN if names == "synchronous_commit" else Grade.FAIL
    return Finding(grade, f"a crash or a damaged page loses data: {names}", f"{fix}\nSELECT pg_reload_conf();", names)


@check_of(
    """SELECT coalesce(datname, 'shared objects') AS name, checksum_failures AS failures
         FROM pg_stat_database WHERE checksum_failures > 0""",
    fail=1,
)
def checksum_failures(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Pages whose checksum was wrong when they were read: the disk or the memory is failing."""
    return [
        limits.finding(
            row.failures,
            f"{row.failures} damaged pages were read in {row.name}",
            fix="take a copy of the data folder, then restore a backup on other hardware: inv backup.list",
            object=row.name,
        )
        for row in rows
    ] or Finding(Grade.OK, "no damaged page was read")


@check_of("SELECT rolname AS name FROM pg_roles WHERE rolsuper AND rolcanlogin AND rolname <> 'postgres' ORDER BY 1")
def superusers(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Roles that log in as superuser: whoever has such a password owns the host, too."""
    return [
        Finding(
            Grade.WARN,
            f"role {row.name} is a superuser",
            'ALTER ROLE "{}" NOSUPERUSER;'.format(row.name.replace('"', '""')),
            row.name,
        )
        for row in rows
    ] or Finding(Grade.OK, "only postgres is a superuser")


@check_of(
    """SELECT extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float AS age,
              pg_is_in_recovery() AS standby""",
    cost="quick",
)
def restarted(rows: list[Any], limits: Limits) -> Finding:
    """A server that started within the last hour.

    Where nobody restarted it, it crashed or ran out of memory; its caches are cold, and its log says why.
    """
    (row,) = rows
    if row.age >= 3600:
        return Finding(Grade.OK, f"up for {span(row.age)}", value=row.age)
    return Finding(
        Grade.INFO, f"started {span(row.age)} ago", "SELECT pg_current_logfile();  -- why: the lines before the start"
    )
