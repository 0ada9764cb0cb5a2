"""Read an environment of 200 settings and 20 hosts: ours against tomllib on the same file; and the door's import.

python -m benchmarks.configuration [ROUNDS]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
import tomllib
from pathlib import Path

from pgcohesion.config import load

from .support import REPO, Command, environment, rounds, table

GOAL = 1.3


def project(folder: Path) -> Path:
    """Write the environment and return its file."""
    lines = ["description = 'a large one'", "[postgresql]", "source = 'packages'", "version = 15", "[settings]"]
    lines += [f"'custom.setting_{number}' = '{number}MB'" for number in range(200)]
    for number in range(20):
        role = "primary" if number == 0 else "replica"
        lines += [f"[hosts.db{number}]", f"ssh = 'deploy@db{number}.example'", f"role = '{role}'"]
    path = folder / "environments" / "large.toml"
    path.parent.mkdir()
    path.write_text("\n".join(lines))
    return path


def main(number: int) -> None:
    """Print both tables."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        path = project(folder)
        ours, floor = [], []
        for _ in range(number * 10):
            started = time.perf_counter()
            tomllib.loads(path.read_text("utf-8"))
            middle = time.perf_counter()
            load(folder, "large", environ={})
            ours.append(time.perf_counter() - middle)
            floor.append(middle - started)
    ratio = statistics.median(a / b for a, b in zip(ours, floor, strict=True))
    print(f"load and check / tomllib, warm: {ratio:.2f} (goal {GOAL}) {'reached' if ratio <= GOAL else 'missed'}\n")
    env = environment(PYTHONPATH=str(REPO))
    programs = {
        "python -c pass": "pass",
        "import pgcohesion": "import pgcohesion",
        "import psycopg": "import psycopg",
        "the manager's class": "from pgcohesion.connections import ConnectionManager",
    }
    commands = [Command(name, [sys.executable, "-c", text], REPO, env) for name, text in programs.items()]
    table(
        rounds(commands, number),
        [("import pgcohesion", "python -c pass", 1.25), ("the manager's class", "import psycopg", 1.5)],
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
