"""The server itself: installation, its files, and their activation with a way back."""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from psycopg import sql

from ..errors import CohesionError, Refused
from ..plan import Change, Run, Sql, Step, WriteFile
from ..server import State
from ..view import count
from .facts import Facts
from .host import FILES, KEPT
from .values import same, text_of

if TYPE_CHECKING:
    from ..context import Context

CREATECLUSTER = "/etc/postgresql-common/createcluster.d/pgcohesion.conf"
TLS_OFF = "hostssl record cannot match because SSL is disabled"
HBA_ERRORS = "SELECT line_number, error FROM pg_hba_file_rules WHERE error IS NOT NULL ORDER BY line_number"
PENDING = "SELECT name FROM pg_settings WHERE pending_restart ORDER BY name"
EFFECTIVE = "SELECT name, setting, unit, vartype, source, sourcefile FROM pg_settings WHERE name = ANY(%(names)s)"


def changes(ctx: Context, facts: Facts) -> Iterator[Change]:
    """Yield what installs the server, writes its files and puts them into effect."""
    host = facts.host
    if host.state is State.ABSENT:
        yield from _install(ctx, facts)
    wanted = wanted_files(ctx)
    different = [name for name in FILES if host.files.get(name) != wanted[name]]
    for name in different:
        yield _file(ctx, name, host.files.get(name), wanted[name])
    overridden = [
        name
        for name, row in facts.settings.items()
        if name in ctx.config.settings and (row.sourcefile or "").endswith("postgresql.auto.conf")
    ]
    for name in overridden:
        yield Change(
            "alter",
            f"setting {name}",
            Sql(sql.SQL("ALTER SYSTEM RESET {}").format(sql.Identifier(name)), transaction=False),
            "ALTER SYSTEM overrides the environment",
        )
    if different or overridden or host.unfinished or host.state is not State.RUNNING or _stale(ctx, facts):
        yield Change(
            "run", _activation(ctx, facts), Step(activate), "validated first; the old files return when it is refused"
        )


def _stale(ctx: Context, facts: Facts) -> bool:
    """Return whether a declared setting is not in effect although the files say so."""
    return any(
        facts.settings[n].pending_restart or not same(v, facts.settings[n])
        for n, v in ctx.config.settings.items()
        if n in facts.settings
    )


def _activation(ctx: Context, facts: Facts) -> str:
    if facts.host.state is not State.RUNNING:
        return "start the server"
    wanted = {**ctx.config.settings, **own_settings(ctx)}
    fixed = sorted(
        name
        for name, row in facts.settings.items()
        if name in wanted and row.context == "postmaster" and not same(wanted[name], row)
    )
    return f"restart the server ({', '.join(fixed)})" if fixed else "reload the server"


def _install(ctx: Context, facts: Facts) -> Iterator[Change]:
    postgresql, host = ctx.config.postgresql, facts.host
    if postgresql.source == "embedded":
        yield Change(
            "create",
            f"cluster {ctx.env}",
            Step(lambda c: c.server.create()),  # type: ignore[attr-defined]
            f"PostgreSQL {postgresql.version}, scram, {'checksums, ' if postgresql.data_checksums else ''}"
            f"{postgresql.locale}",
        )
        return
    package = f"postgresql-{postgresql.version}"
    if host.os and host.lists and not host.candidate and not host.installed:
        raise Refused(
            f"`{ctx.host}` has no package `{package}`",
            why=f"the package sources of {host.os} do not offer it",
            fix="set postgresql.version to one they offer, or add PostgreSQL's own source (apt.postgresql.org)",
        )
    if not host.installed:
        checksums = "--data-checksums " if postgresql.data_checksums else ""
        options = f"initdb_options = '{checksums}--locale={postgresql.locale} --encoding=UTF8'\n"
        yield Change("run", "update the package lists", Run(("apt-get", "update", "-q"), user="root"))
        yield Change("create", "package postgresql-common", Run(_apt("postgresql-common"), user="root"))
        yield Change(
            "create",
            f"file {CREATECLUSTER}",
            WriteFile(CREATECLUSTER, options.encode(), user="root"),
            "checksums, locale and encoding of new clusters",
        )
        yield Change("create", f"package {package}", Run(_apt(package), user="root"))
    yield Change("create", f"cluster {postgresql.version}/{postgresql.cluster}", Step(_create_cluster))


