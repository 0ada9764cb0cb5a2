"""``db.setup --env=staging`` on a real Debian host: installed, configured, verified, and refused where it must be."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lab.hosts import Host
from tests.support import Project, project

PASSWORDS = {"CHANUKA_APP_PASSWORD": "s3cr3t'\\ $(id) pä", "CHANUKA_READONLY_PASSWORD": "another:one@/%41"}
ENV = "--env=staging"


@pytest.fixture(scope="module")
def staging(host: Host) -> Iterator[Project]:
    """A project whose environment `staging` is the lab's host."""
    with project() as made:
        path = made.root / "environments" / "staging.toml"
        text = path.read_text().replace('ssh = "deploy@db1.staging"', 'ssh = "db1"')
        path.write_text(f'{text}\n[ssh]\nconfig = "{host.ssh_config}"\nconnect_timeout = 4\n')
        yield made


def inv(project: Project, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a task on staging."""
    return project.inv(ENV, *words, env={**PASSWORDS, **env}, timeout=100)


def psql(host: Host, query: str, database: str = "postgres") -> str:
    """Ask the host's own psql."""
    done = host.exec(["runuser", "-u", "postgres", "--", "psql", "-XAtd", database, "-c", query])
    return done.stdout.strip()


def test_dry_run_on_a_fresh_host_shows_all_and_changes_nothing(staging: Project, host: Host) -> None:
    done = inv(staging, "db.setup", "--dry-run")
    assert done.returncode == 0, done.stderr
    for what in (
        "+ package postgresql-15",
        "+ file postgresql.conf",
        "+ role chanuka_app",
        "> migration 0001",
        "> seed",
    ):
        assert what in done.stdout
    assert host.exec(["test", "-e", "/etc/postgresql"], check=False).returncode == 1
    assert host.exec(["test", "-e", "/run/lock/pgcohesion.lock"], check=False).returncode == 1


def test_setup_installs_and_the_second_run_changes_nothing(staging: Project, host: Host) -> None:
    first = inv(staging, "db.setup")
    assert first.returncode == 0, f"{first.stdout}\n{first.stderr}"
    assert "healthy" in first.stdout
    assert psql(host, "SELECT count(*) > 50 FROM chanuka.bills", "chanuka") == "t"
    assert (
        psql(host, "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'chanuka.bills'::regclass", "chanuka")
        == "chanuka_owner"
    )
    assert psql(host, "SHOW data_checksums") == "on"
    assert (
        psql(
            host, "SELECT datcollate || ' ' || pg_encoding_to_char(encoding) FROM pg_database WHERE datname = 'chanuka'"
        )
        == "C.UTF-8 UTF8"
    )
    second = inv(staging, "db.setup")
    assert second.returncode == 0, f"{second.stdout}\n{second.stderr}"
    assert "no changes; healthy" in second.stdout
    checked = inv(staging, "provision.check")
    assert checked.returncode == 0
    assert checked.stdout == "staging: as declared\n"
    assert inv(staging, "provision.plan", "--check").returncode == 0


def test_the_application_connects_through_db_run(staging: Project) -> None:
    probe = (
        "import os, psycopg; print(*psycopg.connect(os.environ['DATABASE_URL'])"
        ".execute('select current_user, current_database(), count(*) > 50 from bills').fetchone())"
    )
    import sys

    done = inv(staging, "db.run", "--", sys.executable, "-c", probe)
    assert done.stdout == "chanuka_app chanuka True\n", done.stderr
    assert inv(staging, "db.run", "--", sys.executable, "-c", "raise SystemExit(7)").returncode == 7


def test_no_secret_stands_in_a_process_list_or_a_log(staging: Project, host: Host) -> None:
    watched = host.exec(
        ["sh", "-c", "rm -f /tmp/stop; (while [ ! -e /tmp/stop ]; do ps -eo args; done) >/tmp/seen 2>&1 & echo on"]
    )
    assert "on" in watched.stdout
    done = inv(staging, "provision.apply", "--verbose", CHANUKA_APP_PASSWORD="brand-new-secret-1")
    host.exec(["touch", "/tmp/stop"])
    assert "~ password of role chanuka_app" in done.stderr
    seen = host.exec(["cat", "/tmp/seen"]).stdout + host.exec(["sh", "-c", "cat /var/log/postgresql/*.log"]).stdout
    assert "perl" in seen
    assert "brand-new-secret-1" not in seen + done.stdout + done.stderr
    assert "brand-new-secret-1" not in (staging.root / ".pgcohesion" / "audit.jsonl").read_text()
    assert "~ password of role chanuka_app" in inv(staging, "provision.apply").stderr
    assert "no changes" in inv(staging, "provision.apply").stdout


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("work_mem=lots", 'postgresql.conf:23: invalid value for parameter "work_mem"'),
        ("no_such_setting=1", 'unrecognized configuration parameter "no_such_setting"'),
        ("shared_buffers=900GB", "Cannot allocate memory"),
    ],
)
def test_a_refused_setting_leaves_the_server_as_it_was_also_after_a_restart(
    staging: Project, host: Host, setting: str, words: str
) -> None:
    before = host.exec(["cat", "/etc/postgresql/15/main/postgresql.conf"]).stdout
    done = inv(staging, "provision.apply", "--set", f"settings.{setting}")
    assert done.returncode == 1
    assert words in done.stderr
    assert "the old configuration is back" in done.stderr
    assert host.exec(["cat", "/etc/postgresql/15/main/postgresql.conf"]).stdout == before
    assert psql(host, "SHOW work_mem") == "8MB"
    host.exec(["systemctl", "restart", "postgresql@15-main"])
    assert "no changes" in inv(staging, "provision.apply").stdout


