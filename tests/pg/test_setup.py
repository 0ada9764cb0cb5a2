"""``db.setup`` and ``db.reset`` on an embedded server, and the faults that they survive."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pgcohesion.opening import open_context
from pgcohesion.output.text import clean
from tests.support import CI, Project

pytestmark = pytest.mark.pg
SETUP = ("db.setup", "--env=test")


def rows(project: Project, query: str) -> list[tuple[object, ...]]:
    """Return what *query* gives in the project's test database."""
    ctx = open_context("test", root=project.root)
    try:
        return [tuple(row) for row in ctx.db.execute(query)]
    finally:
        ctx.close()


def test_first_run_makes_everything_and_second_changes_nothing(fresh: Project) -> None:
    first = fresh.inv(*SETUP)
    assert first.returncode == 0, first.stderr
    assert "+ cluster test" in first.stderr
    assert "+ database chanuka" in first.stderr
    assert first.stdout.splitlines()[-1].startswith("test: ")
    assert "healthy" in first.stdout.splitlines()[-1]
    assert "connect: postgresql://chanuka_app@localhost:" in first.stdout
    assert rows(fresh, "SELECT count(*) > 50 FROM chanuka.bills") == [(True,)]

    second = fresh.inv(*SETUP)
    assert second.returncode == 0, second.stderr
    assert second.stderr == ""
    assert "no changes; healthy" in second.stdout


def test_dry_run_on_an_empty_machine_shows_all_and_makes_nothing(fresh: Project) -> None:
    before = fresh.tree()
    done = fresh.inv(*SETUP, "--dry-run")
    assert done.returncode == 0, done.stderr
    for what in (
        "+ cluster test",
        "+ role chanuka_app",
        "+ database chanuka",
        "> migration 0001",
        "> seed seeds/reference",
    ):
        assert what in done.stdout
    assert "to create" in done.stdout.splitlines()[-1]
    assert fresh.tree() == before


def test_dry_run_with_a_stopped_server_does_not_start_it(fresh: Project) -> None:
    fresh.inv(*SETUP)
    fresh.inv("db.stop", "--env=test")
    done = fresh.inv(*SETUP, "--dry-run")
    assert "> start the server" in done.stdout
    assert fresh.json("db.status", "--env=test")["result"]["state"] == "stopped"
    assert "no changes" not in fresh.inv(*SETUP).stdout
    assert fresh.json("db.status", "--env=test")["result"]["state"] == "running"


POINTS = (
    "+ secret",
    "INITDB",
    "+ cluster",
    "file pg_hba.conf",
    "start the server",
    "+ role chanuka_app",
    "+ database chanuka",
    "+ schema",
    "migration 0002",
    "seed seeds/reference",
)


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_stopped_at_any_point_the_next_run_completes(fresh: Project, point: str, number: signal.Signals) -> None:
    stopped, err = stop_at(fresh, point, number)
    through = stopped == 0  # on a busy machine the run may be faster than the signal
    assert through or stopped == (-signal.SIGKILL if number is signal.SIGKILL else 130), err
    done = fresh.inv(*SETUP)
    assert done.returncode == 0, done.stderr
    assert rows(fresh, "SELECT count(*) > 50 FROM chanuka.bills") == [(True,)]
    assert "no changes; healthy" in fresh.inv(*SETUP).stdout
    assert not list((fresh.root / ".pgcohesion" / "test").glob("data.*"))


