"""The door of a server: what it says of itself to whom it lets in, and what keeps us out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from psycopg.sql import Identifier, Literal

from ..connections.availability import ADVICE
from ..errors import CohesionError, ConfigError, DeadlineExceeded, ServerDown, Unreachable
from .altering import WRITTEN

if TYPE_CHECKING:
    import psycopg

    from ..context import Context

READ_ONLY = "default_transaction_read_only"
NO_DATABASE, NOT_ACCEPTING = "3D000", "55000"
NO_ROLE = "22023"  # of SET ROLE
# What every session stumbles over, its superuser's, too: options of one session pass it by.
LIBRARY = (
    "PGOPTIONS='-c session_preload_libraries=' psql -d postgres"
    " -c 'ALTER SYSTEM RESET session_preload_libraries' -c 'SELECT pg_reload_conf()'"
)
TRIGGER = (
    "its log says why; where a trigger ON login fails (from PostgreSQL 17 on), drop or disable it in a session of\n"
    "PGOPTIONS='-c event_triggers=off' psql"
)
# What a role or a database was told is not what this session goes by: {who} has what the application's role meets.
SERVER = f"""SELECT pg_is_in_recovery() AS standby, EXISTS (
           SELECT FROM pg_settings WHERE name = 'default_transaction_read_only' AND setting = 'on'
              AND source NOT IN ('client', 'session', 'user', 'database', 'database user')) AS read_only,
    quote_ident(current_user) AS role,
    (SELECT json_build_object('ident', quote_ident(rolname), 'login', rolcanlogin, 'allowed', rolconnlimit)
       FROM pg_roles WHERE rolname = {{who}}) AS application,
    (SELECT json_agg(json_build_object('role', role, 'database', datname, 'on', value::bool,
                                       'idents', json_build_array(quote_ident(role), quote_ident(datname))))
       FROM (SELECT CASE setrole WHEN 0 THEN '' ELSE pg_get_userbyid(setrole) END AS role,
                    coalesce(d.datname, '') AS datname, split_part(c.line, '=', 2) AS value
               FROM pg_db_role_setting s LEFT JOIN pg_database d ON d.oid = s.setdatabase, unnest(setconfig) AS c(line)
              WHERE c.line LIKE 'default\\_transaction\\_read\\_only=%') s WHERE role IN ('', {{who}})) AS told,
    (SELECT json_object_agg(datname, CASE WHEN NOT datallowconn THEN 'closed'
                                          WHEN NOT has_database_privilege(datname, 'CONNECT') THEN 'denied'
                                          WHEN datconnlimit = -2 THEN 'broken'
                                          WHEN datconnlimit = 0 THEN 'limited' ELSE 'open' END ORDER BY datname)
       FROM pg_database WHERE NOT datistemplate) AS databases,
    {WRITTEN}"""  # noqa: S608  (constants)


def question(ctx: Context, connection: psycopg.Connection[Any]) -> str:
    """Return the statement that asks a server about itself; its row is for :func:`answered`.

    ``databases`` has the state of each (open, limited, closed, denied, broken), ``written`` what ALTER SYSTEM has
    written, ``role`` who we are, as an identifier.
    """
    return SERVER.replace("{who}", Literal(ctx.config.application.role or "").as_string(connection))


def answered(ctx: Context, server: Any, main: str, seconds: float) -> SimpleNamespace:
    """Return what a server says of itself, after *seconds*, as facts of the check ``availability``."""
    unknown = "" if ctx.only_looked_at else "primary"  # who looks at a standby by its URL knows what it is
    role = ctx.config.hosts[ctx.host].role if ctx.host in ctx.config.hosts else unknown
    return SimpleNamespace(
        host=ctx.watched_name, kind="", words="", fix="", seconds=seconds, role=role, standby=server.standby,
        read_only=server.read_only, told=told(server.told or (), ctx.config, main),
        barred=barred(server.application, ctx.config),
    )  # fmt: skip


def trouble(error: CohesionError, ctx: Context, seconds: float, *, let_in: bool = True) -> SimpleNamespace:
    """Return what kept us from asking a server, as facts of the check ``availability``.

    *let_in*: it had taken us in before *seconds* were over.
    """
    of, fix, words = "lost", error.fix, error.why or error.what
    if isinstance(error, ServerDown):
        of = "refused"
    elif isinstance(error, Unreachable):
        of = error.kind or "unreachable"
        fix = ADVICE.get(of, fix)
        if of == "lost" and "FATAL:" in words:
            fix = LIBRARY if "could not access file" in words else TRIGGER
    elif isinstance(error, ConfigError):
        of, words = "unreachable", error.what
    elif isinstance(error, DeadlineExceeded):
        of = "query_timeout" if let_in else "connect_timeout"
        fix, words = ADVICE[of], f"{'let us in and' if let_in else 'it'} did not answer within {seconds:g} s"
    elif ctx.config.health.role and getattr(error.__cause__, "sqlstate", None) == NO_ROLE:
        of, fix = "authentication", f"inv health.grant --role {ctx.config.health.role} --apply --env={ctx.env}"
    return SimpleNamespace(
        host=ctx.watched_name, kind=of, words=words, fix=fix, seconds=0.0, role="", standby=False,
        read_only=False, told=None, barred=None,
    )  # fmt: skip


def database(ctx: Context, name: str, kind: str = "", words: str = "", fix: str = "") -> SimpleNamespace:
    """Return what is known of a database, as facts of the check ``databases``."""
    ident, declared = Identifier(name).as_string(), name in ctx.config.databases
    return SimpleNamespace(name=name, ident=ident, kind=kind, words=words, fix=fix, declared=declared, env=ctx.env)


def missing(error: CohesionError) -> bool:
    """Say whether it is the database that is not there, or takes no connections, not its server."""
    return getattr(error.__cause__, "sqlstate", None) in (NO_DATABASE, NOT_ACCEPTING) or (
        re.search("database .*(does not exist|not currently accepting connections)", error.why) is not None
    )


def told(rows: Iterable[Mapping[str, Any]], config: Any, main: str) -> tuple[str, str] | None:
    """Return the role and database (as identifiers) whose setting makes the application's transactions read-only."""
    of = [row for row in rows if row["database"] in ("", main)]
    if not of:
        return None
    first = max(of, key=lambda row: (bool(row["role"]), bool(row["database"])))
    role, database = first["role"], first["database"]
    declared = config.roles.get(role) if role else config.databases.get(database)
    if not first["on"] or (declared and declared.settings.get(READ_ONLY)):
        return None
    idents = first["idents"]
    return (idents[0] if role else "" if database else "ALL", idents[1] if database else "")


def barred(application: Mapping[str, Any] | None, config: Any) -> tuple[str, str, str, str] | None:
    """Return the application's role that no session can be had as, why, and the options that mend it and undo that."""
    role = config.application.role or ""
    declared = config.roles.get(role)
    if not application or (declared and not (declared.login and declared.connection_limit)):
        return None
    if not application["login"]:
        return application["ident"], "it may not log in", "LOGIN", "NOLOGIN"
    if application["allowed"] == 0:
        return application["ident"], "its connection limit is 0", "CONNECTION LIMIT -1", "CONNECTION LIMIT 0"
    return None
