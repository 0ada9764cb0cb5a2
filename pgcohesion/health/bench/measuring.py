"""One measurement: a scratch database that goes, pgbench beside the server, our own latencies, and where it was."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from hashlib import sha256
from math import isfinite
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING

from msgspec import Struct
from psycopg.sql import SQL, Identifier

from ...errors import CohesionError, CommandFailed, Locked, UsageError, suggestion
from ...runner import Local
from ...view import count, size
from .answers import CONTROL, RATE, Run
from .comparing import LEAST

if TYPE_CHECKING:
    from ...connections import Database
    from ...context import Context

PREFIX = "pgcohesion_bench_"
SCRIPTS = {"tpcb": "tpcb-like", "select": "select-only", "update": "simple-update"}
WARM_UP = 1  # seconds that are not counted
LOOKS, LOOKING = 100, 1.0  # of each latency in a round, and at most so many seconds
SCALE_BYTES = 16 * 1024**2  # of pgbench's tables, for 1
ROOM = 3  # times the tables: their indexes, WAL, what updates leave
ROWS = 10_000
COMPUTE = "DO $$DECLARE n bigint := 0; BEGIN FOR i IN 1..20000 LOOP n := n + i % 7; END LOOP; END$$"

# Where the data lies, not how it is named there, nor what a password may stand in.
SETTINGS = r"""SELECT name, current_setting(name) AS value FROM pg_settings
 WHERE source NOT IN ('default', 'override', 'client', 'session')
   AND name !~* '(_file|_director(y|ies)|_command|conninfo|passphrase\w*|filename|_prefix|timezone|style|cluster_name)$'
   AND name !~ '^(port|listen_|ssl|unix_socket|lc_|data_directory)'
 ORDER BY name"""
MACHINE = r"""export LC_ALL=C; echo "name $(uname -n)"; echo "kernel $(uname -r)"
echo "cpus $(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)"
awk '/^MemTotal/ {printf "memory %.1f GiB\n", $2 / 1048576}' /proc/meminfo 2>/dev/null
awk -F': ' '/^model name/ {print "cpu " $2; exit}' /proc/cpuinfo 2>/dev/null
df -PT "$1" 2>/dev/null | awk 'NR == 2 {print "disk " $1 " (" $2 ")"}'
[ -r /proc/loadavg ] && echo "load $(cut -d' ' -f1 /proc/loadavg)"
df -Pk "$1" 2>/dev/null | awk 'NR == 2 {printf "free %.0f\n", $4 * 1024}'"""
FREE, LOAD = "machine.free", "machine.load"

LEFT = "SELECT datname::text AS name FROM pg_database WHERE datname ~ %s"
# Who measures holds this lock in the maintenance database for as long as the scratch database is in use: it goes with
# the session, so with a process that was killed.
HOLD = "SELECT pg_try_advisory_lock(hashtext('pgcohesion bench'), hashtext(%s)) AS held"
LET_GO = "SELECT pg_advisory_unlock(hashtext('pgcohesion bench'), hashtext(%s))"


class Wanted(Struct, frozen=True):
    """What is to be measured; *text* is that of a pgbench script of one's own."""

    seconds: float
    rounds: int
    scale: int
    clients: int
    workload: str
    text: str = ""

    @property
    def script(self) -> str:
        """A digest of the text."""
        return sha256(self.text.encode()).hexdigest()[:12] if self.text else ""


def wanted(seconds: float, rounds: int, scale: int, clients: int, workload: str) -> Wanted:
    """Return what is to be measured. Raises UsageError for what cannot be, or could never be compared."""
    if rounds < LEAST or not isfinite(seconds) or seconds / rounds < 1:
        raise UsageError(
            f"a run needs {LEAST} rounds of a second or more",
            why=f"{seconds:g} s in {count(rounds, 'round')}: with less, no difference to another run can be shown",
            fix="--seconds=30 --rounds=6",
        )
    if scale < 1 or clients < 1:
        raise UsageError("`--scale` and `--clients` are 1 or more", fix="--scale=10 --clients=4")
    if workload in SCRIPTS:
        return Wanted(seconds, rounds, scale, clients, workload)
    try:
        text = Path(workload).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UsageError(
            f"no workload `{workload}`",
            why=f"it is no file that can be read: {error}",
            fix=suggestion(workload, SCRIPTS),
        ) from error
    return Wanted(seconds, rounds, scale, clients, Path(workload).name, text)


