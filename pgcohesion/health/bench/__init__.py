"""How fast a server is: pgbench in a scratch database, our own latencies, and whether two runs differ."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, quantiles
from typing import TYPE_CHECKING, Any

from msgspec import Struct, to_builtins
from psycopg.sql import SQL, Identifier

from ...errors import CohesionError, CommandFailed, ConfigError, UsageError
from ...plan import Change, Plan, Planned, Step
from ...view import Answer, Grade, Line, Table, View, count, moment
from ..history import History
from ..history import of as history_of
from .comparing import SURE, Comparison, compare

if TYPE_CHECKING:
    from ...connections import Database
    from ...context import Context

PREFIX = "pgcohesion_bench_"
SCRIPTS = {"tpcb": "tpcb-like", "select": "select-only", "update": "simple-update"}
SCHEMA = "CREATE TABLE IF NOT EXISTS bench_runs (id INTEGER PRIMARY KEY, at REAL, run TEXT)"
LOOKS = 200  # of each of our own latencies
SETTINGS = """SELECT name, current_setting(name) AS value FROM pg_settings
 WHERE source NOT IN ('default', 'override', 'client', 'session')
   AND name !~ '(_file|_directory|directories|^port|listen_|ssl)'
 ORDER BY name"""
STALE = """SELECT datname::text AS name FROM pg_database d WHERE datname ~ %s
   AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datname = d.datname)"""
MACHINE = r"""echo "cpus $(nproc)"; echo "memory $(awk '/MemTotal/ {print $2 * 1024}' /proc/meminfo)"
echo "kernel $(uname -r)"; awk -F': ' '/model name/ {print "cpu " $2; exit}' /proc/cpuinfo"""


class Run(Struct, frozen=True):
    """One run: transactions a second of each round, latencies in ms, and where it was."""

    at: float
    workload: str
    scale: int
    clients: int
    seconds: float
    tps: list[float]
    latencies: dict[str, dict[str, float]]
    environment: dict[str, str]


class Measured(Answer, frozen=True):
    """A run and its number."""

    number: int
    run: Run

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"id": self.number, **to_builtins(self.run)}

    def view(self) -> View:
        """Return the latencies and the transactions a second."""
        header = ("ms", "p50", "p95", "p99", "max")
        rows = tuple(
            (name, *(f"{values[word]:.3f}" for word in ("p50", "p95", "p99", "max")))
            for name, values in self.run.latencies.items()
        )
        blocks = [Table(header, rows)]
        if not self.run.tps:
            return View(tuple(blocks), f"run {self.number}: there is no pgbench: latencies only")
        spread = f"{min(self.run.tps):,.0f} to {max(self.run.tps):,.0f} in {count(len(self.run.tps), 'round')}"
        what = f"{self.run.workload}, scale {self.run.scale}, {count(self.run.clients, 'client')}"
        verdict = f"run {self.number}: {mean(self.run.tps):,.0f} transactions a second ({spread}; {what})"
        return View(tuple(blocks), verdict, next="inv health.bench --compare 'previous last'")


class Runs(Answer, frozen=True):
    """The runs so far."""

    runs: tuple[tuple[int, Run], ...]

    def as_dict(self) -> dict[str, Any]:
        """Return a value a run."""
        return {"runs": [{"id": number, **to_builtins(run)} for number, run in self.runs]}

    def view(self) -> View:
        """Return a row a run."""
        rows = tuple(
            (
                str(number),
                moment(datetime.fromtimestamp(run.at, UTC)),
                run.workload,
                f"{mean(run.tps):,.0f}" if run.tps else "",
                f"{run.latencies['commit']['p50']:.3f}",
                run.environment.get("version", ""),
            )
            for number, run in self.runs
        )
        return View((Table(("run", "when", "workload", "tps", "commit ms", "version"), rows),), count(len(rows), "run"))


class Compared(Answer, frozen=True):
    """Two runs side by side; *result* is None where they have no rounds, *differs* what else is not the same."""

    numbers: tuple[int, int]
    result: Comparison | None
    differs: dict[str, tuple[str, str]]
    slower_by: float | None = None

    @property
    def failed(self) -> bool:
        """Whether the later run is surely slower by more than was allowed."""
        if self.slower_by is None or self.result is None:
            return False
        return self.result.differs and self.result.ratio < 1 - self.slower_by / 100

    def as_dict(self) -> dict[str, Any]:
        """Return the test's numbers and what differs."""
        return {"runs": list(self.numbers), "tps": to_builtins(self.result), "differs": to_builtins(self.differs)}

    def view(self) -> View:
        """Return what the difference is, and what else differs."""
        lines = [Line(f"{name}: {old or '-'} -> {new or '-'}", mark="~") for name, (old, new) in self.differs.items()]
        return View(tuple(lines), self._words(), Grade.FAIL if self.failed else Grade.OK)

    def _words(self) -> str:
        found = self.result
        if found is None:
            return "the runs have no rounds that can be compared"
        change = abs(found.ratio - 1)
        interval = f"{found.low - 1:+.0%} to {found.high - 1:+.0%}"
        if found.differs:
            return f"{change:.1%} {'faster' if found.ratio > 1 else 'slower'} ({interval}, p = {found.p:.3g})"
        needed = f"; about {count(found.needed, 'round')} each would show 5 %" if found.needed else ""
        return f"no difference that these runs can show ({interval}, p = {found.p:.2g}){needed}"


