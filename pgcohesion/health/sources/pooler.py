"""PgBouncer, as its own console tells."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psycopg
from msgspec import Struct
from msgspec.structs import replace
from psycopg.rows import dict_row

from ...connections.availability import kind
from ...connections.relay import Relay
from ...errors import ConfigError
from . import ask_if_up

if TYPE_CHECKING:
    from ...context import Context

CONSOLE = "pgbouncer"  # the database that PgBouncer keeps for itself
WHERE = re.compile(r"^connection failed: connection to server at .*?, port \d+ failed: ")
SHOWN = ("pools", "databases", "config", "servers", "version")
SLOTS = """
SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS slots
"""


class Pooler(Struct, frozen=True, kw_only=True):
    """A PgBouncer: the rows of its SHOW commands, and its settings by name.

    *problem*: why it cannot be asked. *main* is the environment's database, *slots* the connections that its server
    gives to ordinary roles (None: nobody says), *refused* what the application's role is told that wants to log in.
    """

    address: str
    problem: str = ""
    kind: str = ""
    version: str = ""
    pools: tuple[Any, ...] = ()
    databases: tuple[Any, ...] = ()
    servers: tuple[Any, ...] = ()
    config: dict[str, str] = {}
    slots: int | None = None
    main: str = ""
    refused: str = ""


def read(ctx: Context) -> list[Any] | None:
    """Return the pooler that is declared; None where none is. One that does not answer is a fact, too."""
    declared = ctx.config.health.pooler
    if declared is None:
        return None
    relay = None
    host, port = declared.host or "127.0.0.1", declared.port
    address = f"{declared.host or ctx.host}:{port}"
    try:
        if declared.host is None and ctx.host in ctx.config.hosts and ctx.config.hosts[ctx.host].ssh:
            relay = Relay(ctx.runner, f"127.0.0.1:{port}", user=None, tcp=True)
            host, port = relay.host, relay.port
        shown = _shown(ctx, host, port)
        refused = _refused(ctx, host, port, shown["databases"])
    except psycopg.Error as error:
        complaint = relay.complaint if relay else ""
        return [Pooler(address=address, problem=complaint or _words(error), kind=kind(error, complaint))]
    finally:
        if relay is not None:
            relay.close()
    slots = [row.slots for row in ask_if_up(ctx, SLOTS)]
    facts = facts_of(shown, address, ctx.config.main_database, slots[0] if slots else None)
    return [replace(facts, refused=refused)]


def _shown(ctx: Context, host: str, port: int) -> dict[str, list[dict[str, Any]]]:
    """Ask the console. It knows only the simple protocol: no parameters, no prepared statements, no transactions."""
    declared = ctx.config.health.pooler
    assert declared is not None
    password = ctx.secret(declared.password, "health.pooler.password") if declared.password else None
    with psycopg.connect(
        host=host,
        port=port,
        user=declared.user,
        password=password.reveal() if password else None,
        sslmode=declared.sslmode,
        dbname=CONSOLE,
        connect_timeout=3,
        tcp_user_timeout=5000,
        autocommit=True,
        prepare_threshold=None,
        row_factory=dict_row,
        cursor_factory=psycopg.ClientCursor,
    ) as console:
        return {name: console.execute(f"SHOW {name.upper()}".encode()).fetchall() for name in SHOWN}


def _refused(ctx: Context, host: str, port: int, databases: list[dict[str, Any]]) -> str:
    """Log in as the application does; return why that fails. A database that is paused says so elsewhere."""
    config = ctx.config
    name = config.application.role or ""
    role = config.roles.get(name)
    here = any(one["name"] == config.main_database and not one["paused"] + one["disabled"] for one in databases)
    if not here or role is None or role.password is None:
        return ""
    assert config.health.pooler is not None
    try:
        password = ctx.secret(role.password, f"roles.{name}.password")
        psycopg.connect(
            host=host,
            port=port,
            user=name,
            password=password.reveal() if password else None,
            sslmode=config.health.pooler.sslmode,
            dbname=config.main_database,
            connect_timeout=3,
            autocommit=True,
        ).close()
    except psycopg.Error as error:
        return _words(error)
    except ConfigError:
        return ""  # its password is not ours to know
    return ""


def _words(error: psycopg.Error) -> str:
    """Return what the pooler said, without the port of ours that leads to it."""
    return WHERE.sub("", str(error).strip().splitlines()[-1])


def facts_of(shown: dict[str, list[dict[str, Any]]], address: str, main: str, slots: int | None) -> Pooler:
    """Return what the console showed as a value; versions differ in which columns there are."""
    return Pooler(
        address=address,
        version=next(iter(shown["version"][0].values())),
        pools=tuple(SimpleNamespace(**row) for row in shown["pools"] if row["database"] != CONSOLE),
        databases=tuple(SimpleNamespace(**row) for row in shown["databases"] if row["name"] != CONSOLE),
        servers=tuple(SimpleNamespace(**row) for row in shown["servers"]),
        config={row["key"]: row["value"] or "" for row in shown["config"]},
        slots=slots,
        main=main,
    )
