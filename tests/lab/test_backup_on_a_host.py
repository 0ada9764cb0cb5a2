"""Backups on a real Debian host: made, kept and restored there, over SSH, as its user `postgres`."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from tests.lab.hosts import Host
from tests.support import Project, project

ENV = "--env=staging"
FOLDER = "/var/backups/pgcohesion/main"
PASSWORDS = {"CHANUKA_APP_PASSWORD": "app-password", "CHANUKA_READONLY_PASSWORD": "readonly-password"}


@pytest.fixture(scope="module")
def staging(host: Host) -> Iterator[Project]:
    """A project whose environment `staging` is the lab's host, set up."""
    with project() as made:
        path = made.root / "environments" / "staging.toml"
        text = path.read_text().replace('ssh = "deploy@db1.staging"', 'ssh = "db1"')
        path.write_text(f'{text}\n[ssh]\nconfig = "{host.ssh_config}"\nconnect_timeout = 4\n')
        done = inv(made, "db.setup")
        assert done.returncode == 0, done.stderr
        yield made


def inv(project: Project, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a task on staging."""
    return project.inv(*words, ENV, env=PASSWORDS, timeout=300)


def psql(host: Host, query: str, database: str = "chanuka") -> str:
    """Ask the host's own psql."""
    done = host.exec(["runuser", "-u", "postgres", "--", "psql", "-XAtqd", database, "-c", query], check=True)
    return done.stdout.strip()


def test_a_backup_goes_there_and_back(staging: Project, host: Host) -> None:
    planned = inv(staging, "backup.create", "--dry-run")
    assert f"+ folder {FOLDER}  (mode 0700, of postgres)" in planned.stdout
    assert host.exec(["test", "-e", FOLDER]).returncode == 1
    done = inv(staging, "backup.create")
    assert done.returncode == 0, done.stderr
    identity = host.exec(["ls", FOLDER], check=True).stdout.strip()
    assert identity in done.stdout
    assert host.exec(["stat", "-c", "%U %a", FOLDER]).stdout == "postgres 700\n"
    check = f"cd {FOLDER}/{identity} && sha256sum --quiet -c SHA256SUMS"
    assert host.exec(["sh", "-c", check]).returncode == 0
    assert f"{identity}  chanuka" in inv(staging, "backup.list").stdout

    bills = psql(host, "SELECT md5(string_agg(b::text, '' ORDER BY b::text)) FROM chanuka.bills b")
    restored = inv(staging, "backup.restore", "latest", '--into=it\'s "odd" $(id)')
    assert restored.returncode == 0, restored.stderr
    again = psql(host, "SELECT md5(string_agg(b::text, '' ORDER BY b::text)) FROM chanuka.bills b", 'it\'s "odd" $(id)')
    assert again == bills

    psql(host, "DELETE FROM chanuka.votes")
    assert inv(staging, "backup.restore", "latest", "--replace").returncode == 5
    replaced = inv(staging, "backup.restore", "latest", "--replace", "--yes=staging")
    assert replaced.returncode == 0, replaced.stderr
    assert int(psql(host, "SELECT count(*) FROM chanuka.votes")) > 0
    assert inv(staging, "provision.check").stdout == "staging: as declared\n"


def test_a_backup_whose_maker_is_killed_ends_on_the_host_too(staging: Project, host: Host) -> None:
    text = "md5(random()::text) || md5(random()::text)"
    psql(host, "CREATE DATABASE big")
    psql(host, f"CREATE TABLE noise AS SELECT n, {text} AS text FROM generate_series(1, 1000000) n", "big")
    before = host.exec(["ls", FOLDER]).stdout
    for number in (signal.SIGKILL, signal.SIGTERM):
        process = subprocess.Popen(
            staging.command("backup.create", "--database=big", ENV),
            cwd=staging.root,
            env=staging.environment(**PASSWORDS),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(lambda: ".dat.gz" in host.exec(["sh", "-c", f"ls {FOLDER}/*.partial/dump"]).stdout)
        process.send_signal(number)
        assert process.wait(30) == (-signal.SIGKILL if number is signal.SIGKILL else 130)
        wait_for(lambda: host.exec(["pgrep", "pg_dump"]).returncode == 1)
        wait_for(lambda: host.exec(["ls", FOLDER]).stdout == before)


def wait_for(reached: Callable[[], bool]) -> None:
    """Wait until *reached* is true."""
    deadline = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.02)
