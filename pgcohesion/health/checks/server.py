"""The server as a whole: wraparound, settings, checksums, superusers."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from ...view import Grade, count, span
from ..altering import RELOAD, alter_system
from ..registry import LOG, Finding, Limits, check_of, most
from ..sessions import remark

BEGINNING = 10.0
"""Seconds in which a server that starts has its checkpointer."""


@check_of(
    """SELECT s.name, current_setting(s.name) AS running,
              CASE WHEN s.name !~ 'preload_libraries$|directories$' THEN quote_literal(s.setting)
                   WHEN s.setting ~ '^[a-z_][a-z0-9_]*(, [a-z_][a-z0-9_]*)*$'  -- ALTER SYSTEM writes others differently
                   THEN (SELECT string_agg(quote_literal(one), ', ') FROM unnest(string_to_array(s.setting, ', ')) one)
                   END AS quoted
         FROM pg_settings s WHERE s.pending_restart ORDER BY s.name"""
)
def pending_restart(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Settings that were changed and wait for a restart: what runs is not what the file says.

    The next restart, perhaps in the middle of an incident, brings a change that nobody has tried.
    """
    found = [
        Finding(
            Grade.WARN,
            f"{row.name} is still {row.running or 'empty'}: its change waits for a restart",
            "-- restart the server in a window; or stay with what runs:\n"
            + (alter_system(f"{row.name} = {row.quoted}") if row.quoted else _forget(row.name)),
            row.name,
        )
        for row in rows
    ]
    return most(found) or Finding(Grade.OK, "no setting waits for a restart")


def _forget(name: str) -> str:
    """Return the lines for a value that ALTER SYSTEM cannot write as it stands: an empty list, quoted paths."""
    return f"ALTER SYSTEM RESET {name};  -- PostgreSQL may call it waiting until the next start\n{RELOAD}"


# Of pg_db_role_setting: whom a setting is for, as the statement names it; empty: only a database's.
WHOSE = """CASE WHEN r.setrole <> 0 THEN quote_ident(pg_get_userbyid(r.setrole))
                   WHEN r.setdatabase = 0 THEN 'ALL' ELSE '' END"""


