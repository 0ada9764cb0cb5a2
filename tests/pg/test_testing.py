"""The pytest plugin, as a user's own test suite uses it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import pytest

from pgcohesion.opening import open_context
from tests.support import REPO, Project

pytestmark = pytest.mark.pg

SUITE = """
    import threading, time
    pytest_plugins = ["pgcohesion.testing.plugin"]
    names = []

    def test_schema_and_data_are_there(database):
        names.append(database.name)
        ((bills,),) = database.execute("SELECT count(*) FROM chanuka.bills")
        assert bills > 0
        database.execute("DROP TABLE chanuka.bills CASCADE")
        assert "password" not in repr(database) and "@" in database.url

    def test_the_next_one_has_them_again(database):
        assert database.name not in names
        with database.connect() as connection:
            assert connection.execute("SELECT count(*) FROM chanuka.bills").fetchone()[0] > 0

    def test_somebody_who_stays_connected_is_no_problem(database):
        database.connect()

    def test_dropped(databases):
        with databases.get().connect() as connection:
            left = connection.execute("SELECT datname FROM pg_database").fetchall()
        assert not {name for (name,) in left} & set(names)
"""


def suite(project: Project, *words: str, text: str = SUITE) -> list[str]:
    (project.root / "suite").mkdir(exist_ok=True)
    (project.root / "suite" / "test_mine.py").write_text(textwrap.dedent(text))
    return [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(project.root),
        "suite",
        *words,
    ]


def environment(project: Project) -> dict[str, str]:
    return project.environment(PYTHONPATH=str(REPO), PYTEST_ADDOPTS="")


def left(project: Project) -> list[str]:
    with closing(open_context("test", root=project.root)) as ctx:
        rows = ctx.db.execute("SELECT datname FROM pg_database", database="postgres")
    assert "chanuka" in {row.datname for row in rows}
    return [row.datname for row in rows if row.datname.startswith("throwaway")]


def test_each_test_has_a_database_of_its_own(fresh: Project) -> None:
    done = subprocess.run(
        suite(fresh), cwd=fresh.root, env=environment(fresh), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
    assert left(fresh) == []


def test_what_a_killed_session_left_goes_with_the_next_one(fresh: Project) -> None:
    text = """
        import pathlib, time
        pytest_plugins = ["pgcohesion.testing.plugin"]
        def test_hangs(database):
            pathlib.Path("hangs").touch()
            time.sleep(600)
    """
    running = subprocess.Popen(suite(fresh, text=text), cwd=fresh.root, env=environment(fresh))
    while not Path(fresh.root / "hangs").exists():
        assert running.poll() is None
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert left(fresh) != []
    done = subprocess.run(
        suite(fresh), cwd=fresh.root, env=environment(fresh), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert left(fresh) == []


def test_two_sessions_at_once(fresh: Project) -> None:
    running = [
        subprocess.Popen(
            suite(fresh),
            cwd=fresh.root,
            env=environment(fresh),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    for one in running:
        out, _ = one.communicate(timeout=120)
        assert one.returncode == 0, out
    assert left(fresh) == []