# --- measuring --------------------------------------------------------------------------------------------------------


def measure(
    ctx: Context, *, seconds: float = 30, rounds: int = 6, scale: int = 1, clients: int = 4, workload: str = "tpcb"
) -> Measured | Planned:
    """Measure in a scratch database of its own, which goes afterwards. With ``--dry-run`` only say what would be done.

    *workload*: tpcb, select, update, or the path of a pgbench script. Raises UsageError, Refused, CommandFailed.
    """
    if seconds / max(rounds, 1) < 1 or rounds < 3:
        raise UsageError("a run needs three rounds of a second or more", fix="--seconds 30 --rounds 6")
    if workload not in SCRIPTS and not Path(workload).is_file():
        raise UsageError(f"no workload `{workload}`", why=f"it is neither {', '.join(SCRIPTS)} nor a file")
    name = f"{PREFIX}{os.getpid()}"
    made: list[Measured] = []

    def work(ctx: Context) -> None:
        with scratch(ctx, name) as db:
            run = _run(ctx, db, name, _Wanted(seconds, rounds, scale, clients, workload))
        with closing(history_of(ctx)) as history:
            made.append(Measured(_keep(history, run), run))

    ctx.running()
    what = f"measure {workload} for {seconds:g} s in database {name}"
    answer = ctx.apply(Plan(ctx.env, (Change("run", what, Step(work), f"scale {scale}, {clients} clients"),)))
    return made[0] if made else answer if isinstance(answer, Planned) else _nothing()


def _nothing() -> Measured:
    raise CohesionError("nothing was measured")


class _Wanted(Struct, frozen=True):
    seconds: float
    rounds: int
    scale: int
    clients: int
    workload: str


@contextmanager
def scratch(ctx: Context, name: str) -> Iterator[Database]:
    """Make a database and drop it at the end; also those that a killed run has left."""
    with closing(ctx.db.another()) as db:
        for row in db.execute(STALE, [f"^{PREFIX}\\d+$"], database="postgres"):
            _drop(db, row.name)
        db.execute(SQL("CREATE DATABASE {} TEMPLATE template0").format(Identifier(name)), database="postgres")
        try:
            db.connection(name)  # nobody takes it for one that was left
            yield db
        finally:
            db.forget(name)
            _drop(db, name)


def _drop(db: Database, name: str) -> None:
    with suppress(CohesionError):
        db.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)), database="postgres")


def _run(ctx: Context, db: Database, name: str, wanted: _Wanted) -> Run:
    environment = _environment(ctx, db)
    tps: list[float] = []
    bench = _Pgbench(ctx, name)
    if bench.there():
        with ctx.output.step("filling the scratch database"):
            bench.run("-i", "-q", "-s", str(wanted.scale))
        script = ("-b", SCRIPTS[wanted.workload]) if wanted.workload in SCRIPTS else ("-f", wanted.workload)
        each = max(1, round(wanted.seconds / wanted.rounds))
        load = ("-n", "-T", str(each), "-c", str(wanted.clients), "-j", str(min(wanted.clients, os.cpu_count() or 1)))
        for turn in range(wanted.rounds):
            with ctx.output.step(f"round {turn + 1} of {wanted.rounds}"):
                tps.append(_tps(bench.run(*load, *script)))
    return Run(
        time.time(),
        wanted.workload,
        wanted.scale,
        wanted.clients,
        wanted.seconds,
        tps,
        latencies(db, name),
        environment,
    )


class _Pgbench:
    """pgbench beside the server: the network is not what is measured."""

    def __init__(self, ctx: Context, database: str) -> None:
        self._ctx, self._database = ctx, database

    def there(self) -> bool:
        """Whether the server's programs have it."""
        try:
            return self.run("--version") != ""
        except CommandFailed:
            return False

    def run(self, *words: str) -> str:
        """Run it and return what it wrote."""
        server = self._ctx.server
        environment = {**server.tool_environment(), "PGDATABASE": self._database}
        # Whoever becomes another user leaves its variables behind: they are given again, and none is a secret.
        argv = ("env", *(f"{name}={value}" for name, value in environment.items()), server.tool("pgbench"), *words)
        packaged = self._ctx.config.postgresql.source == "packages"  # peer authentication; else the password is ours
        try:
            return self._ctx.runner.run(argv, user=server.user if packaged else None).stdout
        except FileNotFoundError as error:
            raise CommandFailed("there is no pgbench", why=str(error), status=127) from error


