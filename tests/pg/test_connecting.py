"""db.url, db.run and db.shell lead unmodified programs to the database."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from pgcohesion.server.binaries import wheel
from tests.support import Project

pytestmark = pytest.mark.pg
ENV = "--env=test"


def test_the_url_connects_by_its_passfile_and_shows_no_password(shared: Project) -> None:
    url = shared.inv("db.url", ENV).stdout.strip()
    password = (shared.root / ".pgcohesion/test/chanuka_app.password").read_text().strip()
    assert password not in url
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT current_user, current_setting('search_path')").fetchone() == (
            "chanuka_app",
            "chanuka, public",
        )


def test_reveal_gives_a_url_for_every_driver_and_only_then(shared: Project) -> None:
    url = shared.inv("db.url", ENV, "--reveal").stdout.strip()
    assert "passfile" not in url
    with psycopg.connect(url) as connection:
        assert connection.info.user == "chanuka_app"
    assert shared.json("db.url", ENV, "--reveal")["result"]["url"] == url
    readonly = shared.inv("db.url", ENV, "--reveal", "--role=chanuka_readonly").stdout.strip()
    with psycopg.connect(readonly) as connection, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        connection.execute("DELETE FROM bills")


def test_run_exports_the_connection_and_returns_the_status(shared: Project) -> None:
    folder = wheel()
    assert folder
    query = ("-XAtc", "SELECT current_user, count(*) > 50 FROM bills")
    assert shared.inv("db.run", ENV, "--", str(folder / "psql"), *query).stdout == "chanuka_app|t\n"
    script = "import os, psycopg; print(psycopg.connect(os.environ['DATABASE_URL']).info.dbname)"
    assert shared.inv("db.run", ENV, "--", sys.executable, "-c", script).stdout == "chanuka\n"
    assert shared.inv("db.run", ENV, "--", "sh", "-c", "exit 7").returncode == 7
    assert shared.inv("db.run", ENV, "--", "no-such-program").returncode == 2


def test_what_somebodys_shell_says_to_libpq_leads_nobody_elsewhere(shared: Project) -> None:
    folder = wheel()
    assert folder
    shell = {"PGSERVICE": "none", "PGHOSTADDR": "127.0.0.2", "PGOPTIONS": "-c search_path=x", "PGREQUIREAUTH": "none"}
    shell |= {"PGHOST": "/nowhere", "PGUSER": "nobody", "PGDATABASE": "nothing", "PGPASSWORD": "wrong-one"}
    assert shared.inv("db.status", ENV, env=shell).returncode == 0
    query = (str(folder / "psql"), "-XAtc", "SELECT current_user, count(*) > 50 FROM bills")
    assert shared.inv("db.run", ENV, "--", *query, env=shell).stdout == "chanuka_app|t\n"
    shell = dict.fromkeys(("NEON_DATABASE_URL", "DB_HOST", "JDBC_URL", "POSTGRES_PASSWORD_FILE"), "/nowhere")
    left = shared.inv("db.run", ENV, "--", "env", env=shell).stdout
    assert "/nowhere" not in left


def test_run_ends_its_program_when_it_is_ended(shared: Project) -> None:
    process = subprocess.Popen(
        shared.command("db.run", ENV, "--", "sh", "-c", "echo up; sleep 47.75"),
        cwd=shared.root,
        env=shared.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert "47.75" not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout


def test_shell_reads_sql_from_its_input(shared: Project) -> None:
    done = shared.inv("db.shell", ENV, stdin="SELECT current_user, count(*) > 50 FROM bills;\n")
    assert "postgres" in done.stdout
    done = shared.inv("db.shell", ENV, "--role=chanuka_readonly", stdin="SELECT current_user;\n")
    assert "chanuka_readonly" in done.stdout


def test_row_level_security_holds_for_the_application(shared: Project) -> None:
    url = shared.inv("db.url", ENV, "--reveal").stdout.strip()
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM notifications").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM comments WHERE state <> 'approved'").fetchone() == (0,)
        connection.execute("SET LOCAL chanuka.user_id = '2'")
        seen = connection.execute("SELECT count(*) > 0 FROM comments WHERE state = 'pending'").fetchone()
        assert seen == (True,), "user 2 is a moderator"
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(
                "INSERT INTO comments (bill_id, user_id, stance, body) VALUES (1, 3, 'neutral', 'not me')"
            )


def test_a_server_that_is_killed_under_a_task_is_an_error_in_time(fresh: Project) -> None:
    assert fresh.inv("db.setup", ENV).returncode == 0
    pid = int((fresh.root / ".pgcohesion/test/data/postmaster.pid").read_text().splitlines()[0])
    Path(f"/proc/{pid}").stat()
    import os

    os.kill(pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        done = fresh.inv("db.status", ENV, "--timeout=2")
        assert done.returncode in (3, 4)
        assert time.monotonic() - started < 10
    finally:
        os.kill(pid, signal.SIGCONT)
