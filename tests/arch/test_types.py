"""What a user's type checker sees through the door."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support import REPO

PROGRAM = """
from typing import Any, assert_type

import psycopg
import pgcohesion
from pgcohesion import get_database_config, get_database_orchestrator

db = get_database_orchestrator("production")
manager = db.get_connection_manager()
assert_type(manager.execute("SELECT 1", readonly=True), list[Any])
with manager.transaction(timeout=2) as connection:
    assert_type(connection.execute("SELECT 1").fetchone(), Any | None)

def move(connection: psycopg.Connection[Any], number: int) -> str:
    return str(number)

assert_type(manager.run(move, 1), str)
with pgcohesion.connect() as plain:
    plain.execute("SELECT 1")
manager.execute(1)  # WRONG
manager.no_such()  # WRONG
pgcohesion.no_such  # WRONG

async def main() -> None:
    asynchronous = db.get_async_connection_manager()

    async def work(connection: psycopg.AsyncConnection[Any]) -> int:
        return 1

    assert_type(await asynchronous.run(work), int)
    async with asynchronous.connection() as connection:
        await (await connection.execute("SELECT 1")).fetchone()

assert_type(db.metrics(), str)
assert_type(get_database_config().get_connection_config().settings.max_size, int)
"""


def test_the_door_is_typed(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--config-file=", "program.py"]
    done = subprocess.run(
        [*command, f"--cache-dir={REPO / '.mypy_cache' / 'users'}"],
        cwd=tmp_path,
        env={"PATH": "", "MYPYPATH": str(REPO)},
        capture_output=True,
        text=True,
        check=False,
    )
    wrong = [number for number, line in enumerate(PROGRAM.splitlines(), 1) if line.endswith("# WRONG")]
    found = [int(line.split(":")[1]) for line in done.stdout.splitlines() if ": error: " in line]
    assert found == wrong, done.stdout
