"""Who is connected, and how many more can be."""

from __future__ import annotations

from typing import Any

from ...view import Grade
from ..registry import Finding, Limits, check_of
from ..sessions import NEEDS, SEES_ALL, shown

LISTED = (
    "SELECT usename, application_name, client_addr, state, count(*) FROM pg_stat_activity\n"
    " WHERE backend_type = 'client backend' GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC;"
)


@check_of(
    """SELECT count(*) AS used, current_setting('max_connections')::int
                  - current_setting('superuser_reserved_connections')::int
                  - coalesce(current_setting('reserved_connections', true)::int, 0) AS slots,
              count(*) FILTER (WHERE state = 'idle') AS idle,
              coalesce(mode() WITHIN GROUP (ORDER BY usename), '') AS most
         FROM pg_stat_activity WHERE backend_type = 'client backend'""",
    warn=0.80,
    fail=0.95,
    cost="quick",
    guard=SEES_ALL,
    needs=NEEDS,
)
def connections(rows: list[Any], limits: Limits) -> Finding:
    """Connection slots: when they run out, nobody gets in.

    Those that are reserved do not count: an ordinary role never gets them. Make the pools of the applications smaller,
    or put a pooler in front; more slots cost memory and make every snapshot slower.
    """
    (row,) = rows
    share = row.used / max(row.slots, 1)
    return limits.finding(
        share,
        f"{row.used} of {row.slots} slots are used ({share:.0%}), most by {row.most}; {row.idle} are idle",
        fix=LISTED,
    )


@check_of(
    """SELECT count(*) AS used, current_setting('max_connections')::int AS slots,
              current_setting('superuser_reserved_connections')::int AS reserved
         FROM pg_stat_activity WHERE backend_type = 'client backend'""",
    warn=0.3,
    fail=0.6,
    cost="quick",
    guard=SEES_ALL,
    needs=NEEDS,
)
def reserved_slots(rows: list[Any], limits: Limits) -> Finding:
    """Slots that are kept for superusers: who mends a full server needs one (limits as the share that is taken).

    Only superusers get these, so an application, or a monitor, logs in as one.
    """
    (row,) = rows
    if not row.reserved:
        return Finding(
            Grade.WARN,
            "no slot is reserved for superusers: nobody can mend a server whose slots are all taken",
            "ALTER SYSTEM SET superuser_reserved_connections = 3;  -- and restart",
        )
    left = min(row.reserved, max(row.slots - row.used, 0))
    return limits.finding(
        1 - left / row.reserved,
        f"{left} of {row.reserved} slots that are reserved for superusers are left",
        fix="SELECT a.pid, a.usename, a.application_name, a.client_addr, a.state, a.state_change\n"
        "  FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid\n"
        " WHERE r.rolsuper AND a.backend_type = 'client backend' ORDER BY a.state_change;",
    )


@check_of(
    """SELECT r.rolname AS name, quote_ident(r.rolname) AS quoted, r.rolconnlimit AS allowed, count(a.pid) AS used,
              count(a.pid) FILTER (WHERE a.state = 'idle') AS idle
         FROM pg_roles r
         LEFT JOIN pg_stat_activity a ON a.usesysid = r.oid AND a.backend_type IN ('client backend', 'walsender')
        WHERE r.rolcanlogin AND NOT r.rolsuper AND r.rolconnlimit > 1
        GROUP BY r.rolname, r.rolconnlimit ORDER BY count(a.pid)::float / r.rolconnlimit DESC""",
    warn=0.80,
    fail=0.95,
    cost="quick",
    guard=SEES_ALL,
    needs=NEEDS,
)
def role_connections(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Roles near their CONNECTION LIMIT: then they are refused, though slots are free (limits as a share).

    A limit of one is taken for a wish (that a job runs once at a time), and does not count.
    """
    return _limited(rows, limits, "role", "ROLE")


@check_of(
    """SELECT d.datname AS name, quote_ident(d.datname) AS quoted, d.datconnlimit AS allowed, count(a.pid) AS used,
              count(a.pid) FILTER (WHERE a.state = 'idle') AS idle
         FROM pg_database d
         LEFT JOIN pg_stat_activity a ON a.datid = d.oid AND a.backend_type IN ('client backend', 'walsender')
        WHERE d.datconnlimit >= 1
        GROUP BY d.datname, d.datconnlimit ORDER BY count(a.pid)::float / d.datconnlimit DESC""",
    warn=0.80,
    fail=0.95,
    cost="quick",
    guard=SEES_ALL,
    needs=NEEDS,
)
def database_connections(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Databases near their CONNECTION LIMIT: then only superusers get in, though slots are free (limits as a share)."""
    return _limited(rows, limits, "database", "DATABASE")


def _limited(rows: list[Any], limits: Limits, what: str, kind: str) -> Finding | list[Finding]:
    found = [
        limits.finding(
            row.used / row.allowed,
            f"{what} {row.name} has {row.used} of the {row.allowed} connections that it may have, {row.idle} are idle",
            fix=f"ALTER {kind} {row.quoted} CONNECTION LIMIT {max(2 * row.allowed, 2 * row.used)};",
            undo=f"ALTER {kind} {row.quoted} CONNECTION LIMIT {row.allowed};",
            object=row.name,
        )
        for row in rows
    ]
    bad = [finding for finding in found if finding.grade is not Grade.OK]
    most = max((row.used / row.allowed for row in rows), default=0.0)
    return shown(bad, LISTED) or Finding(Grade.OK, f"no {what} is near its connection limit", value=most)
