"""Look at every host and database at once, each by itself: one that hangs or is dead holds up none of the others."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from importlib import import_module
from itertools import chain
from itertools import count as counter
from queue import Empty, SimpleQueue
from threading import Thread
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psycopg
from msgspec.structs import replace

from ..connections import translate
from ..connections.availability import gist
from ..errors import CohesionError, ConfigError, DeadlineExceeded
from ..server.packaged import log_file
from ..view import Grade
from . import door
from .agreeing import agreed
from .altering import undoable
from .asking import EXTENSIONS, PATH, Answer, ask
from .checks.availability import availability, databases
from .registry import LOG, ROLE, Check, Finding, Limits, findings
from .windows import sample, windowed

if TYPE_CHECKING:
    from ..connections import Database
    from ..context import Context
    from .history import Place

GRACE = 0.5  # seconds between the end of what we ask and the end of the run: what is bounded has then said so
CREW = 4  # databases of one server that are asked at once
DAMAGED = ("XX001", "XX002")  # data_corrupted, index_corrupted
NOT_ALLOWED = "42501"
Earlier = Mapping["Place", tuple[float, Mapping[str, Any]]]
Job = Callable[[], Iterable[Finding]]
Fallback = Callable[[CohesionError], Iterable[Finding]]


class Look:
    """One look at an environment, within *seconds*; *samples* has the counters that were read.

    *earlier* are samples of former runs, *now* the time (epoch seconds) to compare them with.
    """

    def __init__(
        self, ctx: Context, checks: Sequence[Check], seconds: float, *, now: float = 0.0, earlier: Earlier | None = None
    ) -> None:
        self.ctx, self.checks, self.seconds = ctx, checks, seconds
        self.now, self.earlier = now or time.time(), earlier or {}
        self.deadline = time.monotonic() + max(seconds - GRACE, seconds / 2)
        self.samples: dict[Place, dict[str, Any]] = {}
        self._done: SimpleQueue[tuple[int, Iterable[Finding] | BaseException]] = SimpleQueue()
        self._open: dict[int, Fallback] = {}
        self._several = False
        self._across: dict[str, list[Any]] = {}
        self._written: dict[str, Mapping[str, str | None]] = {}
        self._roles: dict[str, str] = {}
        self._let_in: set[str] = set()
        self._numbers = counter()  # servers' threads start others, too

    def findings(self) -> Iterator[Finding]:
        """Yield what is found, as it comes. Raises ConfigError where the one server cannot be asked yet."""
        with ExitStack() as bounds:
            yield from self._found(bounds)

    def _found(self, bounds: ExitStack) -> Iterator[Finding]:
        primary = self.ctx.host
        hosts = list(self.ctx.config.hosts) or [primary]
        self._several = len(hosts) > 1
        for name in hosts:
            at = self.ctx.on(name)
            bounds.enter_context(at.within(self.deadline - time.monotonic()))
            shown = "" if name == primary else name
            self._start(lambda at=at, shown=shown: self._server(at, shown), self._no_server(at, shown))  # type: ignore[misc]
            self._sources(at, shown)
        everywhere = {check.id for check in self.checks if check.everywhere}
        others = [name for name in hosts if name != primary]
        # What programs read from, and no host says how to ask as its superuser.
        unasked = self.ctx.config.application.replicas[len(others) :]
        log = self._log()
        for one in agreed(chain(self._results(), self._compared()), everywhere, [*others, *unasked]):
            if LOG in one.fix:
                yield replace(one, fix=one.fix.replace(LOG, log))
            elif one.grade is Grade.SKIPPED:
                yield replace(one, text=one.text.replace(ROLE, self._roles.get(one.host, ROLE)))
            else:
                yield undoable(one, self._written.get(one.host))

    def _log(self) -> str:
        """Return how the log of a server is looked at: without a collector it does not know its own file."""
        config = self.ctx.config
        if (
            self.ctx.only_looked_at
            or config.postgresql.source == "embedded"
            or config.settings.get("logging_collector")
        ):
            return LOG
        return f"sudo tail -n 50 {log_file(config.postgresql)}  # "

    # --- the crew ---------------------------------------------------------------------------------------------

    def _start(self, job: Job, fallback: Fallback) -> None:
        number = next(self._numbers)
        self._open[number] = fallback

        def work() -> None:
            try:
                self._done.put((number, list(job())))
            except BaseException as error:  # noqa: BLE001  (it is raised again, or told, where results are read)
                self._done.put((number, error))

        Thread(target=work, daemon=True, name=f"health-{number}").start()

    def _results(self) -> Iterator[Finding]:
        while self._open:
            try:
                number, result = self._done.get(timeout=max(0.0, self.deadline + GRACE - time.monotonic()))
            except Empty:
                late = DeadlineExceeded(f"no answer within {self.seconds:g} s")
                for fallback in list(self._open.values()):  # another thread may start one more even now
                    yield from fallback(late)
                return
            fallback = self._open.pop(number)
            if isinstance(result, CohesionError):
                yield from fallback(result)
            elif isinstance(result, BaseException):
                raise result
            else:
                yield from result

    def _compared(self) -> Iterator[Finding]:
        """Yield what the servers' rows together tell, once each has answered or is known not to."""
        for check in self.checks:
            if check.id in self._across:
                yield from findings(check, self._across[check.id], self._limits(check))

    # --- a server ---------------------------------------------------------------------------------------------

    def _server(self, ctx: Context, host: str) -> Iterator[Finding]:
        if host or ctx.config.health.url is None:
            ctx.running()
        with ctx.watched.within(self.deadline - time.monotonic()):
            yield from self._first(ctx, host)

    def _first(self, ctx: Context, host: str) -> Iterator[Finding]:
        """Ask the main database about the server and about itself; start who asks the others."""
        db, started = ctx.watched, time.monotonic()
        main = db.default
        try:
            connection = db.connection(main)
        except CohesionError as error:
            if not door.missing(error):
                raise
            main, connection = "postgres", db.connection("postgres")
        self._let_in.add(host)
        cluster = [one for one in self.checks if one.scope == "cluster" and one.query]
        cluster = [one for one in cluster if self._several or not one.across]
        inside = [one for one in self.checks if one.scope == "database" and (one.everywhere or not host)]
        asked = [door.question(ctx, connection), *self._guards(connection, [*cluster, *inside])]
        answers = self._asked(connection, asked)
        server = answers[0]
        if isinstance(server, psycopg.Error):
            raise translate(server, "the health checks could not be run")
        self._written[host], self._roles[host] = server[0].written or {}, server[0].role
        yield from self._availability(ctx, host, db.default, server[0], time.monotonic() - started)
        if inside or (databases in self.checks and not host):
            yield from self._databases(ctx, main, server[0].databases or {}, inside, host)
        yield from self._judged(connection, cluster, "", host, answers[1:])
        yield from self._judged(connection, inside, main, host, answers[1:])

    def _availability(self, ctx: Context, host: str, main: str, server: Any, seconds: float) -> Iterator[Finding]:
        if availability in self.checks:
            row = door.answered(ctx, server, main, seconds)
            yield from findings(availability, [row], self._limits(availability), "", host)

    def _no_server(self, ctx: Context, host: str) -> Fallback:
        def unavailable(error: CohesionError) -> Iterator[Finding]:
            if isinstance(error, ConfigError) and not self._several:  # else it must not hide what the others say
                raise error
            row = door.trouble(error, ctx, self.seconds, let_in=host in self._let_in)
            yield from findings(availability, [row], self._limits(availability), "", host)

        return unavailable

    # --- databases ----------------------------------------------------------------------------------------------

    def _databases(
        self, ctx: Context, main: str, present: Mapping[str, str], checks: Sequence[Check], host: str
    ) -> Iterator[Finding]:
        wanted = [name for name in ctx.config.health.databases or present if name != main]
        entered = [main, *(name for name in wanted if present.get(name) in ("open", "limited"))]
        if databases in self.checks:
            yield from self._told([door.database(ctx, name) for name in entered], "", host)
        for name, declared in () if host else ctx.config.databases.items():
            state = present.get(name, "missing")
            if state in ("missing", "closed") or (state == "limited" and declared.connection_limit):
                yield from self._told([door.database(ctx, name, state)], "", host)
        for name in (name for name in wanted if present.get(name) == "denied"):
            yield from self._told([door.database(ctx, name, "denied")], name, host)
        for part in range(min(CREW, len(entered) - 1)):
            names = entered[1 + part :: CREW]
            job = lambda names=names: self._each(ctx, names, checks, host)  # noqa: E731
            self._start(job, self._no_databases(ctx, names, host))

    def _each(self, ctx: Context, names: Sequence[str], checks: Sequence[Check], host: str) -> Iterator[Finding]:
        db = ctx.watched.another()
        try:
            for name in names:
                yield from self._database(ctx, db, name, checks, host)
        finally:
            db.close()

    def _database(self, ctx: Context, db: Database, name: str, checks: Sequence[Check], host: str) -> Iterator[Finding]:
        try:
            with db.within(self.deadline - time.monotonic()):
                connection = db.connection(name)
                guards = self._asked(connection, self._guards(connection, checks))
                yield from self._judged(connection, checks, name, host, guards)
        except CohesionError as error:
            if name not in ctx.config.databases and door.missing(error):
                return  # it was dropped since we asked for the list
            row = door.database(ctx, name, "refused", error.why or error.what, error.fix)
            yield from self._told([row], name, host)

    def _no_databases(self, ctx: Context, names: Sequence[str], host: str) -> Fallback:
        def unasked(error: CohesionError) -> Iterator[Finding]:
            for name in names:
                yield from self._told([door.database(ctx, name, "unasked", error.what)], name, host)

        return unasked

    def _told(self, rows: list[Any], database: str, host: str) -> Iterable[Finding]:
        return findings(databases, rows, self._limits(databases), database, host)

    # --- questions ------------------------------------------------------------------------------------------------

    def _limits(self, check: Check) -> Limits:
        return Limits.of(check, self.ctx.config.health.limits.get(check.id))

    @staticmethod
    def _guards(connection: psycopg.Connection[Any], checks: Sequence[Check]) -> list[str]:
        """Return a statement that answers whether each check may be asked, and where which extensions are."""
        version = connection.info.server_version // 10000
        guarded = [check for check in checks if check.guard and version >= check.min_version]
        return ["SELECT " + ", ".join([EXTENSIONS, *(f"({check.guard}) AS {check.id}" for check in guarded)])]

    def _asked(
        self, connection: psycopg.Connection[Any], queries: Sequence[str], path: str | None = PATH
    ) -> list[Answer]:
        try:
            return ask(connection, queries, self.seconds / 2, path)  # one slow statement leaves time for the others
        except psycopg.Error as error:
            raise translate(error, "the health checks could not be run") from error

    def _judged(
        self,
        connection: psycopg.Connection[Any],
        checks: Sequence[Check],
        database: str,
        host: str,
        guards: Sequence[Answer],
    ) -> Iterator[Finding]:
        version = connection.info.server_version // 10000
        extensions = _extensions(guards)
        able = []
        for check in checks:
            if version < check.min_version:
                continue
            refusal = _refusal(check, guards)
            if refusal:
                yield _of(check, refusal, database, host)
            else:
                able.append(check)
        for group, path in (([c for c in able if not c.external], PATH), ([c for c in able if c.external], None)):
            answers = self._asked(connection, [check.query_on(version, extensions) for check in group], path)
            for check, answer in zip(group, answers, strict=True):
                yield from self._decided(check, answer, database, host)

    def _decided(self, check: Check, answer: Answer, database: str, host: str) -> Iterable[Finding]:
        if isinstance(answer, psycopg.Error):
            words = str(answer.diag.message_primary or answer)
            if answer.sqlstate in DAMAGED:
                return [_of(check, damaged(words), database, host)]
            if answer.sqlstate == NOT_ALLOWED:
                return [_of(check, Finding(Grade.SKIPPED, f"needs {_right(words)}"), database, host)]
            return [_of(check, Finding(Grade.UNKNOWN, words), database, host)]
        rows: list[Any] = answer
        if check.across:
            self._across.setdefault(check.id, []).extend(with_host(rows, host))
            return ()
        if check.counters:
            place = (host, database, check.id)
            at, before = self.earlier.get(place, (None, {}))
            self.samples[place] = sample(check, rows, self.now)
            rows = windowed(check, rows, self.now, at, before)
        return findings(check, rows, self._limits(check), database, host)

    # --- what is not SQL ------------------------------------------------------------------------------------------

    def _sources(self, ctx: Context, host: str) -> None:
        scopes = ("host",) if host else ("host", "cluster")
        wanted = [check for check in self.checks if check.source and check.scope in scopes]
        for source in dict.fromkeys(check.source for check in wanted):
            checks = [check for check in wanted if check.source == source]
            job = lambda source=source, checks=checks: self._source(ctx, source, checks, host)  # noqa: E731
            self._start(job, _unknown(checks, host))

    def _source(self, ctx: Context, source: str, checks: Sequence[Check], host: str) -> Iterator[Finding]:
        try:
            facts = import_module(f"{__package__}.sources.{source}").read(ctx)
        except CohesionError:
            raise
        except Exception as error:  # what one source did not expect must not lose what the others found
            why = f"{type(error).__name__}: {error}"
            raise CohesionError(f"{source} could not be read", why=why) from error
        if facts is not None:
            for check in checks:
                yield from findings(check, facts, self._limits(check), "", host)


