"""Whether a server and its databases can be asked at all, and are what they should be."""

from __future__ import annotations

import shlex
from typing import Any

from ...view import Grade, count
from ..altering import alter_system
from ..registry import ROLE, Finding, Limits, probe


@probe("", warn=1, fail=5)
def availability(rows: list[Any], limits: Limits) -> Finding:
    """Whether the server answers, in what time (limits in seconds), and takes writes where it should.

    While it does not, whatever uses it stands still; two that take writes drift apart. How it fails calls
    for other work each time: refused, connect_timeout, query_timeout, authentication, not_accepting, slots_exhausted,
    lost, read_only, writable.
    """
    (row,) = rows
    if row.kind:
        # A line an address that was tried; libpq explains it in further ones, which are indented.
        tried = [line for line in row.words.splitlines() if line.strip() and not line[0].isspace()]
        last = tried[-1] if tried else "it does not answer"
        return Finding(Grade.FAIL, f"{row.kind}: {last}", row.fix, row.host, kind=row.kind)
    if row.role == "primary" and row.standby:
        fix = "-- if it should be the primary, and the old one is surely gone:\nSELECT pg_promote();"
        return Finding(
            Grade.FAIL, "read-only: it should be the primary and is a standby", fix, row.host, kind="read_only"
        )
    if row.role == "replica" and not row.standby:
        fix = (
            f"-- if it is the primary now: stop the other one, and let [hosts] say so: {row.host} is the primary\n"
            f"-- if not: on {row.host}, stop it, keep a copy of what was written there, and make it a standby again\n"
            "-- (pg_rewind, or pg_basebackup into an empty folder)"
        )
        text = "writable: it should be a standby and is a primary of its own: what it takes is not on the other"
        return Finding(Grade.FAIL, text, fix, row.host, kind="writable")
    if row.role != "replica" and row.read_only and not row.standby:
        fix = alter_system("default_transaction_read_only = off")
        text = "read-only: default_transaction_read_only is on, writes fail"
        return Finding(Grade.FAIL, text, fix, row.host, kind="read_only")
    text = f"a session and its first answer took {row.seconds * 1000:.0f} ms"
    fix = "SELECT * FROM pg_stat_activity;  -- and look at the host's load and the way to it"
    return limits.finding(row.seconds, text, fix=fix, object=row.host)


@probe("")
def databases(rows: list[Any], limits: Limits) -> Finding:
    """Databases that are missing, take no connections, or cannot be asked: what is wrong in them is not known.

    Who uses one is refused. How it fails: missing, closed, denied (to us), unasked (there was no time), refused.
    """
    row = rows[0]
    if row.kind == "missing":
        return Finding(Grade.FAIL, f"database {row.name} is missing", f"inv db.setup --env={row.env}", row.name)
    if row.kind == "closed":
        fix, undo = (f"ALTER DATABASE {row.ident} ALLOW_CONNECTIONS {to};" for to in ("true", "false"))
        return Finding(Grade.FAIL, f"database {row.name} takes no connections", fix, row.name, undo=undo)
    if row.kind == "denied":
        return Finding(Grade.SKIPPED, f"needs GRANT CONNECT ON DATABASE {row.ident} TO {ROLE};", object=row.name)
    if row.kind == "unasked":
        return Finding(Grade.UNKNOWN, f"not looked at ({row.words})", object=row.name)
    if row.kind:
        grade, fix = Grade.FAIL if row.declared else Grade.WARN, row.fix or f"psql -d {shlex.quote(row.name)}"
        return Finding(grade, f"database {row.name} cannot be asked: {row.words}", fix, row.name)
    return Finding(Grade.OK, f"{count(len(rows), 'database')} of the server can be entered")
