"""A developer's machine: what it lacks, and the way from a clone to a working database."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from .errors import CohesionError
from .plan import Planned
from .server import State
from .view import Answer, Grade, Line, View, count, size

if TYPE_CHECKING:
    from .context import Context
    from .setup import Ready

ROOM_FOR_A_CLUSTER = 200 * 1024**2


class Finding(Struct, frozen=True):
    """Something that this machine has or lacks, and the line that mends it."""

    grade: Grade
    text: str
    fix: str = ""


class Examined(Answer, frozen=True):
    """What `dev.doctor` found."""

    findings: tuple[Finding, ...]

    @property
    def failed(self) -> bool:
        """Whether something is missing that is needed."""
        return any(finding.grade is Grade.FAIL for finding in self.findings)

    def view(self) -> View:
        """Return a line a finding, the worst last."""
        order = (Grade.OK, Grade.SKIPPED, Grade.UNKNOWN, Grade.WARN, Grade.FAIL)
        ranked = sorted(self.findings, key=lambda finding: order.index(finding.grade))
        lines = tuple(
            Line(f.text, grade=f.grade, details=tuple(f"fix: {part}" for part in f.fix.splitlines())) for f in ranked
        )
        bad = [f for f in self.findings if f.grade in (Grade.WARN, Grade.FAIL)]
        verdict = f"{count(len(bad), 'thing')} to mend" if bad else "this machine has all that is needed"
        return View(lines, verdict, Grade.FAIL if self.failed else Grade.WARN if bad else Grade.OK)


def doctor(ctx: Context) -> Examined:
    """Look at this machine, without changing it."""
    findings = [*_python(ctx), *_disk(ctx), *_secrets(ctx)]
    findings += [*_hosts(ctx)] if ctx.config.postgresql.source == "packages" else [*_embedded(ctx)]
    return Examined(tuple(findings))


def _python(ctx: Context) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding(Grade.OK, f"Python {version}, {Path(sys.prefix).name}")
    for program, fix in (("git", "apt-get install git"), ("ssh", "apt-get install openssh-client")):
        if shutil.which(program) is None:
            yield Finding(Grade.WARN, f"there is no `{program}`", fix)


def _disk(ctx: Context) -> Iterator[Finding]:
    free = shutil.disk_usage(ctx.root).free
    grade = Grade.OK if free > ROOM_FOR_A_CLUSTER else Grade.FAIL
    yield Finding(
        grade,
        f"{size(free)} are free for data",
        "" if grade is Grade.OK else f"free {size(ROOM_FOR_A_CLUSTER)} on {ctx.root}",
    )
    if not os.access(ctx.root, os.W_OK):
        yield Finding(Grade.FAIL, f"`{ctx.root}` is not writable", "make it writable, or clone elsewhere")


def _embedded(ctx: Context) -> Iterator[Finding]:
    from .server.embedded import Embedded

    if not isinstance(ctx.server, Embedded):
        return
    user = ctx.server.user
    try:
        folder = Path(ctx.server.tool("postgres"))
    except CohesionError as error:
        yield Finding(Grade.FAIL, f"{error.what}: {error.why}", error.fix)
        return
    who = f", run as `{user}` because PostgreSQL refuses root" if user else ""
    done = ctx.runner.run((str(folder), "--version"), user=user, check=False)
    if done.status:
        yield Finding(
            Grade.FAIL,
            f"PostgreSQL does not run: {done.stderr.strip()[:200]}",
            "name an installed one in postgresql.bin",
        )
        return
    yield Finding(Grade.OK, f"{done.stdout.strip().removeprefix('postgres ')}{who}")
    state = ctx.server.state()
    fix = {State.ABSENT: f"inv db.setup --env={ctx.env}", State.STOPPED: f"inv db.start --env={ctx.env}"}.get(state, "")
    yield Finding(Grade.WARN if fix else Grade.OK, f"the database of `{ctx.env}` is {state}", fix)


def _secrets(ctx: Context) -> Iterator[Finding]:
    dotenv = ctx.root / "environments" / f"{ctx.env}.env"
    if dotenv.exists() and dotenv.stat().st_mode & 0o077:
        yield Finding(
            Grade.WARN, f"environments/{ctx.env}.env can be read by others", f"chmod 600 environments/{ctx.env}.env"
        )
    for name, role in ctx.config.roles.items():
        if role.password is not None:
            try:
                ctx.secret(role.password, f"roles.{name}.password")
            except CohesionError as error:
                yield Finding(
                    Grade.FAIL, f"{error.what}: {error.why}", f"{error.fix}, in environments/{ctx.env}.env for example"
                )


def _hosts(ctx: Context) -> Iterator[Finding]:
    if not ctx.config.primary[1].ssh:
        return
    try:
        ctx.run(("true",), user="root")
    except CohesionError as error:
        yield Finding(Grade.FAIL, f"{error.what}: {error.why}", error.fix)
        return
    yield Finding(Grade.OK, f"`{ctx.host}` answers and lets us use sudo")


class Onboarded(Answer, frozen=True):
    """A new developer's database, and where to go from here."""

    ready: Ready

    @property
    def failed(self) -> bool:
        """Whether a health check failed."""
        return self.ready.failed

    def view(self) -> View:
        """Return what was made, in words."""
        env = self.ready.env
        where = f" --env={env}" if env != "development" else ""
        steps = (
            f"inv db.shell{where}            psql on it",
            f"inv db.run{where} -- CMD     run your program with DATABASE_URL and PG* set",
            "inv migrate.new NAME    write a migration, then inv migrate.up",
            f"inv health.check{where}      what is unhealthy, and how to mend it",
            f"inv db.reset{where}          start again from nothing",
            "inv --list              everything else",
        )
        shown = self.ready.view()
        blocks = (
            Line(""),
            *shown.blocks,
            Line(""),
            Line("From here:"),
            *(Line(f"  {step}") for step in steps),
            Line(""),
        )
        return View(blocks, shown.verdict, shown.grade)


def onboard(ctx: Context) -> Answer:
    """Set up the database, saying at each step what it is for."""
    from . import setup

    config, note = ctx.config, ctx.output.note
    examined = doctor(ctx)
    for finding in examined.findings:
        if finding.grade is Grade.FAIL:
            raise CohesionError(finding.text, fix=finding.fix)
    files = len(list((ctx.root / config.migrations.folder).glob("*.sql")))
    where = (
        "an embedded PostgreSQL, in .pgcohesion/ of this clone" if config.postgresql.source == "embedded" else ctx.host
    )
    note(f"This sets up `{ctx.env}`: {where}.")
    roles, databases = count(len(config.roles), "role"), ", ".join(config.databases)
    note(
        f"environments/{ctx.env}.toml declares it: {roles} and the database {databases}. Its schema is in"
        f" {config.migrations.folder}/ ({count(files, 'file')}), its data in {config.seeds.folder}/."
        " Each line below is a change; a second run has none."
    )
    done = setup.setup(ctx)
    return done if isinstance(done, Planned) else Onboarded(done)
