"""One copy of a script at a time: an advisory lock in the maintenance database, on a connection of its own."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Self

from ..connections import Database
from ..connections.database import MAINTENANCE
from ..errors import CohesionError, Locked

if TYPE_CHECKING:
    from ..context import Context

# The maintenance database: the lock outlives DROP DATABASE, and its key tells databases apart.
TAKE = "SELECT pg_try_advisory_lock(%(key)s) AS taken"
HELD = """
SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted AND objsubid = 1
                  AND (classid::bigint << 32) | objid::bigint = %(key)s) AS held
"""
HOLDER = """
SELECT format('process %%s of the server (%%s, %%s) since %%s', a.pid, a.application_name, a.usename,
              to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SSZ')) AS who
  FROM pg_locks l
  JOIN pg_stat_activity a USING (pid)
 WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
   AND (l.classid::bigint << 32) | l.objid::bigint = %(key)s
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def key_of(script: str, database: str) -> int:
    """Return the lock's key, a bigint."""
    digest = hashlib.sha256(f"pgcohesion script\0{script}\0{database}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


class OnlyCopy:
    """Holds the lock of *script* in the environment of *ctx* as a context manager. Raises Locked."""

    def __init__(self, ctx: Context, script: str) -> None:
        self._script = script
        self._values = {"key": key_of(script, ctx.config.main_database)}
        name = f"pgcohesion script.{script}"
        self._database = Database(ctx.server.parameters, MAINTENANCE, name, ctx.server.complaint)

    def __enter__(self) -> Self:
        try:
            self._take()
        except BaseException:
            self._database.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._database.close()

    def check(self) -> None:
        """Make sure that the lock is still held; after its connection was lost, take it again or raise Locked."""
        try:
            if self._database.execute(HELD, self._values)[0].held:
                return
        except CohesionError:
            self._database.forget()
        self._take()

    def _take(self) -> None:
        if self._database.execute(TAKE, self._values)[0].taken:
            return
        holders = self._database.execute(HOLDER, self._values)
        why = "; ".join(holder.who for holder in holders)
        raise Locked(
            f"`script.{self._script}` is running already",
            why=f"its lock is held by {why or 'a session that has just ended'}",
            fix="wait until it has ended, then run the same command again",
        )