def stop_at(project: Project, point: str, number: signal.Signals) -> tuple[int, str]:
    """Start a setup and send it a signal when *point* is reached; return its exit status and its last words."""
    process = subprocess.Popen(
        project.command(*SETUP),
        cwd=project.root,
        env=project.environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stderr
    if point == "INITDB":
        state = project.root / ".pgcohesion" / "test"
        while not list(state.glob("data.partial-*/base")):
            assert process.poll() is None
            time.sleep(0.001)
    else:
        seen = []
        for line in process.stderr:
            seen.append(line)
            if point in line:
                break
        else:
            raise AssertionError(f"never came to {point}: {seen}")
    process.send_signal(number)
    _, err = process.communicate()
    return process.returncode, err


def test_ctrl_c_says_what_was_done(fresh: Project) -> None:
    process = subprocess.Popen(
        fresh.command(*SETUP),
        cwd=fresh.root,
        env=fresh.environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stderr
    for line in process.stderr:
        if "+ role chanuka_owner" in line:
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert "changes were made" in err
    assert "error: `db.setup` was interrupted (SIGINT)" in err
    assert "Traceback" not in err


def test_two_at_once_the_second_refuses_and_nothing_breaks(fresh: Project) -> None:
    first = subprocess.Popen(
        fresh.command(*SETUP),
        cwd=fresh.root,
        env=fresh.environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert first.stderr
    first.stderr.readline()
    second = fresh.inv(*SETUP)
    out, _ = first.communicate()
    assert first.returncode == 0
    assert "healthy" in out
    assert second.returncode == 5
    assert "error: another run works on `test`" in second.stderr
    assert "process" in second.stderr
    assert "no changes" in fresh.inv(*SETUP).stdout


def test_a_declared_port_that_is_taken_is_named_and_a_free_one_is_chosen_otherwise(fresh: Project) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = fresh.inv(*SETUP, "--set", f"postgresql.port={port}")
        assert done.returncode == 1
        assert f"port {port} is taken" in done.stderr
    assert fresh.inv(*SETUP).returncode == 0

    remembered = int((state_folder(fresh) / "port").read_text())
    fresh.inv("db.stop", "--env=test")
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", remembered))
        taken.listen()
        assert fresh.inv("db.start", "--env=test").returncode == 0
        assert int((state_folder(fresh) / "port").read_text()) != remembered


def state_folder(project: Project) -> Path:
    """Return the environment's state folder."""
    return project.root / ".pgcohesion" / "test"


def test_a_killed_server_and_its_stale_pid_file_are_no_obstacle(fresh: Project) -> None:
    fresh.inv(*SETUP)
    pid_file = state_folder(fresh) / "data" / "postmaster.pid"
    pid = int(pid_file.read_text().splitlines()[0])
    os.kill(pid, signal.SIGKILL)
    while Path(f"/proc/{pid}").exists():
        time.sleep(0.01)
    assert fresh.json("db.status", "--env=test")["result"]["state"] == "stopped"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")  # the pid is now another program's
    done = fresh.inv(*SETUP)
    assert done.returncode == 0, done.stderr
    assert "healthy" in done.stdout


def test_a_data_folder_of_another_major_version_is_refused_with_the_way_out(fresh: Project) -> None:
    fresh.inv(*SETUP)
    fresh.inv("db.stop", "--env=test")
    (state_folder(fresh) / "data" / "PG_VERSION").write_text("16\n")
    done = fresh.inv(*SETUP)
    assert done.returncode == 2
    assert "is from PostgreSQL 16, the environment says 18" in done.stderr
    assert "inv db.reset --env=test" in done.stderr
    assert fresh.inv("db.reset", "--env=test").returncode == 0
    assert "no changes" in fresh.inv(*SETUP).stdout


def test_a_state_folder_that_cannot_be_written_is_one_clear_error(fresh: Project) -> None:
    (fresh.root / ".pgcohesion").write_text("a file where the folder should be")
    done = fresh.inv(*SETUP)
    assert done.returncode == 2
    assert "error: cannot write to" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_a_user_without_write_rights_gets_one_clear_error(fresh: Project) -> None:
    done = subprocess.run(
        ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *fresh.command(*SETUP)],
        cwd=fresh.root,
        env=fresh.environment(HOME="/nonexistent"),
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode in (126, 127):
        pytest.skip("this Python lies where `nobody` cannot enter")
    assert done.returncode == 2
    assert "error: cannot write to" in done.stderr


def test_a_full_disk_during_initdb_leaves_nothing_and_the_next_run_completes(fresh: Project) -> None:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        if CI:
            pytest.fail("a full disk needs root to mount a small tmpfs")
        pytest.skip("needs root to mount a small tmpfs")
    state = state_folder(fresh)
    state.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m,mode=755", "tmpfs", str(state)], check=True)
    try:
        done = fresh.inv(*SETUP)
        assert done.returncode == 1
        assert "`initdb` failed" in done.stderr
        assert "No space left on device" in done.stderr
        assert not list(state.glob("data*"))
    finally:
        subprocess.run(["umount", str(state)], check=True)
    assert fresh.inv(*SETUP).returncode == 0


HOSTILE = "o'br\"ien\n\x1b[2J$HOME `id` \\ ünï"
HOSTILE_TOML = '"o\'br\\"ien\\n\\u001b[2J$HOME `id` \\\\ ünï"'


def test_hostile_names_and_passwords(fresh: Project) -> None:
    password = "p\"a's\\s $(id) ${HOME} `id`\n€ %41:@/?#"
    secret = fresh.root / "secret"
    secret.write_text(password + "\n")
    fresh.write(
        "environments/test.toml",
        (fresh.root / "environments/test.toml").read_text()
        + f"""
[roles.{HOSTILE_TOML}]
login = true
password = {{ file = "secret" }}
[databases.{HOSTILE_TOML}]
owner = {HOSTILE_TOML}
extensions = ["pg_trgm"]
schemas.{HOSTILE_TOML} = {{}}
[[databases.{HOSTILE_TOML}.grants]]
role = {HOSTILE_TOML}
schema = {HOSTILE_TOML}
tables = ["SELECT"]
""",
    )
    done = fresh.inv(*SETUP, "--verbose")
    assert done.returncode == 0, done.stderr
    assert f"+ role {clean(HOSTILE)}" in done.stderr
    assert "\x1b" not in done.stderr
    assert "no changes" in fresh.inv(*SETUP).stdout
    probe = "import os, psycopg; print(psycopg.connect(os.environ['DATABASE_URL']).info.user)"
    target = ("--role", HOSTILE, "--set", f"application.database={HOSTILE}")
    ran = fresh.inv("db.run", "--env=test", *target, "--", sys.executable, "-c", probe)
    assert ran.stdout.removesuffix("\n") == HOSTILE, ran.stderr
    for stream in (done.stdout, done.stderr, ran.stderr):
        assert "$(id) ${HOME}" not in stream


def test_a_template_with_an_undefined_variable_changes_nothing(fresh: Project) -> None:
    text = (fresh.root / "templates" / "postgresql.conf.j2").read_text()
    fresh.write("templates/postgresql.conf.j2", text + "{{ nothing_like_this }}\n")
    done = fresh.inv(*SETUP)
    assert done.returncode == 2
    assert f"templates/postgresql.conf.j2:{text.count(chr(10)) + 1}" in done.stderr
    assert "nothing_like_this" in done.stderr
    assert not (state_folder(fresh) / "data").exists()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("work_mem=lots", 'invalid value for parameter "work_mem"'),
        ("no_such_setting=1", 'unrecognized configuration parameter "no_such_setting"'),
        ("shared_buffers=900TB", "shared_buffers"),
    ],
)
def test_a_setting_that_postgresql_refuses_leaves_the_old_ones_in_effect(
    fresh: Project, setting: str, words: str
) -> None:
    fresh.inv(*SETUP)
    done = fresh.inv(*SETUP, "--set", f"settings.{setting}")
    assert done.returncode == 1
    assert words in done.stderr
    assert "the old configuration is back" in done.stderr
    assert rows(fresh, "SHOW work_mem") == [("4MB",)]
    assert "no changes; healthy" in fresh.inv(*SETUP).stdout


def test_a_setting_that_needs_a_restart_gets_one_and_others_do_not(fresh: Project) -> None:
    fresh.inv(*SETUP)
    (started,) = rows(fresh, "SELECT pg_postmaster_start_time()")
    done = fresh.inv(*SETUP, "--set", "settings.work_mem=5MB")
    assert "> reload the server" in done.stderr
    assert rows(fresh, "SELECT pg_postmaster_start_time()") == [started]
    done = fresh.inv(*SETUP, "--set", "settings.work_mem=5MB", "--set", "settings.max_connections=42")
    assert "> restart the server (max_connections)" in done.stderr
    assert rows(fresh, "SHOW max_connections") == [("42",)]
    assert rows(fresh, "SELECT pg_postmaster_start_time()") != [started]


def test_a_broken_hba_rule_is_refused_with_its_line(fresh: Project) -> None:
    fresh.inv(*SETUP)
    path = fresh.root / "environments" / "test.toml"
    text = path.read_text()
    path.write_text(text + '\n[[hba]]\nuser = "all"\naddress = "10.0.0.0/99"\n')
    done = fresh.inv(*SETUP)
    assert done.returncode == 1
    assert "pg_hba.conf:" in done.stderr
    path.write_text(text)
    assert "no changes; healthy" in fresh.inv(*SETUP).stdout


def test_a_broken_migration_names_line_and_column_and_leaves_nothing(fresh: Project) -> None:
    fresh.inv(*SETUP)
    fresh.write(
        "migrations/9001_broken.sql",
        "-- Break.\nCREATE TABLE half_done (id int);\n\nSELECT nonsense\n  FROM half_done;\n",
    )
    done = fresh.inv("migrate.up", "--env=test")
    assert done.returncode == 1
    assert "migrations/9001_broken.sql:4:8" in done.stderr
    assert "(42703)" in done.stderr
    assert "SELECT nonsense" in done.stderr
    assert rows(fresh, "SELECT to_regclass('chanuka.half_done')") == [(None,)]
    assert fresh.json("migrate.status", "--env=test")["result"]["migrations"][-1]["state"] == "pending"


def test_reset_rebuilds_from_nothing_and_elsewhere_demands_a_word(fresh: Project) -> None:
    fresh.inv(*SETUP)
    rows(fresh, "CREATE TABLE chanuka.by_hand (id int)")
    assert fresh.inv("db.reset", "--env=test").returncode == 0
    assert rows(fresh, "SELECT to_regclass('chanuka.by_hand')") == [(None,)]
    text = (fresh.root / "environments/test.toml").read_text()
    (fresh.root / "environments/qa.toml").write_text(text)
    assert fresh.inv("db.setup", "--env=qa").returncode == 0
    refused = fresh.inv("db.reset", "--env=qa")
    assert refused.returncode == 5
    assert "--yes qa" in refused.stderr
    assert fresh.inv("db.reset", "--env=qa", "--yes=test").returncode == 5
    assert fresh.inv("db.reset", "--env=qa", "--yes=qa").returncode == 0
