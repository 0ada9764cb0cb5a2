"""Whether a server and its databases can be asked at all, and are what they should be."""

from __future__ import annotations

import shlex
from typing import Any

from ...connections.availability import gist
from ...view import Grade, count
from ..altering import RELOAD
from ..registry import LOG, ROLE, Finding, Limits, probe
from ..sessions import remark
from .server import setting


@probe("", warn=1, fail=5)
def availability(rows: list[Any], limits: Limits) -> Finding:
    """Whether the server answers, in what time (limits in seconds), and takes writes where it should.

    While it does not, whatever uses it stands still; two that take writes drift apart. How it fails calls
    for other work each time: refused, connect_timeout, query_timeout, authentication, not_accepting, slots_exhausted,
    lost, read_only, writable, locked_out.
    """
    (row,) = rows
    if row.kind:
        return Finding(Grade.FAIL, f"{row.kind}: {gist(row.words)}", row.fix, row.host, kind=row.kind)
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
    if (row.read_only or row.told) and not row.standby:
        whose, fix, undo = setting("default_transaction_read_only", "off", "on", *(row.told or ("", "")))
        if row.told:
            fix = f"SET default_transaction_read_only = off;  -- of the session that mends it\n{fix}"
        text = f"read-only: default_transaction_read_only is on{whose}, writes fail"
        return Finding(Grade.FAIL, text, fix, row.host, kind="read_only", undo=undo)
    if row.barred:
        role, why, mended, before = row.barred
        text = f"locked_out: the application's role {role} gets no session, {why}"
        fix, undo = (f"ALTER ROLE {role} {options};" for options in (mended, before))
        return Finding(Grade.FAIL, text, fix, row.host, kind="locked_out", undo=undo)
    text = f"a session and its first answer took {row.seconds * 1000:.0f} ms"
    fix = "SELECT * FROM pg_stat_activity;  -- and look at the host's load and the way to it"
    return limits.finding(row.seconds, text, fix=fix, object=row.host)


@probe("application", cost="standard")
def application_login(rows: list[Any], limits: Limits) -> Finding:
    """Whether the application's role gets a session with the password that is declared.

    Somebody changed the password, a rule of pg_hba.conf, the right to CONNECT, or what its sessions load: programs that
    are connected do not notice, until they connect again.
    """
    (row,) = rows
    if not row.refused:
        return Finding(Grade.OK, f"{row.role} gets into {row.database}", object=row.role)
    text = f"the application's role {row.role} does not get into {row.database}: {row.refused}"
    undo = ""
    if "password authentication failed" in row.refused:
        fix = f"inv db.setup --env={row.env}  # sets the password that is declared"
    elif "permission denied for database" in row.refused:
        fix = f"GRANT CONNECT ON DATABASE {row.database_ident} TO {row.role_ident};"
        undo = f"REVOKE CONNECT ON DATABASE {row.database_ident} FROM {row.role_ident};"
    elif "pg_hba.conf" in row.refused:
        fix = f"-- the first rule of pg_hba.conf that is for {remark(row.role)}; then\n{RELOAD}"
    elif "could not access file" in row.refused:
        fix = f"-- whose it is: \\drds\nALTER ROLE {row.role_ident} RESET session_preload_libraries;"
    else:
        fix = f"{LOG}why"
    return Finding(Grade.FAIL, text, fix, row.role, undo=undo)


@probe("")
def databases(rows: list[Any], limits: Limits) -> Finding:
    """Databases that are missing, take no connections, or cannot be asked: what is wrong in them is not known.

    Who uses one is refused. How it fails: missing, closed, limited (to superusers), denied (to us), unasked (there was
    no time), refused.
    """
    row = rows[0]
    if not row.kind:
        return Finding(Grade.OK, f"{count(len(rows), 'database')} of the server can be entered")
    if row.kind == "denied":
        return Finding(Grade.SKIPPED, f"needs GRANT CONNECT ON DATABASE {row.ident} TO {ROLE};", object=row.name)
    if row.kind == "unasked":
        return Finding(Grade.UNKNOWN, f"not looked at ({row.words})", object=row.name)
    grade, undo = Grade.FAIL, ""
    if row.kind == "missing":
        text, fix = "is missing", f"inv db.setup --env={row.env}"
    elif row.kind == "closed":
        text = "takes no connections"
        fix, undo = (f"ALTER DATABASE {row.ident} ALLOW_CONNECTIONS {to};" for to in ("true", "false"))
    elif row.kind == "limited":
        text = "lets only superusers in: its connection limit is 0"
        fix, undo = (f"ALTER DATABASE {row.ident} CONNECTION LIMIT {to};" for to in (-1, 0))
    else:
        text, fix = f"cannot be asked: {gist(row.words)}", row.fix or f"psql -d {shlex.quote(row.name)}"
        grade = Grade.FAIL if row.declared else Grade.WARN
    return Finding(grade, f"database {row.name} {text}", fix, row.name, undo=undo)