@check_of(
    f"""WITH careful(name, good) AS (VALUES ('fsync', 'on'), ('full_page_writes', 'on'), ('synchronous_commit', 'on'),
                                           ('zero_damaged_pages', 'off'), ('ignore_checksum_failure', 'off')),
            given AS (
       SELECT s.name, s.setting, '' AS role, '' AS database FROM pg_settings s
        WHERE s.source NOT IN ('database', 'user', 'database user')
        UNION ALL
       SELECT split_part(c.line, '=', 1), substr(c.line, strpos(c.line, '=') + 1),
              {WHOSE},
              coalesce((SELECT quote_ident(datname) FROM pg_database d WHERE d.oid = r.setdatabase), '')
         FROM pg_db_role_setting r, unnest(r.setconfig) AS c(line)
        WHERE split_part(c.line, '=', 1) <> 'synchronous_commit')
       SELECT c.name, c.good, g.role, g.database FROM careful c JOIN given g USING (name)
        WHERE g.setting ~* CASE c.good WHEN 'on' THEN '^(of|f|n|0)' ELSE '^(on|t|y|1)' END
        ORDER BY c.name, g.role, g.database"""  # noqa: S608  (constants)
)
def durability(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Settings that lose or hide data: fsync and full_page_writes off, damaged pages ignored.

    With synchronous_commit off alone a crash loses the last moments of commits, but damages nothing; a role or a
    database may have it so on purpose.
    """
    found = []
    for row in rows:
        bad = "off" if row.good == "on" else "on"
        whose, fix, undo = setting(row.name, row.good, bad, row.role, row.database)
        grade = Grade.WARN if row.name == "synchronous_commit" else Grade.FAIL
        what = "a damaged page is hidden, and its rows are lost" if bad == "on" else "a crash loses data"
        found.append(Finding(grade, f"{row.name} is {bad}{whose}: {what}", fix, row.name, undo=undo))
    return most(found) or Finding(Grade.OK, "what is committed is on disk")


def setting(name: str, good: str, bad: str, role: str, database: str) -> tuple[str, str, str]:
    """Return where a setting stands, in words, the lines that set it right, and those that bring it back.

    For one of the whole server the last are empty: they are added where it is known what ALTER SYSTEM had written.
    """
    if not role and not database:
        return "", alter_system(f"{name} = {good}"), ""
    whom = f"ROLE {role}" + (f" IN DATABASE {database}" if database else "") if role else f"DATABASE {database}"
    words = f"role {role}" + (f" in {database}" if database else "") if role else f"database {database}"
    return (
        f" for {remark(words)}",
        f"ALTER {whom} RESET {name};  -- sessions from then on",
        f"ALTER {whom} SET {name} = {bad};",
    )


ENDS = {
    12: "2024-11-21",
    13: "2025-11-13",
    14: "2026-11-12",
    15: "2027-11-11",
    16: "2028-11-09",
    17: "2029-11-08",
    18: "2030-11-14",
}
"""The day of each major version's last release: https://www.postgresql.org/support/versioning/."""


@check_of(
    """SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int / 10000 AS major,
              extract(epoch FROM now())::float AS now""",
    warn=0,
    fail=365,
)
def version(rows: list[Any], limits: Limits) -> Finding:
    """A major version that gets no fixes any more, or was never released (limits in days after its last release).

    Holes that are published stay open, and faults that others have found stay in.
    """
    (row,) = rows
    fix = "-- to a newer major version, by pg_upgrade or logical replication:\n"
    fix += "-- https://www.postgresql.org/docs/current/upgrading.html"
    if re.search("devel|beta|rc", row.version):
        return Finding(Grade.WARN, f"PostgreSQL {row.version} is no release", fix, row.version)
    if row.major not in ENDS:
        return Finding(Grade.OK, f"PostgreSQL {row.version}")
    end = datetime.fromisoformat(ENDS[row.major]).replace(tzinfo=UTC)
    days = (row.now - end.timestamp()) / 86400
    text = f"PostgreSQL {row.version} {'got' if days > 0 else 'gets'} its last fixes on {ENDS[row.major]}"
    return limits.finding(days, text, fix=fix, object=str(row.major), note=-180)


@check_of(
    """SELECT coalesce(datname, 'shared objects') AS name, checksum_failures AS failures,
              extract(epoch FROM now() - checksum_last_failure)::float AS age
         FROM pg_stat_database WHERE checksum_failures > 0""",
    fail=1,
)
def checksum_failures(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Pages whose checksum was wrong when they were read: the disk or the memory is failing."""
    return [
        limits.finding(
            row.failures,
            f"{count(row.failures, 'damaged page')} read in {row.name}, the last {span(row.age)} ago",
            fix="-- take a copy of the data folder, then restore a backup on other hardware:\ninv backup.list\n"
            "-- what they belong to, where the extension amcheck is:\ninv health.check --profile=deep --only=integrity",
            object=row.name,
        )
        for row in rows
    ] or Finding(Grade.OK, "no damaged page was read")


# 10 is initdb's. From PostgreSQL 16 on who was granted a role may do without SET; it cannot become that one then.
@check_of(
    """WITH RECURSIVE made AS (
           SELECT m.roleid, m.member, coalesce((to_jsonb(m) ->> 'set_option')::bool, true) AS sets,
                  CASE WHEN m.admin_option THEN ' WITH ADMIN OPTION' ELSE '' END AS admin,
                  CASE WHEN current_setting('server_version_num')::int >= 160000
                       THEN ' GRANTED BY ' || quote_ident(pg_get_userbyid(m.grantor)) ELSE '' END AS by
             FROM pg_auth_members m),
       becomes(direct, power, role) AS (
           SELECT m.member, m.roleid, m.member FROM made m JOIN pg_roles s ON s.oid = m.roleid
            WHERE s.rolsuper AND m.sets
            UNION SELECT b.direct, b.power, m.member FROM becomes b JOIN made m ON m.roleid = b.role AND m.sets)
       SELECT rolname AS name, quote_ident(rolname) AS ident, '' AS power, '' AS power_ident, '' AS by, '' AS admin,
              true AS alone
         FROM pg_roles
        WHERE rolsuper AND rolcanlogin AND rolname <> 'postgres' AND oid <> 10
        UNION ALL
       SELECT r.rolname, quote_ident(r.rolname), s.rolname, quote_ident(s.rolname), m.by, m.admin, s.rolcanlogin
         FROM made m JOIN pg_roles r ON r.oid = m.member JOIN pg_roles s ON s.oid = m.roleid
        WHERE s.rolsuper AND m.sets AND NOT r.rolsuper
          AND EXISTS (SELECT FROM becomes b JOIN pg_roles l ON l.oid = b.role
                       WHERE b.direct = m.member AND b.power = m.roleid AND l.rolcanlogin AND NOT l.rolsuper)
        ORDER BY 1, 3"""
)
def superusers(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Roles that log in as superuser, or may become one: whoever has such a password owns the host, too.

    Members of a superuser that nobody logs in as are noted: people who do SET ROLE when they need it are better than
    people who always are one, but an application is no such member.
    """
    found = []
    for row in rows:
        text, fix = f"role {row.name} is a superuser", f"ALTER ROLE {row.ident} NOSUPERUSER;"
        undo = f"ALTER ROLE {row.ident} SUPERUSER;"
        if row.power:
            text = f"role {row.name} is a member of {row.power}, and may become superuser: SET ROLE {row.power_ident}"
            fix = f"REVOKE {row.power_ident} FROM {row.ident}{row.by};"
            undo = f"GRANT {row.power_ident} TO {row.ident}{row.admin}{row.by};"
        grade = Grade.WARN if row.alone else Grade.INFO
        found.append(Finding(grade, text, fix, row.name, undo=undo, part=row.power))
    return most(found) or Finding(Grade.OK, "only the first superuser logs in as one")


@check_of(
    """SELECT extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float AS age,
              CASE WHEN current_setting('server_version_num')::int >= 150000 THEN  -- before: it starts after recovery
                   (SELECT extract(epoch FROM clock_timestamp() - backend_start)::float FROM pg_stat_activity
                     WHERE backend_type = 'checkpointer') END AS anew,
              pg_is_in_recovery() AS standby""",
    cost="quick",
)
def restarted(rows: list[Any], limits: Limits) -> Finding:
    """A server that started, or crashed and came back by itself, within the last hour.

    Where nobody restarted it, it crashed or ran out of memory; its caches are cold, and its log says why.
    """
    (row,) = rows
    # A checkpointer ends with the server only, and when another process died and all began anew.
    if row.anew is not None and row.anew < 3600 and row.age - row.anew > BEGINNING:
        text = f"a process of it crashed or was killed {span(row.anew)} ago: every session ended, and it recovered"
        return Finding(Grade.WARN, text, f"{LOG}which: the lines `was terminated by signal`")
    if row.age >= 3600:
        return Finding(Grade.OK, f"up for {span(row.age)}", value=row.age)
    return Finding(Grade.INFO, f"started {span(row.age)} ago", f"{LOG}why: the lines before the start")
