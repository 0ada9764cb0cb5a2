"""``backup.restore``: verify, decide, and the steps that bring a database back beside the old one."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from psycopg.sql import SQL, Identifier

from ..connections.batch import execute
from ..errors import CohesionError, Refused, UsageError
from ..plan import Applied, Change, Plan, Planned, Step
from ..view import Answer, View, count, size, span
from . import catalog, names, properties, shell, source
from .manifest import Manifest, Rows, Table, Unreadable, decode_rows, differences, parse_sums
from .source import Server

if TYPE_CHECKING:
    from ..context import Context

OURS = ("postgres", "template0", "template1")
TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ANY(%s) AND pid <> pg_backend_pid()"
PAUSE = 0.05


class Job(Struct, frozen=True):
    """A backup that goes into the database *target*, by way of one with the name *aside*."""

    manifest: Manifest
    rows: Rows
    target: str
    aside: str
    server: Server
    jobs: int

    @property
    def replaces(self) -> bool:
        """Whether there is a database of this name."""
        return self.target in self.server.databases


class Restored(Answer, frozen=True):
    """A database that came out of a backup."""

    manifest: Manifest
    database: str
    replaced: bool
    applied: Applied

    def as_dict(self) -> dict[str, Any]:
        """Return where it went and what was compared."""
        made = self.manifest
        compared = {"tables": made.tables, "rows": made.rows}
        return {
            **self.applied.as_dict(),
            "backup": made.id,
            "database": self.database,
            "replaced": self.replaced,
            "compared": compared,
        }

    def view(self) -> View:
        """Return what stands now, and how far that was checked."""
        made = self.manifest
        verdict = (
            f"database {names.printable(self.database)} restored from {made.id}: {count(made.tables, 'table')},"
            f" {count(made.rows, 'row')}, counted as in the backup ({span(self.applied.seconds)})"
        )
        return View(verdict=verdict, next=f"inv db.setup --env={self.applied.plan.env}" if self.replaced else "")


def restore(ctx: Context, identity: str, into: str = "", *, replace: bool = False) -> Planned | Restored:
    """Restore a backup into a new database, or with *replace* into the place of an existing one.

    Raises UsageError for an unknown ID or a name that cannot be used, Refused for one that is taken, CohesionError for
    a damaged backup: then nothing was touched.
    """
    ctx.running()
    entries = catalog.read(ctx).entries
    entry, manifest = catalog.find(entries, identity, ctx.config.main_database)
    found = source.server(ctx)
    target = into or (manifest.database if replace else names.restored(manifest.database, entry.id))
    check(ctx.env, manifest, found, target, replace=replace)
    with ctx.output.step(f"verify {entry.id}"):
        rows = verify(ctx, entry.id, entries)
    aside = names.RESTORING + entry.id.partition("-")[0]
    job = Job(manifest, rows, target, aside, found, max(1, ctx.config.backup.jobs))
    done = ctx.apply(Plan(ctx.env, tuple(changes(job))))
    return done if isinstance(done, Planned) else Restored(manifest, target, job.replaces, done)


def check(env: str, manifest: Manifest, found: Server, target: str, *, replace: bool) -> None:
    """Raise what speaks against a restore of *manifest* into *target*, before anything is touched."""
    if not 0 < len(target.encode()) <= names.NAME_BYTES or "\0" in target:
        raise UsageError(f"`{names.printable(target)}` cannot be a database's name", why="1 to 63 bytes, no NUL")
    if target in OURS or target.startswith((names.RESTORING, names.REPLACED)):
        raise UsageError(f"nothing is restored into `{target}`", why="it is PostgreSQL's, or ours", fix="--into NAME")
    if target in found.databases and not replace:
        raise Refused(
            f"there is a database `{target}` already",
            why="a restore makes a new one",
            fix="--into NAME for another one, or --replace to put it in the place of this one",
        )
    if manifest.major > found.major:
        raise CohesionError(
            f"the backup is of PostgreSQL {manifest.server_version}, the server is {found.version}",
            why="a dump goes into its own version or a newer one",
            fix=f"restore it into a server of version {manifest.major}",
        )
    missing = [role for role in manifest.source.roles if role not in found.roles]
    if missing:
        raise CohesionError(
            f"the server lacks {count(len(missing), 'role')} of the backup",
            why=f"{', '.join(missing)}: they own objects in it, or have privileges on them",
            fix=f"inv provision.apply --env={env}\nor create them; {manifest.id}/globals.sql has them all",
        )


def verify(ctx: Context, identity: str, entries: Sequence[catalog.Entry]) -> Rows:
    """Compare every file of a backup with its checksum and return its row counts. Raises CohesionError."""
    where = catalog.place(ctx)
    jobs = str(max(1, ctx.config.backup.jobs))
    argv = ("sh", "-c", shell.VERIFY, "verify", where.of(identity), jobs)
    with shell.Watched(ctx, where, argv, f"cannot verify `{identity}`") as work:
        text = work.result()
    sums, rows, _ = text.split("\n", 2)
    wanted = parse_sums(base64.b64decode(sums).decode("utf-8", "replace"))
    different = differences(wanted, parse_sums(text)) if wanted else ["SHA256SUMS is missing"]
    if different:
        raise catalog.damaged(identity, different, entries)
    try:
        return decode_rows(base64.b64decode(rows))
    except Unreadable as error:
        raise catalog.damaged(identity, [str(error)], entries) from error


def changes(job: Job) -> Iterator[Change]:
    """Yield what makes the new database, and what it replaces."""
    made, src = job.manifest, job.manifest.source
    for left in sorted(job.server.databases):
        if left.startswith(names.RESTORING):
            yield Change("run", f"remove database {left}", Step(_dropper(left)), "of a restore that was killed")
        if left.startswith(names.REPLACED):
            yield Change(
                "drop", f"database {left}", Step(_dropper(left)), "replaced before, by a restore that was killed"
            )
    detail = [
        f"from {made.id}: {size(made.dump_bytes)}, {count(made.tables, 'table')}, {count(made.rows, 'row')}",
        f"owner {src.owner}, {src.encoding}, {count(len(src.grants), 'grant')}, {count(len(src.settings), 'setting')}",
        f"restored as {job.aside} with {count(job.jobs, 'job')}, its rows counted, then renamed",
    ]
    if src.tablespace not in job.server.tablespaces:
        detail.append(f"in the default tablespace: there is no {src.tablespace} here")
    shown = names.printable(job.target)
    if not job.replaces:
        yield Change(
            "create", f"database {shown}", Step(lambda ctx: _restore(ctx, job, finish=True)), "\n".join(detail)
        )
        return
    yield Change(
        "create", f"database {job.aside}", Step(lambda ctx: _restore(ctx, job, finish=False)), "\n".join(detail)
    )
    yield Change(
        "drop",
        f"database {shown}",
        Step(lambda ctx: _replace(ctx, job)),
        f"with all its data; {job.aside} takes its place",
    )


def _dropper(name: str) -> Any:
    return lambda ctx: _drop(ctx, name)


def _drop(ctx: Context, name: str) -> None:
    ctx.db.forget(name)
    ctx.db.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)), database="postgres")


@contextmanager
def _or_nothing(ctx: Context, name: str) -> Iterator[None]:
    """Drop the database *name*, which is ours, when the work within fails or is interrupted."""
    try:
        yield
    except BaseException:
        ctx.db.forget()
        with suppress(CohesionError):
            _drop(ctx, name)
        raise


def _restore(ctx: Context, job: Job, *, finish: bool) -> None:
    with _or_nothing(ctx, job.aside):
        _empty_database(ctx, job)
        _load(ctx, job)
        source.undisturbed(ctx, job.aside)
        _compare(ctx, job)
        ctx.db.execute("ANALYZE", database=job.aside)
        for statement in properties.grants(job.aside, job.manifest.source):
            ctx.db.execute(statement, database="postgres")
        if finish:
            rename(ctx, [(job.aside, job.target)])


def _empty_database(ctx: Context, job: Job) -> None:
    src = job.manifest.source
    first = (properties.create(job.aside, src, job.server), properties.closed(job.aside))
    for statement in (*first, *properties.settings(job.aside, src)):
        ctx.db.execute(statement, database="postgres")


def _load(ctx: Context, job: Job) -> None:
    where = catalog.place(ctx)
    words = (where.of(job.manifest.id), str(job.jobs), names.conninfo(job.aside), ctx.server.tool("pg_restore"))
    argv = shell.programs(ctx, shell.RESTORE, "restore", *words)
    what = f"`{job.manifest.id}` was not restored; nothing else was touched"
    with shell.Watched(ctx, where, argv, what) as work:
        work.result()


def _compare(ctx: Context, job: Job) -> None:
    wanted = {table: number for table, number in job.rows.items() if table != source.LARGE_OBJECTS}
    found = source.count_rows(ctx, job.aside, [t for t in source.tables_of(ctx, job.aside) if t in wanted])
    wrong = [
        f"{_name(table)}: {found.get(table, 'no table')} instead of {number}"
        for table, number in job.rows.items()
        if found.get(table) != number
    ]
    if wrong:
        raise CohesionError(
            f"`{job.manifest.id}` was not restored: {count(len(wrong), 'table')} came back with other rows",
            why="\n".join(wrong[:10]),
            fix="inv backup.list shows the other backups",
        )


def _name(table: Table) -> str:
    return names.printable(".".join(table))


def _replace(ctx: Context, job: Job) -> None:
    old = f"{names.REPLACED}{datetime.now(UTC):{names.STAMP}}"
    with _or_nothing(ctx, job.aside):
        rename(ctx, [(job.target, old), (job.aside, job.target)])
    try:
        _drop(ctx, old)
    except CohesionError as error:
        raise CohesionError(
            f"`{job.target}` was replaced, but what it was could not be dropped",
            why=error.why or error.what,
            fix=f'it is called {old} now; the next restore drops it, or: DROP DATABASE "{old}"',
        ) from error


def rename(ctx: Context, pairs: Sequence[tuple[str, str]]) -> None:
    """Rename databases in one transaction, ending the sessions in them.

    RENAME locks a database against new sessions and waits 5 s for the old ones to go; they are ended meanwhile.
    Raises ServerError, and then nothing was renamed.
    """
    old = [before for before, _ in pairs]
    for name in old:
        ctx.db.forget(name)
    statements = [
        (f"rename database {a} to {b}", SQL("ALTER DATABASE {} RENAME TO {}").format(Identifier(a), Identifier(b)))
        for a, b in pairs
    ]
    connection = ctx.db.connection("postgres")
    with _without_sessions(ctx, old):
        execute(connection, statements, transaction=True)


@contextmanager
def _without_sessions(ctx: Context, databases: Sequence[str]) -> Iterator[None]:
    ended = threading.Event()
    ctx.db.execute(TERMINATE, (list(databases),), database="template1")  # a session of its own for the thread

    def watch() -> None:
        with suppress(CohesionError):
            while not ended.wait(PAUSE):
                ctx.db.execute(TERMINATE, (list(databases),), database="template1")

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        ctx.db.forget("template1")