@contextmanager
def scratch(ctx: Context, name: str) -> Iterator[Database]:
    """Make a database and drop it at the end; first those that killed runs have left, with what still works in them."""
    with closing(ctx.db.another()) as db:
        for row in db.execute(LEFT, [f"^{PREFIX}\\d+$"], database="postgres"):
            if db.execute(HOLD, [row.name], database="postgres")[0].held:
                _drop(db, row.name)
                db.execute(LET_GO, [row.name], database="postgres")
        if not db.execute(HOLD, [name], database="postgres")[0].held:
            raise Locked(f"somebody else measures in {name}", fix="wait until that has ended")
        try:
            db.execute(SQL("CREATE DATABASE {} TEMPLATE template0").format(Identifier(name)), database="postgres")
            yield db
        finally:
            db.forget(name)
            try:
                _drop(db, name)
            except CohesionError as error:  # what went wrong before matters more
                ctx.output.note(f"the database {name} stays: {error}: the next run drops it")


def _drop(db: Database, name: str) -> None:
    db.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)), database="postgres")


def run(ctx: Context, name: str, asked: Wanted) -> Run:
    """Measure in the scratch database *name*. Raises UsageError for a disk that is too small, CommandFailed."""
    bench = Pgbench(ctx, name)
    version = bench.version()
    found = environment(ctx) | ({"pgbench": version} if version else {})
    free, load = (float(found.pop(name, usual)) for name, usual in ((FREE, "inf"), (LOAD, "0")))
    if load > float(found.get("machine.cpus", "inf")) / 2:
        ctx.output.note(f"the machine is busy (load {load:g}): what is measured now is not only the server")
    if version and free < asked.scale * SCALE_BYTES * ROOM:
        need = size(asked.scale * SCALE_BYTES * ROOM)
        raise UsageError(f"scale {asked.scale} needs {need}", why=f"{size(free)} are free", fix="--scale=1")
    with scratch(ctx, name) as db:
        probe = Probe(db, name)
        if version:
            with ctx.output.step("filling the scratch database"):
                bench.fill(asked.scale)
            with ctx.output.step("warming up"):
                bench.rate(asked, WARM_UP)
        rates = []
        for turn in range(asked.rounds):
            with ctx.output.step(f"round {turn + 1} of {asked.rounds}"):
                probe.round()
                if version:
                    rates.append(bench.rate(asked, max(1, round(asked.seconds / asked.rounds))))
    return Run(
        at=time.time(),
        workload=asked.workload,
        script=asked.script,
        scale=asked.scale,
        clients=asked.clients,
        seconds=asked.seconds,
        rounds={**({RATE: rates} if rates else {}), **probe.medians},
        latencies=probe.percentiles(),
        environment=found,
    )


class Pgbench:
    """pgbench beside the server: the network is not what it measures."""

    def __init__(self, ctx: Context, database: str) -> None:
        self._ctx, self._database = ctx, database

    def version(self) -> str:
        """Return what it says of itself; nothing when the server's programs do not have it."""
        try:
            return self._run("--version").strip()
        except CommandFailed as error:
            if error.status == 127:
                return ""
            raise

    def fill(self, scale: int) -> None:
        """Make its tables."""
        self._run("-i", "-q", "-s", str(scale))

    def rate(self, asked: Wanted, seconds: int) -> float:
        """Return the transactions a second of one round. Raises CohesionError when there were none."""
        threads = min(asked.clients, os.cpu_count() or 1)
        load = ("-n", "-T", str(seconds), "-c", str(asked.clients), "-j", str(threads))
        script = ("-f", "-") if asked.text else ("-b", SCRIPTS[asked.workload])
        said = self._run(*load, *script, stdin=asked.text.encode())
        found = re.search(r"^tps = ([0-9.]+)", said, re.MULTILINE)
        if not found or not float(found[1]):
            why = said.strip()[-400:]
            raise CohesionError(f"no transaction ended in {seconds} s", why=why, fix="give it more --seconds")
        return float(found[1])

    def _run(self, *words: str, stdin: bytes = b"") -> str:
        server = self._ctx.server
        variables = {**server.tool_environment(), "PGDATABASE": self._database}
        # Whoever becomes another user leaves its variables behind: they are given again, and none is a secret.
        argv = ("env", *(f"{name}={value}" for name, value in variables.items()), server.tool("pgbench"), *words)
        packaged = self._ctx.config.postgresql.source == "packages"  # peer authentication; else the password is ours
        try:
            return self._ctx.runner.run(argv, user=server.user if packaged else None, stdin=stdin).stdout
        except CommandFailed as error:
            raise CommandFailed("pgbench failed", why=error.why, status=error.status) from error


