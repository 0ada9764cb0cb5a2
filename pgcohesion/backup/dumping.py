"""``backup.create``: read, decide, and the step that makes a backup."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct, to_builtins

from ..errors import CohesionError
from ..plan import Applied, Change, Plan, Planned, Step
from ..view import Answer, View, count, size, span
from . import catalog, names, shell, source
from .manifest import (
    MANIFEST,
    ROWS,
    SUMS,
    Manifest,
    Rows,
    archive,
    checksum,
    encode,
    encode_rows,
    parse_sums,
    sums_text,
)
from .shell import Place

if TYPE_CHECKING:
    from ..context import Context

TOTAL = re.compile(r"^pgcohesion: total (\d+) (\d+)$", re.MULTILINE)


class Made(Answer, frozen=True):
    """A backup that was made and is listed."""

    manifest: Manifest
    path: str
    applied: Applied

    def as_dict(self) -> dict[str, Any]:
        """Return the manifest and what was done."""
        return {**self.applied.as_dict(), "path": self.path, "manifest": to_builtins(self.manifest)}

    def view(self) -> View:
        """Return where it lies and what is in it."""
        made = self.manifest
        verdict = (
            f"backup {made.id}: {size(made.dump_bytes)} for {size(made.database_bytes)},"
            f" {count(made.tables, 'table')}, {count(made.rows, 'row')} ({span(self.applied.seconds)}) in {self.path}"
        )
        return View(verdict=verdict, next=f"inv backup.restore {made.id} --env={self.applied.plan.env}")


class Job(Struct, frozen=True):
    """A backup to be made of *database*."""

    id: str
    database: str
    jobs: int
    server: source.Server
    tool: str


def create(ctx: Context, database: str = "") -> Planned | Made:
    """Make a backup. Raises UsageError for an unknown database, CohesionError when it cannot be made."""
    ctx.running()
    name = database or ctx.config.main_database
    where = catalog.place(ctx)
    found = source.server(ctx)
    bytes_ = source.size_of(ctx, found, name)
    listed = catalog.read(ctx, ctx.server.tool("pg_dump"))
    tool = check_tool(listed.tool, found)
    identity = names.new_id(datetime.now(UTC), name, names.ids(listed.names))
    job = Job(identity, name, max(1, ctx.config.backup.jobs), found, tool)
    plan = Plan(ctx.env, tuple(changes(ctx.env, job, bytes_, listed, where)))
    done = ctx.apply(plan, next=f"inv backup.list --env={ctx.env}")
    if isinstance(done, Planned):
        return done
    _, manifest = catalog.find(catalog.read(ctx).entries, job.id, name)
    return Made(manifest, where.of(job.id), done)


def check_tool(text: str, found: source.Server) -> str:
    """Return the version of pg_dump, which says *text*. Raises CohesionError unless it is of the server's major one."""
    match = re.search(r"\(PostgreSQL\) ((\d+)\S*)", text)
    if not match:
        raise CohesionError(
            "there is no usable pg_dump",
            why=text or "it said nothing",
            fix=f"install the client programs of PostgreSQL {found.major}",
        )
    if int(match[2]) != found.major:
        raise CohesionError(
            f"pg_dump is of PostgreSQL {match[1]}, the server of {found.version}",
            why="a dump is made by the server's own major version",
            fix="mend postgresql.version or postgresql.bin in the environment's file",
        )
    return match[1]


def changes(env: str, job: Job, bytes_: int, listed: catalog.Catalog, where: Place) -> Iterator[Change]:
    """Yield what makes a backup, and first what removes the remains of others."""
    if not listed.exists:
        yield Change(
            "create", f"folder {where.folder}", Step(_make_folder), f"mode 0700, of {where.user or 'ourselves'}"
        )
    for left in names.stale(listed.names, env):
        path = where.of(left)
        yield Change("run", f"remove {left}", Step(lambda ctx, path=path: remove(ctx, path)), "its maker was killed")  # type: ignore[misc]
    free = f", {size(listed.free)} free there" if listed.free is not None else ""
    yield Change(
        "create",
        f"backup {job.id}",
        Step(lambda ctx: _make(ctx, job)),
        f"database {names.printable(job.database)}, {size(bytes_)}{free}",
    )


def _make_folder(ctx: Context) -> None:
    where = catalog.place(ctx)
    owner = "root" if where.user else None
    done = ctx.runner.run(("sh", "-c", shell.FOLDER, "folder", where.folder, where.user or ""), user=owner, check=False)
    if done.status:
        raise shell.failure(f"cannot make the folder `{where.folder}`", done.stderr, where.folder)


def remove(ctx: Context, path: str) -> None:
    """Remove what is left of a backup."""
    ctx.runner.run(("sh", "-c", shell.REMOVE, "remove", path), user=catalog.place(ctx).user)


def _make(ctx: Context, job: Job) -> None:
    aside = catalog.place(ctx).of(names.partial(job.id, ctx.env))
    try:
        _write(ctx, job, aside)
    except BaseException:
        with suppress(CohesionError):
            remove(ctx, aside)
        raise


def _write(ctx: Context, job: Job, aside: str) -> None:
    where = catalog.place(ctx)
    started = datetime.now(UTC)
    with source.snapshot(ctx, job.database) as taken:
        words = (aside, str(job.jobs), taken.id, names.conninfo(job.database))
        tools = (ctx.server.tool("pg_dump"), ctx.server.tool("pg_dumpall"))
        argv = shell.programs(ctx, shell.DUMP, "dump", *words, *tools)
        with shell.Watched(ctx, where, argv, f"the backup of `{job.database}` was not made") as dump:
            rows = source.count_rows(ctx, job.database, taken.tables)
            text = dump.result()
    files = small_files(_manifest(ctx, job, taken, rows, started, text), rows, parse_sums(text))
    done = ctx.runner.run(
        ("sh", "-c", shell.PUBLISH, "publish", aside, where.of(job.id)),
        user=where.user,
        stdin=archive(files),
        check=False,
    )
    if done.status:
        raise shell.failure(f"the backup of `{job.database}` was not made", done.stderr, where.folder)


def _manifest(ctx: Context, job: Job, taken: source.Snapshot, rows: Rows, started: datetime, text: str) -> Manifest:
    total = TOTAL.search(text)
    assert total
    return Manifest(
        id=job.id,
        env=ctx.env,
        host=ctx.host,
        database=job.database,
        server_version=job.server.version,
        server_version_num=job.server.version_num,
        system_identifier=job.server.system_identifier,
        tool_version=job.tool,
        started_at=started,
        ended_at=datetime.now(UTC),
        jobs=job.jobs,
        database_bytes=taken.bytes,
        dump_files=int(total[1]),
        dump_bytes=int(total[2]),
        tables=len(taken.tables),
        rows=sum(number for table, number in rows.items() if table != source.LARGE_OBJECTS),
        source=taken.source,
    )


def small_files(manifest: Manifest, rows: Rows, sums: dict[str, str]) -> dict[str, bytes]:
    """Return the files that stand beside the dump; *sums* are those of the dump's own files."""
    files = {MANIFEST: encode(manifest), ROWS: encode_rows(rows)}
    every = {**sums, **{name: checksum(content) for name, content in files.items()}}
    return {**files, SUMS: sums_text(every)}
