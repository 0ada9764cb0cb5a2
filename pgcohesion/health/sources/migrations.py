"""Migrations: what the folder has, and what the ledger in the database says was applied.

A room knows no other, so both are read by their published form: files are called ``NNNN_some_words.sql``, a checksum is
the SHA-256 of the text with Unix line ends, and the ledger is the table ``pgcohesion.ledger``.
"""

from __future__ import annotations

import hashlib
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from ...errors import ServerError
from . import beside

if TYPE_CHECKING:
    from ...context import Context

NAME = re.compile(r"(\d{4,})_[a-z0-9][a-z0-9_]*\.sql")
NOT_ALLOWED = "42501"
LOCK = 7_236_184_091  # the advisory lock that whoever applies migrations holds
PRESENT = "SELECT to_regclass('pgcohesion.ledger') IS NOT NULL AS present"
LEDGER = """
SELECT name, checksum, extract(epoch FROM clock_timestamp() - applied_at)::float AS age
  FROM pgcohesion.ledger WHERE kind = 'migration' ORDER BY name
"""
RUNNING = """
SELECT l.pid, extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, a.state_change))::float AS seconds,
       coalesce(a.state, '') AS state, coalesce(a.usename, '') AS role
  FROM pg_locks l JOIN pg_stat_activity a USING (pid)
 WHERE l.locktype = 'advisory' AND l.granted AND a.datname = current_database() AND l.database = a.datid
   AND l.classid = %(high)s::bigint::oid AND l.objid = %(low)s::bigint::oid AND l.objsubid = 1
"""


class Migration(Struct, frozen=True, kw_only=True):
    """A file, a row of the ledger, or both. *path* as the repo has it, ages in seconds (None: there is no such side).

    *number* is None for a file with a name that cannot be used.
    """

    name: str
    number: int | None = None
    path: str = ""
    file_age: float | None = None
    applied_age: float | None = None
    edited: bool = False


class Migrations(Struct, frozen=True, kw_only=True):
    """All of them, in order; *running* has who holds the lock of migrations, with ``pid`` and ``seconds``.

    Not *readable*: this role may not see the ledger.
    """

    env: str
    database: str
    all: tuple[Migration, ...] = ()
    running: tuple[Any, ...] = ()
    readable: bool = True


def read(ctx: Context) -> list[Any] | None:
    """Return the migrations as one value; None where the environment has neither files nor a ledger.

    A server that is only looked at (``[health] url``) has migrations when it has a ledger, or they are declared.

    Raises CohesionError when the database cannot be asked.
    """
    database = ctx.config.migrations.database or ctx.config.main_database
    folder = ctx.root / ctx.config.migrations.folder
    files = sorted(folder.glob("*.sql"))
    if not files and not ctx.config.migrations.database:
        return None
    try:
        with beside(ctx, database) as db:
            running = db.execute(RUNNING, {"high": LOCK >> 32, "low": LOCK & 0xFFFFFFFF})
            rows = db.execute(LEDGER) if db.execute(PRESENT)[0].present else []
    except ServerError as error:
        if error.sqlstate != NOT_ALLOWED:
            raise
        return [Migrations(env=ctx.env, database=database, readable=False)]
    only_looked_at = ctx.config.health.url is not None and not ctx.config.migrations.database
    if not rows and (not files or only_looked_at):
        return None
    found = together(files, rows, folder.parent, time.time())
    return [Migrations(env=ctx.env, database=database, all=found, running=tuple(running))]


def together(files: list[Path], rows: list[Any], root: Path, now: float) -> tuple[Migration, ...]:
    """Return files and rows of the ledger as one, in order of their numbers."""
    ledger = {row.name: row for row in rows}
    found = [_file(path, ledger.pop(path.name, None), root, now) for path in files]
    gone = [Migration(name=name, number=_number(name), applied_age=row.age) for name, row in ledger.items()]
    return tuple(sorted([*found, *gone], key=lambda one: (one.number or 0, one.name)))


def _file(path: Path, row: Any, root: Path, now: float) -> Migration:
    text = path.read_bytes().replace(b"\r\n", b"\n")
    return Migration(
        name=path.name,
        number=_number(path.name),
        path=str(path.relative_to(root)),
        file_age=max(0.0, now - path.stat().st_mtime),
        applied_age=row.age if row else None,
        edited=bool(row) and hashlib.sha256(text).hexdigest() != row.checksum,
    )


def _number(name: str) -> int | None:
    match = NAME.fullmatch(name)
    return int(match[1]) if match else None
