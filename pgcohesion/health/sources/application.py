"""Whether the application's role gets a session: its password, pg_hba.conf, the right to CONNECT, what it loads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
from msgspec import Struct
from psycopg.sql import Identifier

from ...connections.availability import kind
from ...connections.database import ALONE
from ...errors import CohesionError, ConfigError
from ...server import State

if TYPE_CHECKING:
    from ...context import Context

PATIENCE = 3  # seconds
SAID_ELSEWHERE = ("is not permitted to log in", "does not exist", "is not currently accepting")


class Login(Struct, frozen=True):
    """A login as *role* to *database*, both also as identifiers. *refused*: what the server answers instead."""

    env: str
    role: str
    role_ident: str
    database: str
    database_ident: str
    refused: str = ""


def read(ctx: Context) -> list[Login] | None:
    """Return the login; None where it cannot be tried.

    No program is run for a password, no role's only connection is taken, and a server that is down is said elsewhere.
    """
    name, database = ctx.config.application.role or "", ctx.config.main_database
    role = ctx.config.roles.get(name)
    if ctx.only_looked_at or role is None or not role.login or 0 <= role.connection_limit <= 1:
        return None
    if role.password is None or role.password.command is not None:
        return None
    try:
        if ctx.server.state() is not State.RUNNING:
            return None
        password = ctx.secret(role.password, f"roles.{name}.password")
        host, port = ctx.server.address()
    except ConfigError:
        return None  # its password is not ours to know
    except CohesionError:
        return None
    refused = ""
    try:
        psycopg.connect(
            **ALONE,  # type: ignore[arg-type]
            host=host,
            port=port,
            user=name,
            password=password.reveal() if password else None,
            dbname=database,
            connect_timeout=PATIENCE,
            application_name="pgcohesion",
        ).close()
    except psycopg.Error as error:
        refused = _told(ctx, error)
    return [Login(ctx.env, name, Identifier(name).as_string(), database, Identifier(database).as_string(), refused)]


def _told(ctx: Context, error: psycopg.Error) -> str:
    """Return what the server says to the role alone; what it says to everybody is the availability's."""
    if kind(error) not in ("authentication", "lost"):
        return ""
    return told(str(error), here=ctx.config.postgresql.source == "embedded")


def told(words: str, *, here: bool) -> str:
    """Return the server's own line of an error, if it is the role's fault.

    Not *here*, the application comes from another host, by another rule, and may have a certificate that we have not.
    """
    _, found, line = words.rpartition("FATAL:")
    line = line.strip().partition("\n")[0]
    if not found or any(one in line for one in SAID_ELSEWHERE):
        return ""
    password = "password authentication failed" in line
    another_way = "certificate" in line or ("authentication failed" in line and not password)
    return "" if not here and ("pg_hba.conf" in line or another_way) else line
