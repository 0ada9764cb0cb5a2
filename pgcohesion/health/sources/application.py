"""Whether the application's role gets a session: its password, pg_hba.conf, the right to CONNECT, what it loads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
from msgspec import Struct
from psycopg.sql import Identifier

from ...connections.availability import kind
from ...connections.database import ALONE
from ...errors import CohesionError
from ...server import State

if TYPE_CHECKING:
    from ...context import Context
    from ...redact import Secret

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
    """Return the login; None where it cannot be tried, or ends for what is not the role's fault.

    A server that is down is said elsewhere.
    """
    name, database = ctx.config.application.role or "", ctx.config.main_database
    password = None if ctx.only_looked_at else _password(ctx, name)
    if password is None:
        return None
    try:
        if ctx.server.state() is not State.RUNNING:
            return None
        host, port = ctx.server.address()
    except CohesionError:
        return None
    refused = ""
    try:
        psycopg.connect(
            **ALONE,  # type: ignore[arg-type]
            host=host,
            port=port,
            user=name,
            password=password.reveal(),
            dbname=database,
            connect_timeout=PATIENCE,
            application_name="pgcohesion",
        ).close()
    except psycopg.Error as error:
        refused = _told(ctx, error)
        if not refused:
            return None
    return [Login(ctx.env, name, Identifier(name).as_string(), database, Identifier(database).as_string(), refused)]


def _password(ctx: Context, name: str) -> Secret | None:
    """Return a role's password; None where it is not ours to know: no program is run for it.

    Nor where the role has only one connection: that one is not taken.
    """
    role = ctx.config.roles.get(name)
    if role is None or not role.login or 0 <= role.connection_limit <= 1:
        return None
    if role.password is None or role.password.command is not None:
        return None
    try:
        return ctx.secret(role.password, f"roles.{name}.password")
    except CohesionError:
        return None


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
