"""The first ``db.setup`` against initdb, start and psql by hand: ``python -m benchmarks.first_setup [ROUNDS]``."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.support import REPO, Command, environment, rounds, table
from pgcohesion.server.binaries import account, bin_folder
from tests.support import Project, end_server, project

# What a careful script does, without any check: the same flags, roles, database, files and order.
SCRIPT = r"""
set -eu
bin=$1 data=$2 repo=$3
printf 'secret\n' >"$data.pw"
"$bin/initdb" -D "$data" -U postgres --pwfile="$data.pw" -A scram-sha-256 -E UTF8 --locale-provider=builtin \
    --builtin-locale=C.UTF-8 --locale=C -k --no-instructions >/dev/null
printf "listen_addresses = ''\nunix_socket_directories = '%s'\nshared_buffers = '64MB'\n" "$data" \
    >>"$data/postgresql.conf"
"$bin/pg_ctl" -D "$data" -l "$data.log" -s -w start
export PGHOST=$data PGUSER=postgres PGPASSWORD=secret
"$bin/psql" -Xqd postgres -v ON_ERROR_STOP=1 \
    -c 'CREATE ROLE chanuka_owner' -c "CREATE ROLE chanuka_app LOGIN PASSWORD 'a'" \
    -c "CREATE ROLE chanuka_readonly LOGIN PASSWORD 'b'" -c 'CREATE DATABASE chanuka OWNER chanuka_owner'
"$bin/psql" -Xqd chanuka -v ON_ERROR_STOP=1 -c 'CREATE EXTENSION pg_trgm' \
    -c 'CREATE SCHEMA chanuka AUTHORIZATION chanuka_owner'
for file in "$repo"/migrations/*.sql "$repo"/seeds/reference/*.sql "$repo"/seeds/sample/*.sql; do
    "$bin/psql" -Xqd chanuka -v ON_ERROR_STOP=1 -1 -c 'SET ROLE chanuka_owner' \
        -c 'SET search_path = chanuka, public' -f "$file" >/dev/null
done
"""


def main() -> None:
    """Measure and print the table."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    user = account(REPO)
    floor = Path(tempfile.mkdtemp(prefix="pgcohesion-floor-"))
    floor.chmod(0o755)
    data, binaries = floor / "data", bin_folder(None, user)
    with project() as made:
        become = ["setpriv", f"--reuid={user.name}", f"--regid={os.getegid()}", "--clear-groups"] if user.name else []
        by_hand = [*become, "sh", "-c", SCRIPT, "setup", str(binaries), str(data), str(REPO)]
        try:
            user.give(floor)
            samples = rounds(
                [
                    Command("initdb, start, psql -f by hand", by_hand, floor, environment(), lambda: _clear(data)),
                    Command(
                        "first inv db.setup",
                        made.command("db.setup", "--env=development"),
                        made.root,
                        environment(),
                        lambda: _forget(made),
                    ),
                ],
                number,
            )
        finally:
            end_server(data)
            shutil.rmtree(floor)
    table(samples, [("first inv db.setup", "initdb, start, psql -f by hand", 1.5)])


def _clear(data: Path) -> None:
    end_server(data)
    shutil.rmtree(data, ignore_errors=True)


def _forget(made: Project) -> None:
    for folder in (made.root / ".pgcohesion").glob("*/data"):
        end_server(folder)
    shutil.rmtree(made.root / ".pgcohesion", ignore_errors=True)


if __name__ == "__main__":
    main()