def _apt(package: str) -> tuple[str, ...]:
    return (
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "LC_ALL=C.UTF-8",
        "apt-get",
        "install",
        "-y",
        "-q",
        "--no-install-recommends",
        "-o",
        "DPkg::Lock::Timeout=120",
        package,
    )


def _create_cluster(ctx: Context) -> None:
    """Make the cluster unless the package did so when it was installed (it does for `main`)."""
    script = (
        '[ -e "/etc/postgresql/$1/$2/postgresql.conf" ] || '
        'LC_ALL=C.UTF-8 pg_createcluster "$1" "$2" --port "$3" -- --auth-host=scram-sha-256'
    )
    postgresql = ctx.config.postgresql
    ctx.run(
        ("sh", "-c", script, "create", str(postgresql.version), postgresql.cluster, str(postgresql.port or 5432)),
        user="root",
    )
    ctx.run(("systemctl", "enable", f"postgresql@{postgresql.version}-{postgresql.cluster}"), user="root", check=False)


# --- files --------------------------------------------------------------------------------------------


def own_settings(ctx: Context) -> dict[str, Any]:
    """Return the settings that pgcohesion itself decides, from ``[postgresql]``."""
    postgresql = ctx.config.postgresql
    own: dict[str, Any] = {"listen_addresses": postgresql.listen_addresses}
    if postgresql.source == "embedded":
        return own
    cluster = f"{postgresql.version}-{postgresql.cluster}"
    etc, data = (
        f"/etc/postgresql/{postgresql.version}/{postgresql.cluster}",
        f"/var/lib/postgresql/{postgresql.version}/{postgresql.cluster}",
    )
    return {
        **own,
        "port": postgresql.port or 5432,
        "data_directory": data,
        "hba_file": f"{etc}/pg_hba.conf",
        "ident_file": f"{etc}/pg_ident.conf",
        "external_pid_file": f"/var/run/postgresql/{cluster}.pid",
        "unix_socket_directories": "/var/run/postgresql",
        "cluster_name": f"{postgresql.version}/{postgresql.cluster}",
    }


def wanted_files(ctx: Context) -> dict[str, str]:
    """Render the configuration files. Raises ConfigError for a broken template."""
    method = "scram-sha-256" if ctx.config.postgresql.source == "embedded" else "peer"
    return {
        "postgresql.conf": ctx.render("postgresql.conf.j2", server=own_settings(ctx)),
        "pg_hba.conf": ctx.render("pg_hba.conf.j2", superuser_method=method),
    }


def _file(ctx: Context, name: str, now: str | None, wanted: str) -> Change:
    lines = difflib.unified_diff(
        (now or "").splitlines(), wanted.splitlines(), "on the host", "declared", n=0, lineterm=""
    )
    changed = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
    plus, minus = (sum(line.startswith(sign) for line in changed) for sign in "+-")
    detail = "\n".join([f"{count(plus, 'line')} in, {minus} out", *changed])
    path = f"{ctx.server.folder()}/{name}"
    return Change("create" if now is None else "alter", f"file {name}", Step(lambda c: _write(c, path, wanted)), detail)


def _write(ctx: Context, path: str, content: str) -> None:
    """Keep the old file once, until the new one is in effect, then write."""
    keep = '[ ! -e "$1" ] || [ -e "$1$2" ] || cp -p "$1" "$1$2.new" && { [ ! -e "$1$2.new" ] || mv "$1$2.new" "$1$2"; }'
    user = ctx.server.user
    ctx.runner.run(("sh", "-c", keep, "keep", path, KEPT), user=user)
    ctx.runner.write(WriteFile(path, content.encode(), 0o640, user))


# --- activation ---------------------------------------------------------------------------------------


def activate(ctx: Context) -> None:
    """Validate the files, then reload, restart or start, whichever they need; else put the old files back.

    Raises CohesionError with file and line of what PostgreSQL refuses; the server keeps running as it was.
    """
    try:
        _validate(ctx)
        if ctx.server.state() is State.RUNNING:
            _reload(ctx)
            pending = [row.name for row in ctx.db.execute(PENDING, database="postgres")]
            if pending:
                ctx.db.forget()
                ctx.server.restart()
        else:
            ctx.server.start()
        _verify(ctx)
    except CohesionError as error:
        if _restore(ctx):
            error.fix = "\n".join(
                filter(None, [error.fix, "the old configuration is back in place; mend the environment's file"])
            )
        raise
    ctx.runner.run(("rm", "-f", *(f"{ctx.server.folder()}/{name}{KEPT}" for name in FILES)), user=ctx.server.user)


