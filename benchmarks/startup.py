"""Start-up and everyday tasks against their floors: ``python -m benchmarks.startup [ROUNDS]``."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.support import REPO, Command, environment, rounds, table
from tests.support import project

BARE = "from invoke import task\n\n\n@task\ndef hello(c):\n    '''Say hello.'''\n"
PROBE = "import os, psycopg; psycopg.connect(os.environ['URL']).execute('select 1').fetchone()"


def main() -> None:
    """Measure and print the table."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    inv = str(Path(sys.prefix) / "bin" / "inv")
    bare = Path(tempfile.mkdtemp())
    (bare / "tasks.py").write_text(BARE)
    try:
        with project() as made:
            root, env = made.root, environment(PGCOHESION_ENV="development")
            subprocess.run([inv, "db.setup"], cwd=root, env=env, check=True, capture_output=True)
            url = subprocess.run(
                [inv, "db.url", "--reveal"], cwd=root, env=env, check=True, capture_output=True, text=True
            )
            samples = rounds(
                [
                    Command("bare inv --list", [inv, "--list"], bare, env),
                    Command("inv --list", [inv, "--list"], root, env),
                    Command("./inv --list", [str(REPO / "inv"), "--list"], root, env),
                    Command(
                        "psycopg connect, select 1",
                        [sys.executable, "-c", PROBE],
                        bare,
                        {**env, "URL": url.stdout.strip()},
                    ),
                    Command("inv db.status", [inv, "db.status"], root, env),
                    Command("second inv db.setup", [inv, "db.setup"], root, env),
                ],
                number,
            )
    finally:
        shutil.rmtree(bare)
    table(
        samples,
        [
            ("inv --list", "bare inv --list", 1.25),
            ("./inv --list", "bare inv --list", 1.25),
            ("inv db.status", "psycopg connect, select 1", 1.5),
            ("second inv db.setup", "bare inv --list", 3.0),
        ],
    )


if __name__ == "__main__":
    main()