def with_host(rows: Iterable[Any], host: str) -> list[Any]:
    """Return rows that know which server they are of."""
    return [SimpleNamespace(**row._asdict(), host=host) for row in rows]


def _unknown(checks: Sequence[Check], host: str) -> Fallback:
    def unknown(error: CohesionError) -> Iterator[Finding]:
        words = f"{error.what}: {gist(error.why)}" if error.why else error.what
        for check in checks:
            yield _of(check, Finding(Grade.UNKNOWN, words, error.fix), "", host)

    return unknown


def _extensions(guards: Sequence[Answer]) -> dict[str, str]:
    (answer,) = guards
    return {} if isinstance(answer, psycopg.Error) else answer[0].extensions or {}


def _refusal(check: Check, guards: Sequence[Answer]) -> Finding | None:
    """Return why a check cannot be asked."""
    if not check.guard:
        return None
    (answer,) = guards
    if isinstance(answer, psycopg.Error):
        return Finding(Grade.UNKNOWN, str(answer.diag.message_primary or answer))
    return None if getattr(answer[0], check.id) else Finding(Grade.SKIPPED, f"needs {check.needs}")


def _of(check: Check, finding: Finding, database: str, host: str) -> Finding:
    return replace(finding, check=check.id, database=database, host=host)


def _right(words: str) -> str:
    """Return what a role lacks that is told *words*."""
    if words.startswith("permission denied to examine"):  # a setting
        return f"pg_read_all_settings: GRANT pg_read_all_settings TO {ROLE};"
    return f"a GRANT: {words}"