def _tps(said: str) -> float:
    found = re.search(r"^tps = ([0-9.]+)", said, re.MULTILINE)
    if not found:
        raise CohesionError("pgbench said nothing that is understood", why=said.strip()[-400:])
    return float(found[1])


def latencies(db: Database, name: str) -> dict[str, dict[str, float]]:
    """Return, in ms, the round trip of the least, a look by index and a commit: p50, p95, p99 and max of each."""
    db.execute("CREATE TABLE bench_probe (id int PRIMARY KEY, n int)", database=name)
    db.execute("INSERT INTO bench_probe SELECT n, n FROM generate_series(1, 10000) n", database=name)
    asked: Mapping[str, Callable[[int], tuple[str, list[int]]]] = {
        "select 1": lambda _: ("SELECT 1", []),
        "lookup": lambda n: ("SELECT n FROM bench_probe WHERE id = %s", [n * 37 % 10000 + 1]),
        "commit": lambda n: ("UPDATE bench_probe SET n = n + 1 WHERE id = %s", [n % 100 + 1]),
    }
    found = {}
    for what, statement in asked.items():
        taken = []
        for n in range(LOOKS):
            query, values = statement(n)
            started = time.perf_counter()
            db.execute(query, values, database=name)
            taken.append((time.perf_counter() - started) * 1000)
        cut = quantiles(taken, n=100)
        found[what] = {"p50": cut[49], "p95": cut[94], "p99": cut[98], "max": max(taken)}
    return found


def _environment(ctx: Context, db: Database) -> dict[str, str]:
    (row,) = db.execute("SELECT current_setting('server_version') AS version", database="postgres")
    found = {"version": row.version}
    found |= {f"settings.{one.name}": one.value for one in db.execute(SETTINGS, database="postgres")}
    with suppress(CohesionError):
        said = ctx.run(("sh", "-c", MACHINE), check=False).stdout
        found |= {
            f"machine.{name}": rest for name, _, rest in (line.partition(" ") for line in said.splitlines()) if rest
        }
    return found


# --- keeping and comparing --------------------------------------------------------------------------------------------


def _keep(history: History, run: Run) -> int:
    history.ensure(SCHEMA)
    cursor = history.connection.execute(
        "INSERT INTO bench_runs (at, run) VALUES (?, ?)", (run.at, json.dumps(to_builtins(run)))
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def runs(ctx: Context) -> Runs:
    """Return the runs that are kept."""
    from msgspec import convert

    with closing(history_of(ctx)) as history:
        history.ensure(SCHEMA)
        rows = history.connection.execute("SELECT id, run FROM bench_runs ORDER BY id").fetchall()
    return Runs(tuple((number, convert(json.loads(run), Run)) for number, run in rows))


def compared(ctx: Context, which: str, slower_by: float | None = None) -> Compared:
    """Compare two runs, ``1 2`` or ``previous last``. Raises UsageError, ConfigError for runs of different work."""
    known = dict(runs(ctx).runs)
    names = which.replace(",", " ").split()
    if len(names) != 2:
        raise UsageError("two runs are compared", fix="--compare 'previous last'")
    first, second = (_number(name, list(known)) for name in names)
    old, new = known[first], known[second]
    if (old.workload, old.scale, old.clients) != (new.workload, new.scale, new.clients):
        why = f"{old.workload}, {old.scale}, {old.clients} against {new.workload}, {new.scale}, {new.clients}"
        raise ConfigError("the two runs did not do the same work", why=f"workload, scale, clients: {why}")
    keys = sorted({*old.environment, *new.environment})
    pairs = {key: (old.environment.get(key, ""), new.environment.get(key, "")) for key in keys}
    result = compare(old.tps, new.tps) if min(len(old.tps), len(new.tps)) >= 3 else None
    return Compared((first, second), result, {k: v for k, v in pairs.items() if v[0] != v[1]}, slower_by)


def _number(name: str, known: list[int]) -> int:
    places = {"last": -1, "previous": -2}
    with suppress(IndexError, ValueError):
        number = known[places[name]] if name in places else int(name)
        if number in known:
            return number
    raise UsageError(
        f"no run `{name}`", why=f"there are {known}" if known else "there is none yet", fix="inv health.bench"
    )


__all__ = ["SURE", "Compared", "Measured", "Runs", "compared", "latencies", "measure", "runs"]