def test_reload_or_restart_only_when_needed(staging: Project, host: Host) -> None:
    started = psql(host, "SELECT pg_postmaster_start_time()")
    done = inv(staging, "provision.apply", "--set", "settings.work_mem=9MB")
    assert "> reload the server" in done.stderr
    assert psql(host, "SHOW work_mem") == "9MB"
    assert psql(host, "SELECT pg_postmaster_start_time()") == started
    done = inv(staging, "provision.apply", "--set", "settings.max_connections=90")
    assert "> restart the server (max_connections)" in done.stderr
    assert psql(host, "SHOW max_connections") == "90"
    assert inv(staging, "provision.apply").returncode == 0


def test_manual_changes_are_found_and_mended(staging: Project, host: Host) -> None:
    psql(host, "ALTER SYSTEM SET work_mem = '64MB'")
    psql(host, "SELECT pg_reload_conf()")
    psql(host, "ALTER ROLE chanuka_app SUPERUSER")
    psql(host, "ALTER ROLE chanuka_readonly PASSWORD 'changed'")
    psql(host, "ALTER ROLE chanuka_app SET statement_timeout = '1h'")
    psql(host, "GRANT CONNECT ON DATABASE chanuka TO PUBLIC")
    psql(host, "REVOKE SELECT ON chanuka.bills FROM chanuka_readonly", "chanuka")
    host.exec(["sh", "-c", "echo '# by hand' >>/etc/postgresql/15/main/pg_hba.conf"])
    checked = inv(staging, "provision.check")
    assert checked.returncode == 1
    for what in (
        "work_mem",
        "role chanuka_app  (superuser)",
        "password of role chanuka_readonly",
        "statement_timeout",
        "tables of schema chanuka  (select for chanuka_readonly)",
        "only declared roles connect",
        "pg_hba.conf",
    ):
        assert what in checked.stdout, what
    assert inv(staging, "provision.apply").returncode == 0
    assert inv(staging, "provision.check").returncode == 0


def test_a_failed_migration_leaves_nothing(staging: Project, host: Host) -> None:
    path = staging.write("migrations/9001_broken.sql", "-- Break.\nCREATE TABLE half (id int);\nSELECT 1/0;\n")
    try:
        done = inv(staging, "migrate.up")
        assert done.returncode == 1
        assert "division by zero (22012)" in done.stderr
        assert psql(host, "SELECT to_regclass('chanuka.half')", "chanuka") == ""
    finally:
        path.unlink()


def test_two_operators_at_once_the_second_is_told_who_works(staging: Project, host: Host) -> None:
    with project() as other:
        (other.root / "environments" / "staging.toml").write_text(
            (staging.root / "environments" / "staging.toml").read_text()
        )
        host.exec(["sh", "-c", "systemctl stop postgresql@15-main"])
        with ThreadPoolExecutor() as pool:
            runs = [pool.submit(inv, one, "db.start") for one in (staging, other)]
            codes = sorted(run.result().returncode for run in runs)
    assert codes in ([0, 5], [0, 0])  # one after the other is fine, too
    assert inv(staging, "db.status").returncode == 0


