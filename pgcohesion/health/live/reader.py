"""Looks at the server again and again, in a thread: a server that hangs holds up no key."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import psycopg

from ...connections import translate
from ...connections.availability import gist
from ...errors import CohesionError, ConfigError
from ..door import missing, trouble
from .facts import Facts, Statement, prepare, read, statement_texts, statements, statements_schema
from .memory import Memory, Point, gains
from .snapshot import Seen, Top, Trouble
from .words import tidy

if TYPE_CHECKING:
    from ...connections import Connection, Database
    from ...context import Context

PATIENCE = 5.0  # seconds for one look, whatever the server does
TOP_EVERY = 10.0
TOP_SHOWN = 50
TEXTS_KEPT = 2000
REFUSED_FOR = 60.0  # seconds in which what was refused is not asked for again
WAIT_AFTER_TROUBLE = 1.0  # at least


class Reader:
    """Keeps :attr:`seen` up to date; *wake* is called, in the thread, after each look.

    *asking* is since when an answer is waited for. *pid*, *interval* and *paused* may be changed, then :meth:`poke`.
    """

    def __init__(self, ctx: Context, interval: float, wake: Callable[[], None]) -> None:
        self.ctx, self.interval, self._wake = ctx, interval, wake
        self.seen = Seen()
        self.asking: float | None = None
        self.pid: int | None = None
        self.paused = False
        self.error: BaseException | None = None
        self._memory = Memory()
        self._top = _Tops()
        self._refused: dict[str, tuple[float, str]] = {}
        self._connection: Connection | None = None
        self._ended, self._poked = Event(), Event()
        self._thread = Thread(target=self._run, daemon=True, name="health-watch")

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def poke(self) -> None:
        """Look now."""
        self._poked.set()

    def end(self) -> None:
        """Stop; a look that hangs ends with the process."""
        self._ended.set()
        self._poked.set()
        self._thread.join(0.2)

    def remember(self, points: Sequence[Point]) -> None:
        """Put what was seen before this run in front of what is seen now; before :meth:`start`."""
        self._memory.remember(points)

    # --- the thread ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._until_ended()
        except BaseException as error:  # noqa: BLE001  (raised again in the main thread)
            self.error = error
            self._wake()

    def _until_ended(self) -> None:
        try:
            self._first()
            while not self._ended.is_set():
                started = time.monotonic()
                if not self.paused:
                    self._look()
                    self._wake()
                self._rest(started)
        finally:
            self.ctx.close()

    def _first(self) -> None:
        """Find out whether there is a server at all: one that was never set up will not come by itself."""
        self.asking = time.time()
        if self.ctx.config.health.url is None:
            try:
                self.ctx.running()
            except ConfigError:
                raise
            except CohesionError as error:
                self._failed(error)

    def _rest(self, started: float) -> None:
        least = WAIT_AFTER_TROUBLE if self.seen.trouble else 0.05
        self._poked.wait(max(self.interval - (time.monotonic() - started), least))
        self._poked.clear()

    def _look(self) -> None:
        self.asking, db = time.time(), self.ctx.watched
        try:
            with db.within(PATIENCE):
                facts = self._read(db)
        except ConfigError:
            raise
        except CohesionError as error:
            self._failed(error)
        except psycopg.Error as error:
            self._failed(translate(error, "the server could not be asked"))
        else:
            self._took(facts)
        finally:
            self.asking = None

    def _read(self, db: Database) -> Facts:
        connection = self._connected(db)
        now = time.monotonic()
        self._refused = {name: one for name, one in self._refused.items() if now - one[0] < REFUSED_FOR}
        facts = read(connection, PATIENCE, without=tuple(self._refused), pid=self.pid)
        self._refused |= {name: (now, words) for name, words in facts.refused.items() if name != "held"}
        self._top.look(connection)
        return facts

    def _connected(self, db: Database) -> Connection:
        try:
            connection = db.connection()
        except CohesionError as error:
            if not missing(error):
                raise
            connection = db.connection("postgres")
        if connection is not self._connection:
            prepare(connection)
            self._connection = connection
            self._top, self._refused = _Tops(), {}
        return connection

    # --- what came of it ------------------------------------------------------------------------------------

    def _took(self, facts: Facts) -> None:
        now = time.time()
        self._memory.add(facts, now)
        self.seen = Seen(
            number=self.seen.number + 1,
            facts=facts,
            read=now,
            rates=self._memory.rates,
            waits=self._memory.waits(),
            points=tuple(self._memory.points),
            top=self._top.top,
            refused={name: words for name, (_, words) in self._refused.items()},
        )

    def _failed(self, error: CohesionError) -> None:
        from msgspec.structs import replace

        row = trouble(error, self.ctx, PATIENCE)
        before = self.seen.trouble
        since = before.since if before else self.asking or time.time()
        found = Trouble(row.kind, tidy(gist(row.words)), row.fix, since)
        self.seen = replace(self.seen, number=self.seen.number + 1, trouble=found)


class _Tops:
    """The statements of pg_stat_statements, looked at now and then."""

    def __init__(self) -> None:
        self.top = Top()
        self._at = float("-inf")
        self._before: tuple[float, Mapping[int, Statement]] | None = None
        self._texts: dict[int, str] = {}

    def look(self, connection: psycopg.Connection[Any]) -> None:
        now = time.monotonic()
        if now - self._at < TOP_EVERY:
            return
        self._at = now
        schema = statements_schema(connection, PATIENCE)
        found = "pg_stat_statements is not in this database" if schema is None else statements(
            connection, schema, PATIENCE
        )  # fmt: skip
        if isinstance(found, str) or schema is None:
            self.top, self._before = Top(why=str(found), at=time.time()), None
            return
        current = {one.id: one for one in found}
        if self._before is not None:
            self.top = self._gained(connection, schema, current, self._before, now)
        self._before = now, current

    def _gained(
        self,
        connection: psycopg.Connection[Any],
        schema: str,
        current: Mapping[int, Statement],
        before: tuple[float, Mapping[int, Statement]],
        now: float,
    ) -> Top:
        from msgspec.structs import replace

        best = gains(before[1], current, now - before[0])[:TOP_SHOWN]
        unknown = [gain.id for gain in best if gain.id not in self._texts]
        if unknown:
            if len(self._texts) > TEXTS_KEPT:
                self._texts.clear()
            self._texts |= statement_texts(connection, schema, unknown, PATIENCE)
        named = tuple(replace(gain, query=tidy(self._texts.get(gain.id, ""))) for gain in best)
        return Top(named, "" if named else "nothing was called in the last while", time.time())
