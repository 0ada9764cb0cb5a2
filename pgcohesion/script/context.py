"""What a script's methods get."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ..connections import Database
from ..connections.database import Connection
from ..context import Context
from ..errors import DeadlineExceeded, Interrupted
from ..plan import Applied, Change, Planned, Sql, Step, sql
from .alone import OnlyCopy

if TYPE_CHECKING:
    from .base import Script

# A killed script's statement must not go on without it (before PostgreSQL 15, not every system can tell); and where no
# signal can end one that hangs (a script that is called in a thread), the server does, a moment after its time.
BOUNDS = """
SELECT set_config(name, CASE name WHEN 'statement_timeout' THEN %s WHEN 'default_transaction_read_only' THEN %s
                                  ELSE '500ms' END, false)
  FROM pg_settings
 WHERE name IN ('statement_timeout', 'default_transaction_read_only')
    OR name = 'client_connection_check_interval' AND current_setting('server_version_num')::int >= 150000
"""
GRACE = 0.5


class _Bounded(Database):
    """Databases whose sessions end what nobody waits for any more."""

    def __init__(self, ctx: ScriptContext, name: str) -> None:
        super().__init__(ctx.server.parameters, ctx.config.main_database, name, ctx.server.complaint)
        self._remaining = ctx.remaining
        self.read_only = False

    def _connect(self, database: str, role: str | None) -> Connection:
        connection = super()._connect(database, role)
        left = self._remaining()
        connection.execute(BOUNDS, ["0" if left is None else f"{left + GRACE:.3f}s", str(self.read_only)])
        return connection


class ScriptContext(Context):
    """A Context with progress, a deadline and a cancellation point; its connections are the script's own.

    *doing* is what a timeout is explained with; *values* become the result's.
    """

    def __init__(self, outer: Context, script: Script) -> None:
        limited = outer.options.timeout is not None
        super().__init__(
            outer.loaded,
            options=replace(outer.options, timeout=outer.remaining() if limited else script.timeout),
            output=outer.output,
            log=outer.log,
            task=outer.task or f"script.{script.name}",
            runner=outer.runner,
            server=outer.server,
        )
        self.script = script
        self.began = time.monotonic()
        self.doing = ""
        self.values: dict[str, Any] = {}
        self.made = self.skipped = 0
        self.expected: int | None = None
        self._cancelled = threading.Event()
        self._lock: OnlyCopy | None = None

    @cached_property
    def db(self) -> _Bounded:
        """The environment's databases, as superuser."""
        return _Bounded(self, f"pgcohesion script.{self.script.name}")

    def only_read(self) -> None:
        """Let the server refuse what a script would write in a dry run, by mistake."""
        self.db.read_only = True
        self.db.forget()

    def close(self) -> None:
        """Close the script's connections."""
        self.db.close()

    # --- for the script --------------------------------------------------------------------------------

    def sql(self, text: str, **parts: Any) -> Sql:
        """Return a statement of the environment's main database; ``{name:i}`` and ``{name:l}`` as in plan.sql."""
        return sql(text, **{"database": self.config.main_database, **parts})

    def checkpoint(self) -> None:
        """Raise Interrupted when the script was cancelled, DeadlineExceeded when its time is over."""
        if self._cancelled.is_set():
            raise Interrupted(f"`{self.task}` was cancelled", fix="run it again: it goes on from there")
        if self.remaining() == 0:
            raise DeadlineExceeded(
                f"`{self.task}` did not end within {self.options.timeout:g} s", fix="run it again, with more time"
            )

    def cancel(self) -> None:
        """Stop the script at its next checkpoint: before a step, and in a pause."""
        self._cancelled.set()

    def pause(self, seconds: float) -> None:
        """Wait, for as long as there is time; a checkpoint."""
        left = self.remaining()
        self._cancelled.wait(seconds if left is None else min(seconds, left))
        self.checkpoint()

    def expect(self, steps: int) -> None:
        """Say how many steps there will be: progress counts against it."""
        self.expected = steps

    @contextmanager
    def progress(self, label: str) -> Iterator[None]:
        """Show *label* while the work within goes on, and leave it in the log; a checkpoint."""
        self.checkpoint()
        self.doing = label
        started = time.monotonic()
        with self.output.step(label):
            yield
        self.log.info("progress", what=label, duration_ms=round((time.monotonic() - started) * 1000))

    def extract(self, to: Path, schema: str, queries: Mapping[str, Sql], detail: str = "") -> Change:
        """Return the change that writes the rows of each table's query to *to*: one snapshot that psql -f loads."""
        from .extract import extract

        return Change(
            "create", f"file {to}", Step(lambda _: extract(self, to, schema, queries)), detail, idempotent=True
        )

    # --- for its steps ---------------------------------------------------------------------------------

    @contextmanager
    def only_copy(self) -> Iterator[None]:
        """Hold the script's lock, unless several may run. Raises Locked, naming who has it."""
        if self.script.parallel_copies:
            yield
            return
        self.running()
        with OnlyCopy(self, self.script.name) as self._lock:
            yield
        self._lock = None

    def still_alone(self) -> None:
        """Raise Locked when the lock's connection was lost and another copy has begun."""
        if self._lock is not None:
            self._lock.check()

    def make(self, steps: Callable[[ScriptContext], Iterable[Change]]) -> Planned | Applied:
        """Make the changes that *steps* yields, one by one; with `--dry-run` show them."""
        from .running import make

        return make(self, steps)