def test_the_host_lock_refuses_and_ends_with_its_holder(staging: Project, host: Host) -> None:
    holder = (
        "use Fcntl ':flock'; open(my $f, '+>>', '/run/lock/pgcohesion.lock'); flock($f, LOCK_EX); truncate($f, 0);"
        "syswrite($f, \"eve\\@laptop\\n\"); open(my $r, '>', '/tmp/held'); close $r; sleep 60"
    )
    host.exec(
        [
            "sh",
            "-c",
            'rm -f /tmp/held; setsid perl -e "$1" >/dev/null 2>&1 & while [ ! -e /tmp/held ]; do sleep 0.05; done',
            "hold",
            holder,
        ]
    )
    done = inv(staging, "db.stop")
    assert done.returncode == 5
    assert "eve@laptop" in done.stderr
    host.exec(["pkill", "-9", "perl"])
    assert inv(staging, "provision.apply").returncode == 0


def test_sudo_with_a_password(staging: Project) -> None:
    as_ops = ("--set", "hosts.db1.ssh=ops@db1")
    asked = inv(staging, "provision.plan", *as_ops)
    assert asked.returncode == 2
    assert "sudo on `db1` asks for a password" in asked.stderr
    assert "hosts.db1.sudo_password" in asked.stderr
    path = staging.root / "environments" / "staging.toml"
    text = path.read_text()
    path.write_text(text.replace('role = "primary"', 'role = "primary"\nsudo_password = { env = "SUDO_PASSWORD" }'))
    try:
        assert inv(staging, "provision.plan", *as_ops, SUDO_PASSWORD="ops").stdout == "staging: no changes\n"
        wrong = inv(staging, "provision.plan", *as_ops, SUDO_PASSWORD="wrong-password")
        assert wrong.returncode == 3
        assert "wrong-password" not in wrong.stderr
        nobody = inv(staging, "provision.plan", "--set", "hosts.db1.ssh=nosudo@db1", SUDO_PASSWORD="nope-nope")
        assert nobody.returncode == 3
        assert "sudo on `db1` refuses" in nobody.stderr
    finally:
        path.write_text(text)


def test_a_backup_on_the_host_comes_back(staging: Project, host: Host) -> None:
    made = inv(staging, "backup.create")
    assert made.returncode == 0, made.stderr
    listed = staging.json("backup.list", ENV, env=PASSWORDS)["result"]
    assert len(listed["backups"]) == 1
    done = inv(staging, "backup.restore", "latest", "--into=restored")
    assert done.returncode == 0, done.stderr
    query = "SELECT count(*) FROM chanuka.comments"
    assert psql(host, query, "restored") == psql(host, query, "chanuka")


def test_reset_demands_the_word(staging: Project) -> None:
    assert inv(staging, "db.reset").returncode == 5
    assert "- database chanuka" in inv(staging, "db.reset", "--dry-run").stdout
    done = inv(staging, "db.reset", "--yes=staging")
    assert done.returncode == 0, done.stderr


def test_a_host_that_vanishes_in_the_middle_is_an_error_within_seconds(staging: Project, host: Host) -> None:
    process = subprocess.Popen(
        staging.command(ENV, "db.run", "--", "sh", "-c", "echo up; sleep 600"),
        cwd=staging.root,
        env=staging.environment(**PASSWORDS),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "up\n"
    process.terminate()
    process.communicate()
    host.cut()
    try:
        started = time.monotonic()
        done = inv(staging, "db.status")
        assert done.returncode == 3
        assert time.monotonic() - started < 20
        assert "cannot reach `db1`" in done.stderr
    finally:
        host.heal()


def test_host_keys_are_checked(staging: Project, host: Host) -> None:
    with_none = inv(staging, "db.status", "--set", "ssh.known_hosts=environments/none")
    assert with_none.returncode == 3
    assert "the host key of `db1` is not known" in with_none.stderr
    host.rekey()
    changed = inv(staging, "db.status")
    assert changed.returncode == 3
    assert "the host key of `db1` has changed" in changed.stderr
    assert "ssh-keygen -R" in changed.stderr
    host.trust()
    assert inv(staging, "db.status").returncode == 0