def _validate(ctx: Context) -> None:
    """Let PostgreSQL parse the files that are in place but not loaded (manual: postgres -C, pg_hba_file_rules).

    pg_file_settings is not asked: it has the same words for a wrong value and for one that needs a restart.
    """
    done = ctx.runner.run(ctx.server.configuration_test(), user=ctx.server.user, check=False)
    found = [] if done.status == 0 else _complaints(done.stderr, wanted_files(ctx)["postgresql.conf"])
    if not found and ctx.server.state() is State.RUNNING:
        tls = ctx.config.settings.get("ssl") in (True, "on")  # in the new files: the server speaks of the old ones
        found = [
            f"pg_hba.conf:{row.line_number}: {row.error}"
            for row in ctx.db.execute(HBA_ERRORS, database="postgres")
            if not (tls and TLS_OFF in row.error)
        ]
    if found:
        raise CohesionError("PostgreSQL refuses the new configuration", why="\n".join(found))


def _complaints(stderr: str, text: str) -> list[str]:
    """Return the server's complaints with the line of postgresql.conf that each is about."""
    found = []
    for line in stderr.splitlines():
        words = re.sub(r"^.*?(LOG|ERROR|FATAL|HINT|DETAIL|WARNING):\s+", "", line)
        if "contains errors" in words or not words.strip():
            continue
        named = re.search(r'parameter "([\w.]+)"', words)
        number = next((n for n, row in enumerate(text.splitlines(), 1) if named and row.startswith(f"{named[1]} =")), 0)
        found.append(f"postgresql.conf:{number}: {words}" if number else words)
    return found or ["it said nothing"]


def _reload(ctx: Context) -> None:
    """Reload and wait until the postmaster has done so."""
    before = ctx.db.execute("SELECT pg_conf_load_time() AS at, pg_reload_conf()", database="postgres")[0].at
    deadline = time.monotonic() + 10
    while ctx.db.execute("SELECT pg_conf_load_time() AS at", database="postgres")[0].at == before:
        if time.monotonic() > deadline:
            raise CohesionError(
                "PostgreSQL did not reload its configuration",
                why="its load time did not change within 10 s",
                fix="look into the server's log",
            )
        time.sleep(0.005)


def _verify(ctx: Context) -> None:
    """Compare the effective settings, in a new session, with the declared ones."""
    ctx.db.forget()
    wrong = mismatches(ctx)
    if wrong:
        raise CohesionError("settings are not in effect", why="\n".join(wrong), fix="inv provision.check")


def mismatches(ctx: Context, effective: Mapping[str, Any] | None = None) -> list[str]:
    """Return a line for each declared setting whose effective value differs, and who overrides it."""
    wanted = {**own_settings(ctx), **ctx.config.settings}
    if effective is None:
        rows = ctx.db.read({"settings": EFFECTIVE}, {"settings": {"names": list(wanted)}}, database="postgres")[
            "settings"
        ]
        effective = {row.name: row for row in rows}
    lines = []
    for name, value in wanted.items():
        row = effective.get(name)
        if row is not None and not same(value, row):
            where = f"{row.source}{f', {row.sourcefile}' if row.sourcefile else ''}"
            lines.append(f"{name}: declared {text_of(value)}, in effect {row.setting}{row.unit or ''} ({where})")
    return lines


def _restore(ctx: Context) -> bool:
    """Put the kept files back and make the server run with them. Returns whether there were any."""
    script = (
        'found=1; for f in "$@"; do [ ! -e "$f" ] || { mv "$f" "${f%.pgcohesion-old}"; found=0; }; done; exit $found'
    )
    kept = [f"{ctx.server.folder()}/{name}{KEPT}" for name in FILES]
    if ctx.runner.run(("sh", "-c", script, "restore", *kept), user=ctx.server.user, check=False).status:
        return False
    ctx.db.forget()
    if ctx.server.state() is State.RUNNING:
        ctx.server.reload()
    else:
        try:
            ctx.server.start()
        except CohesionError as error:
            ctx.log.warning("the server does not start with the old files either", why=error.why)
    return True
