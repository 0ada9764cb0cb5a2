"""The other tasks on a real server: guards, audit, onboarding, drift, an installed PostgreSQL, an import."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import Project

pytestmark = pytest.mark.pg
ENV = "--env=test"
INSTALLED = Path("/usr/lib/postgresql/15/bin")


def test_a_protected_environment_refuses_without_a_terminal_and_takes_its_name(fresh: Project) -> None:
    text = (fresh.root / "environments/test.toml").read_text()
    (fresh.root / "environments/live.toml").write_text(
        text.replace('extends = "base"', 'extends = "base"\nprotected = true')
    )
    refused = fresh.inv("db.setup", "--env=live")
    assert refused.returncode == 5
    assert "--yes live" in refused.stderr
    assert not (fresh.root / ".pgcohesion/live/data").exists()
    assert fresh.inv("db.setup", "--env=live", "--yes=staging").returncode == 5
    assert fresh.inv("db.setup", "--env=live", "--dry-run").returncode == 0
    assert fresh.inv("db.setup", "--env=live", "--yes=live").returncode == 0
    assert "no changes" in fresh.inv("db.setup", "--env=live").stdout


def test_a_person_at_a_terminal_types_the_name(fresh: Project) -> None:
    import os
    import pty

    text = (fresh.root / "environments/test.toml").read_text()
    (fresh.root / "environments/live.toml").write_text(
        text.replace('extends = "base"', 'extends = "base"\nprotected = true')
    )
    for word, code in (("test", 5), ("live", 0)):
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            fresh.command("db.setup", "--env=live"),
            cwd=fresh.root,
            env=fresh.environment(),
            stdin=theirs,
            stderr=theirs,
            stdout=subprocess.DEVNULL,
        ) as process:
            os.close(theirs)
            seen = b""
            while b"Type `live` to go on" not in seen:
                seen += os.read(ours, 4096)
            assert b"+ cluster live" in seen
            os.write(ours, f"{word}\n".encode())
            drain(ours)
        os.close(ours)
        assert process.returncode == code


def drain(terminal: int) -> None:
    import os

    try:
        while os.read(terminal, 4096):
            pass
    except OSError:  # the other end is closed
        return


def test_changing_tasks_leave_audit_lines(shared: Project) -> None:
    shared.inv("provision.apply", ENV)
    lines = [json.loads(line) for line in (shared.root / ".pgcohesion/audit.jsonl").read_text().splitlines()]
    start, end = lines[-2:]
    assert (start["event"], end["event"], end["result"]) == ("start", "end", "ok")
    assert start["run_id"] == end["run_id"]
    assert {"ts", "who", "env", "task", "host", "command"} <= start.keys()


def test_onboard_ends_with_a_database_and_the_way_on(fresh: Project) -> None:
    done = fresh.inv("dev.onboard", ENV)
    assert done.returncode == 0, done.stderr
    assert "This sets up `test`: an embedded PostgreSQL" in done.stderr
    assert "inv db.shell --env=test" in done.stdout
    assert "healthy" in done.stdout.splitlines()[-1]
    assert fresh.inv("dev.doctor", ENV).returncode == 0


def test_checks_for_pending_changes_exit_6(shared: Project) -> None:
    assert shared.inv("provision.plan", ENV, "--check").returncode == 0
    assert shared.inv("provision.plan", ENV, "--check", "--set", "settings.work_mem=7MB").returncode == 6
    assert shared.inv("migrate.status", ENV, "--check").returncode == 0
    assert shared.inv("provision.check", ENV, "--set", "settings.work_mem=7MB").returncode == 1


def test_a_migration_is_made_applied_and_held_to_its_text(fresh: Project) -> None:
    assert fresh.inv("db.setup", ENV).returncode == 0
    fresh.write("migrations/.keep", "")
    made = fresh.inv("migrate.new", "Add bill's tags!").stdout.strip()
    assert made == "migrations/0009_add_bill_s_tags.sql"
    path = fresh.root / made
    path.write_text(path.read_text() + "CREATE TABLE bill_tags (bill_id int REFERENCES bills, tag text);\n")
    assert fresh.inv("migrate.status", ENV, "--check").returncode == 6
    done = fresh.inv("migrate.up", ENV)
    assert done.returncode == 0, done.stderr
    assert "> migration 0009_add_bill_s_tags.sql" in done.stderr
    assert "no changes" in fresh.inv("migrate.up", ENV).stdout
    path.write_text(path.read_text() + "-- an afterthought\n")
    edited = fresh.inv("migrate.up", ENV)
    assert edited.returncode == 2
    assert "was edited after it was applied" in edited.stderr
    assert fresh.inv("migrate.status", ENV).returncode == 1
    fresh.write("migrations/0010_commits.sql", "-- Commit.\nCREATE TABLE a (i int);\nCOMMIT;\n")
    refused = fresh.inv("migrate.up", ENV)
    assert refused.returncode == 2
    assert "migrations/0010_commits.sql:3: COMMIT" in refused.stderr


@pytest.mark.skipif(not (INSTALLED / "initdb").exists(), reason="needs an installed PostgreSQL 15")
def test_an_installed_postgresql_may_be_named_instead(fresh: Project) -> None:
    path = fresh.root / "environments/test.toml"
    path.write_text(path.read_text() + f'\n[postgresql]\nversion = 15\nbin = "{INSTALLED}"\n')
    done = fresh.inv("db.setup", ENV)
    assert done.returncode == 0, done.stderr
    assert "PostgreSQL 15." in fresh.inv("db.status", ENV).stdout
    assert "no changes; healthy" in fresh.inv("db.setup", ENV).stdout


def test_a_program_opens_a_context_through_the_door(shared: Project) -> None:
    program = (
        "import pgcohesion as pg\n"
        "ctx = pg.open_context('test')\n"
        "(row,) = ctx.db.execute('select count(*) > 50 as many from chanuka.bills')\n"
        "print(row.many, ctx.config.features['comment_moderation'])\n"
        "ctx.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=shared.root,
        env=shared.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "True True\n"


def test_root_with_a_clone_that_the_servers_user_cannot_enter(fresh: Project) -> None:
    import os

    if os.geteuid() != 0:
        pytest.skip("only root runs the server as another user")
    fresh.root.chmod(0o700)
    done = fresh.inv("db.setup", ENV)
    assert done.returncode == 0, done.stderr
    assert "no changes; healthy" in fresh.inv("db.setup", ENV).stdout
    assert not (fresh.root / ".pgcohesion/test/data").exists()
    assert fresh.inv("db.reset", ENV).returncode == 0
    assert fresh.inv("db.stop", ENV).returncode == 0


def test_health_explains_lists_by_area_and_ignores_for_a_reason(shared: Project) -> None:
    explained = shared.inv("health.explain", "idle_in_transaction", "--env=test")
    assert explained.returncode == 0
    assert explained.stdout.startswith("idle_in_transaction (sessions): ")
    assert "SELECT" in explained.stdout
    assert shared.inv("health.explain", "idle", "--env=test").returncode == 2
    area = shared.inv("health.explain", "locks", "--env=test")
    assert (area.returncode, "blocked_sessions, lock_capacity, waiting_ddl" in area.stderr) == (2, True)
    only = shared.json("health.check", "--only=wal", "--env=test")
    of = {check["id"]: check["area"] for check in shared.json("health.list", "--env=test")["result"]["checks"]}
    found = {finding["check"] for finding in only["result"]["findings"]}
    assert {"archiver", "inactive_slots"} <= found
    assert {of[check] for check in found} == {"wal"}
    wrong = shared.inv("health.check", "--profile=fast", "--env=test")
    assert (wrong.returncode, "no profile `fast`" in wrong.stderr) == (2, True)
