"""What a look at a large catalogue costs: ``python -m benchmarks.health [ROUNDS] [TABLES]``.

All of ours, interleaved with the floor and with check_postgres and check_pgactivity where they are installed. The cost
of the server is the CPU time of its backends, which the postmaster adds up when they end.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import psycopg

from benchmarks.support import REPO, Command, environment, once
from pgcohesion.opening import open_context
from tests.support import Project, project

TABLES = 2075
TICK = os.sysconf("SC_CLK_TCK")
CHECK_POSTGRES = (
    "autovac_freeze", "backends", "bloat", "commitratio", "connection", "database_size", "disabled_triggers",
    "hitratio", "index_size", "last_analyze", "last_vacuum", "locks", "prepared_txns",
    "query_time --warning=2min --critical=5min",
    "sequence", "settings_checksum --critical=0", "table_size", "timesync", "txn_idle --warning=10min --critical=1h",
    "txn_time --warning=10min --critical=1h", "txn_wraparound", "version --warning=18.0",
)  # fmt: skip
CHECK_PGACTIVITY = (
    "autovacuum", "backends -w 80% -c 90%", "backends_status -w idle=50 -c idle=90", "btree_bloat -w 90% -c 95%",
    "commit_ratio", "configuration", "connection", "database_size", "hit_ratio -w 50% -c 10%", "invalid_indexes",
    "is_master", "last_analyze -w 10d -c 20d", "last_vacuum -w 10d -c 20d", "locks -w 80% -c 90%",
    "longest_query -w 1h -c 2h", "max_freeze_age -w 40% -c 80%", "minor_version -w 18.0 -c 18.0",
    "oldest_2pc -w 5m -c 1h", "oldest_idlexact -w 5m -c 1h", "oldest_xmin -w 1000000 -c 10000000",
    "pg_dump_backup --path /tmp -w 7d -c 30d", "sequences_exhausted -w 80% -c 90%", "settings", "stat_snapshot_age",
    "table_bloat -w 90% -c 95%", "table_unlogged", "temp_files -w 1GB -c 10GB", "uptime", "wal_files -w 50 -c 100",
    "extensions_versions",
)  # fmt: skip


class Cost(NamedTuple):
    """Seconds."""

    wall: float
    client: float
    server: float


def catalogue(parameters: dict[str, str], tables: int) -> None:
    """Make *tables* tables, three indexes for each, a foreign key for every fourth, and statistics for all."""
    with psycopg.connect(**parameters, dbname="chanuka", autocommit=True) as connection:  # type: ignore[arg-type]
        for part in range(0, tables, 250):
            connection.execute(
                f"""DO $$ BEGIN FOR n IN {part}..{min(part + 249, tables - 1)} LOOP
                EXECUTE format('CREATE TABLE public.t%s (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                    parent bigint, name text, at timestamptz DEFAULT now(), amount numeric, note text)', n);
                EXECUTE format('INSERT INTO public.t%s (parent, name, amount)
                    SELECT NULL, ''n'' || g, g FROM generate_series(1, 20) g', n);
                EXECUTE format('CREATE INDEX ON public.t%s (name, at)', n);
                EXECUTE format('CREATE INDEX ON public.t%s (at)', n);
                IF n % 4 = 1 THEN EXECUTE format('ALTER TABLE public.t%s ADD FOREIGN KEY (parent)
                    REFERENCES public.t%s', n, n - 1); END IF;
                END LOOP; END $$"""
            )
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def ended(postmaster: int) -> float:
    """Return the CPU seconds of the server's processes that have ended."""
    fields = Path(f"/proc/{postmaster}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / TICK


def cost(command: Command, postmaster: int) -> Cost:
    """Run *command*; wait until its backends have ended."""
    before = ended(postmaster)
    sample = once(command)
    last, stable = -1.0, 0
    while stable < 5:
        now = ended(postmaster)
        stable, last = (stable + 1, last) if now == last else (0, now)
        time.sleep(0.05)
    return Cost(sample.wall, sample.cpu, last - before)


def peers(socket: str, port: str) -> list[tuple[str, str]]:
    """Return the peers that are installed, each as a shell's line that runs all of its checks."""
    found = []
    where = f"-H {socket} -p {port}"
    if subprocess.run(["which", "check_postgres"], capture_output=True, check=False).returncode == 0:
        lines = "; ".join(
            f"check_postgres {where} -u postgres -db chanuka --action={action}" for action in CHECK_POSTGRES
        )
        found.append((f"check_postgres, {len(CHECK_POSTGRES)} actions", f"({lines}) >/dev/null 2>&1; true"))
    plugin = "/usr/lib/nagios/plugins/check_pgactivity"
    if Path(plugin).exists():
        status = "--status-file /tmp/pgactivity.data"
        lines = "; ".join(
            f"{plugin} -h {socket} -p {port} -U postgres -d chanuka {status} -s {service}"
            for service in CHECK_PGACTIVITY
        )
        found.append((f"check_pgactivity, {len(CHECK_PGACTIVITY)} services", f"({lines}) >/dev/null 2>&1; true"))
    return found


def commands(made: Project, parameters: dict[str, str]) -> list[Command]:
    """Return what is measured."""
    env = environment(PYTHONPATH=str(REPO), PGPASSWORD=parameters.get("password", ""))
    conninfo = " ".join(f"{name}={value}" for name, value in {**parameters, "dbname": "chanuka"}.items())
    floor = [sys.executable, str(REPO / "benchmarks" / "floor" / "pipeline.py"), conninfo]
    check = ("health.check", "--env=test", "--fail-on=never", "--set", "health.databases=chanuka")
    measured = [
        Command("floor: 48 statements, one pipeline", floor, made.root, env),
        Command("inv health.check", made.command(*check), made.root, env),
        Command("inv health.check --profile quick", made.command(*check, "--profile=quick"), made.root, env),
        Command("inv health.check --profile deep", made.command(*check, "--profile=deep"), made.root, env),
    ]
    return [
        *measured,
        *(
            Command(name, ["sh", "-c", line], made.root, env)
            for name, line in peers(parameters["host"], parameters["port"])
        ),
    ]


def show(costs: dict[str, list[Cost]], floor: str) -> None:
    """Print medians, and ratios to the floor of the same round."""
    print(f"{'command':44} {'wall ms':>9} {'client':>9} {'server':>9}   {'wall':>6} {'server':>6}")
    for name, taken in costs.items():
        middle = [statistics.median(getattr(one, kind) for one in taken) * 1000 for kind in Cost._fields]
        pairs = list(zip(taken, costs[floor], strict=True))
        ratio: Callable[[str], float] = lambda kind, pairs=pairs: statistics.median(  # noqa: E731
            getattr(a, kind) / getattr(b, kind) for a, b in pairs
        )
        numbers = "".join(f" {value:9.0f}" for value in middle)
        print(f"{name:44}{numbers}   {ratio('wall'):6.2f} {ratio('server'):6.2f}")


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    number = int(arguments[0]) if arguments else 5
    tables = int(arguments[1]) if len(arguments) > 1 else TABLES
    with project() as made:
        # The floor asks for the size of every relation, and so locks each until it is through; ours locks none.
        locks = max(64, tables // 16)
        done = made.inv("db.setup", "--env=test", "--set", f"settings.max_locks_per_transaction={locks}")
        if done.returncode:
            sys.exit(done.stderr)
        with closing(open_context("test", root=made.root)) as ctx:
            parameters = dict(ctx.server.parameters())
        postmaster = int((made.root / ".pgcohesion/test/data/postmaster.pid").read_text().splitlines()[0])
        catalogue(parameters, tables)
        measured = commands(made, parameters)
        costs: dict[str, list[Cost]] = {command.name: [] for command in measured}
        for turn in range(number + 1):
            for command in measured:
                taken = cost(command, postmaster)
                if turn:
                    costs[command.name].append(taken)
        print(f"{tables} tables, {3 * tables} indexes; {number} rounds")
        show(costs, measured[0].name)


if __name__ == "__main__":
    main(sys.argv[1:])
