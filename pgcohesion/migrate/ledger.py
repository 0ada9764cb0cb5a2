"""What was applied: a table in the database itself, written in the same transaction as the change."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import psycopg
from msgspec import Struct

from ..connections import translate
from ..connections.errors import in_file
from ..errors import Locked, MigrationFailed, ServerError
from .files import File

if TYPE_CHECKING:
    from ..context import Context

LOCK = 7_236_184_091  # pg_advisory_lock's key of pgcohesion's migrations and seeds
LOCK_WAIT = 10.0

CREATE = """
CREATE SCHEMA IF NOT EXISTS pgcohesion;
CREATE TABLE IF NOT EXISTS pgcohesion.ledger (
    kind        text        NOT NULL CHECK (kind IN ('migration', 'seed')),
    name        text        NOT NULL,
    checksum    text        NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    applied_by  text        NOT NULL DEFAULT session_user,
    duration_ms integer     NOT NULL,
    PRIMARY KEY (kind, name)
);
COMMENT ON TABLE pgcohesion.ledger IS 'migrations and seeds that pgcohesion has applied'
"""
UNDEFINED_TABLE = "42P01"
READ = "SELECT kind, name, checksum, applied_at FROM pgcohesion.ledger ORDER BY kind, name"
WRITE = """
INSERT INTO pgcohesion.ledger (kind, name, checksum, duration_ms) VALUES (%(kind)s, %(name)s, %(checksum)s, %(ms)s)
ON CONFLICT (kind, name) DO UPDATE SET checksum = excluded.checksum, applied_at = excluded.applied_at,
                                       applied_by = excluded.applied_by, duration_ms = excluded.duration_ms
"""
ROW = "SELECT checksum FROM pgcohesion.ledger WHERE kind = %(kind)s AND name = %(name)s"
PRESENT = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = %s) AS present"


class Entry(Struct, frozen=True):
    """A file that was applied."""

    checksum: str
    applied_at: datetime


class Ledger(Struct, frozen=True):
    """The applied files by name."""

    migrations: dict[str, Entry] = {}
    seeds: dict[str, Entry] = {}


def database(ctx: Context) -> str:
    """Return the database that migrations go to."""
    return ctx.config.migrations.database or ctx.config.main_database


def read(ctx: Context) -> Ledger:
    """Read the ledger; an empty one where the database, or the ledger in it, is not there yet."""
    if not ctx.db.execute(PRESENT, (database(ctx),), database="postgres")[0].present:
        return Ledger()
    try:
        rows = ctx.db.execute(READ, database=database(ctx))
    except ServerError as error:
        if error.sqlstate != UNDEFINED_TABLE:
            raise
        return Ledger()
    entries: dict[str, dict[str, Entry]] = {"migration": {}, "seed": {}}
    for row in rows:
        entries[row.kind][row.name] = Entry(row.checksum, row.applied_at)
    return Ledger(entries["migration"], entries["seed"])


def apply(ctx: Context, kind: str, file: File) -> None:
    """Apply *file* in one transaction, as the owner, and write it down in the same one.

    A file that another run has applied meanwhile is left alone.
    Raises MigrationFailed with file and line, Locked when another migration holds the lock for over 10 s.
    """
    target = database(ctx)
    connection = ctx.db.connection(target)
    with _locked(connection):
        try:
            connection.execute(CREATE)
            row = connection.execute(ROW, {"kind": kind, "name": file.name}).fetchone()
            if row is None or row.checksum != file.checksum:
                _run(ctx, connection, kind, file)
        except psycopg.Error as error:
            raise translate(error, f"`{file.path}` was not applied") from error


def _run(ctx: Context, connection: psycopg.Connection[Any], kind: str, file: File) -> None:
    settings = ctx.config.migrations
    started = time.monotonic()
    with connection.transaction():
        _prepare(connection, settings.role, settings.search_path, settings.lock_timeout)
        before = _transaction_id(connection)
        try:
            connection.execute(file.text)
        except psycopg.Error as error:
            raise in_file(error, file.path, file.text) from error
        connection.execute("RESET ROLE")
        if _transaction_id(connection) != before:
            raise MigrationFailed(
                f"`{file.path}` ended its own transaction",
                why="a statement in it committed",
                fix="take it out: each file is one transaction already",
            )
        milliseconds = round((time.monotonic() - started) * 1000)
        connection.execute(WRITE, {"kind": kind, "name": file.name, "checksum": file.checksum, "ms": milliseconds})


def _prepare(connection: psycopg.Connection[Any], role: str | None, path: str, lock_timeout: float) -> None:
    if role:
        connection.execute(psycopg.sql.SQL("SET LOCAL ROLE {}").format(psycopg.sql.Identifier(role)))
    for name, value in (
        ("search_path", path),
        ("lock_timeout", f"{round(lock_timeout * 1000)}ms"),
        ("check_function_bodies", "on"),
    ):
        connection.execute("SELECT set_config(%s, %s, true)", (name, value))


def _transaction_id(connection: psycopg.Connection[Any]) -> Any:
    row = connection.execute("SELECT pg_current_xact_id()::text AS id").fetchone()
    return row.id if row else None


@contextmanager
def _locked(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Hold the advisory lock.

    It is asked for again and again: a session that waits for it would block CREATE INDEX CONCURRENTLY.
    """
    deadline = time.monotonic() + LOCK_WAIT
    while not connection.execute("SELECT pg_try_advisory_lock(%s)", (LOCK,)).fetchone()[0]:  # type: ignore[index]
        if time.monotonic() > deadline:
            raise Locked(
                "another run applies migrations",
                why=f"the advisory lock {LOCK} is held for over {LOCK_WAIT:.0f} s",
                fix="wait until it has ended, then run the same command again",
            )
        time.sleep(0.1)
    try:
        yield
    finally:
        if not connection.closed and not connection.broken:
            connection.execute("SELECT pg_advisory_unlock(%s)", (LOCK,))