def damaged(words: str) -> Finding:
    """Return what a server says that stumbles over damaged data."""
    page = re.search(r'relation "?((?:base|global|pg_tblspc/(\d+)/[^/]+)/(?:\d+/)?(\d+))', words)
    if page is not None:
        fix = (
            "-- keep a copy of the data folder first. What it is:\n"
            "SELECT oid::regclass, relkind FROM pg_class\n"
            f" WHERE oid = pg_filenode_relation({page[2] or 0}, {page[3]});\n"
            "-- an index (i): REINDEX INDEX CONCURRENTLY; a table: restore a backup beside it, and compare"
        )
        return Finding(Grade.FAIL, words, fix, page[1])
    about = re.search(r'(index|table|relation) "(.+?)"(?:$|\s|;)', words)
    if about is None or about[1] != "index":
        fix = "-- keep a copy of the data folder first; then restore a backup beside it: inv backup.list"
        return Finding(Grade.FAIL, words, fix, about[2] if about else "")
    literal = "'" + about[2].replace("'", "''") + "'"
    fix = (
        "-- in psql; what made it so is still to be found: the collation, the disk, the memory\n"
        "SELECT format('REINDEX INDEX CONCURRENTLY %I.%I;', n.nspname, c.relname) FROM pg_class c\n"
        f"  JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = {literal} AND c.relkind = 'i' \\gexec"
    )
    return Finding(Grade.FAIL, words, fix, about[2])