class Probe:
    """Our own latencies, in ms, as a program of this machine meets them: one session, one statement after the other.

    The least that can be asked, a row by its key, and a change with its commit, as durable as the server is set to be;
    and, as a control, a computation which no setting makes faster: it tells how fast the machine was meanwhile.
    """

    def __init__(self, db: Database, name: str) -> None:
        self._db, self._name = db, name
        self._taken: dict[str, list[float]] = {}
        self.medians: dict[str, list[float]] = {}
        db.execute("CREATE TABLE bench_probe (id int PRIMARY KEY, n int)", database=name)
        db.execute("INSERT INTO bench_probe SELECT n, 0 FROM generate_series(1, %s) n", [ROWS], database=name)

    def round(self) -> None:
        """Ask each a hundred times, or for a second."""
        asked: dict[str, Callable[[int], tuple[str, list[int]]]] = {
            CONTROL: lambda _: (COMPUTE, []),
            "select 1": lambda _: ("SELECT 1", []),
            "lookup": lambda n: ("SELECT n FROM bench_probe WHERE id = %s", [n * 37 % ROWS + 1]),
            "commit": lambda n: ("UPDATE bench_probe SET n = n + 1 WHERE id = %s", [n * 37 % ROWS + 1]),
        }
        for what, statement in asked.items():
            taken: list[float] = []
            begun = time.perf_counter()
            while len(taken) < 2 or (len(taken) < LOOKS and time.perf_counter() - begun < LOOKING):
                query, values = statement(len(taken))
                started = time.perf_counter()
                self._db.execute(query, values, database=self._name)
                taken.append((time.perf_counter() - started) * 1000)
            self._taken.setdefault(what, []).extend(taken)
            self.medians.setdefault(what, []).append(median(taken))

    def percentiles(self) -> dict[str, dict[str, float]]:
        """Return p50, p95, p99 and max of each, of all rounds."""
        cuts = {what: quantiles(taken, n=100, method="inclusive") for what, taken in self._taken.items()}
        return {
            what: {"p50": cut[49], "p95": cut[94], "p99": cut[98], "max": max(self._taken[what])}
            for what, cut in cuts.items()
            if what != CONTROL
        }


# --- where it was -----------------------------------------------------------------------------------------------------


def environment(ctx: Context) -> dict[str, str]:
    """Return the server's version and settings, its machine and what is free there, our own version and commit."""
    from ... import __version__

    (row,) = ctx.db.execute("SELECT current_setting('server_version') AS version", database="postgres")
    settings = ctx.db.execute(SETTINGS, database="postgres")
    return {
        "version": row.version,
        "pgcohesion": __version__,
        "asked from": "this machine" if ctx.runner.name == "this machine" else f"{os.uname().nodename} over SSH",
        **{f"settings.{one.name}": one.value for one in settings},
        **{f"machine.{name}": value for name, value in _machine(ctx).items()},
        **({"repository": said} if (said := commit(ctx.root)) else {}),
    }


def _machine(ctx: Context) -> dict[str, str]:
    with suppress(CohesionError):
        said = ctx.run(("sh", "-c", MACHINE, "machine", ctx.server.data_folder()), check=False).stdout
        pairs = (line.partition(" ") for line in said.splitlines())
        return {name: value.strip() for name, _, value in pairs if value.strip()}
    return {}


def commit(folder: Path) -> str:
    """Return the git commit of a folder, with ``-dirty`` when files were changed since; nothing outside of git."""
    with suppress(CohesionError):
        done = Local().run(("git", "-C", str(folder), "describe", "--always", "--dirty", "--exclude=*"), check=False)
        return "" if done.status else done.stdout.strip()
    return ""
