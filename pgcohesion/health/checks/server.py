"""The server as a whole: wraparound, settings, checksums, superusers."""

from __future__ import annotations

from typing import Any

from ...view import Grade
from ..registry import Finding, Limits, check_of


@check_of(
    """SELECT datname AS name, age(datfrozenxid)::float / 2147483647 AS xid,
              mxid_age(datminmxid)::float / 2147483647 AS mxid
         FROM pg_database WHERE datallowconn ORDER BY greatest(age(datfrozenxid), mxid_age(datminmxid)) DESC LIMIT 1""",
    warn=0.25,
    fail=0.75,
)
def wraparound(rows: list[Any], limits: Limits) -> Finding:
    """Transaction ids: when they run out, the server takes no writes (limits as a share of 2 billion)."""
    (row,) = rows
    share = max(row.xid, row.mxid)
    kind = "transaction" if row.xid >= row.mxid else "multixact"
    return limits.finding(
        share,
        f"database {row.name} has used {share:.1%} of its {kind} ids",
        fix=f"in {row.name}: VACUUM (FREEZE, VERBOSE);  -- after whatever holds it back: old transactions, slots",
        object=row.name,
    )


@check_of("SELECT name FROM pg_settings WHERE pending_restart ORDER BY name")
def pending_restart(rows: list[Any], limits: Limits) -> Finding:
    """Settings that were changed and wait for a restart: what runs is not what the file says."""
    if not rows:
        return Finding(Grade.OK, "no setting waits for a restart")
    names = ", ".join(row.name for row in rows)
    return Finding(Grade.WARN, f"a restart is due for {names}", "inv provision.apply", names)


@check_of(
    """SELECT name FROM pg_settings
        WHERE (name IN ('fsync', 'full_page_writes') AND setting = 'off')
           OR (name IN ('zero_damaged_pages', 'ignore_checksum_failure') AND setting = 'on')
        ORDER BY name"""
)
def durability(rows: list[Any], limits: Limits) -> Finding:
    """Settings that lose or hide data: fsync and full_page_writes off, damaged pages ignored."""
    if not rows:
        return Finding(Grade.OK, "what is committed is on disk")
    names = ", ".join(row.name for row in rows)
    fix = "\n".join(f"ALTER SYSTEM RESET {row.name};" for row in rows) + "\nSELECT pg_reload_conf();"
    return Finding(Grade.FAIL, f"a crash or a damaged page loses data: {names}", fix, names)


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
