"""Checks of a host and its pooler over SSH: what a real Debian machine with systemd says, and what was done to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pgcohesion import health
from pgcohesion.context import Options
from pgcohesion.health import bench
from pgcohesion.health.bench import Measured
from pgcohesion.health.bench.measuring import PREFIX
from pgcohesion.opening import open_context
from pgcohesion.setup import setup
from tests.lab.hosts import Host
from tests.support import Project, project

PASSWORDS = "CHANUKA_APP_PASSWORD=app-password\nCHANUKA_READONLY_PASSWORD=readonly-password\n"
DATA = "/var/lib/postgresql/15/main"
POSTGRES = "/usr/lib/postgresql/15/bin/postgres"


@pytest.fixture(scope="module")
def staging(host: Host) -> Iterator[Project]:
    """A project whose environment `staging` is the lab's host, set up."""
    with project() as made:
        path = made.root / "environments" / "staging.toml"
        text = path.read_text().replace('ssh = "deploy@db1.staging"', 'ssh = "db1"')
        path.write_text(f'{text}\n[ssh]\nconfig = "{host.ssh_config}"\nconnect_timeout = 4\n')
        secrets = path.with_name("staging.env")
        secrets.write_text(PASSWORDS)
        secrets.chmod(0o600)
        ctx = open_context("staging", root=made.root)
        setup(ctx)
        ctx.close()
        yield made


def found(project: Project, area: str, *sets: str) -> list[tuple[str, str, str]]:
    """Return check, grade and object of what is at warn or fail."""
    ctx = open_context("staging", root=project.root, options=Options(env="staging", set=("health.timeout=30", *sets)))
    try:
        results = health.check(ctx, only=area, remember=False).results
    finally:
        ctx.close()
    for one in results:
        print(one.grade, one.check, one.object, one.text)  # noqa: T201  (shown when a test fails)
    return sorted((one.check, str(one.grade), one.object) for one in results if one.grade in ("warn", "fail"))


def test_a_fresh_host_is_healthy(staging: Project) -> None:
    assert found(staging, "host") == []


def test_it_is_measured_where_it_is(staging: Project, tmp_path: Path) -> None:
    script = tmp_path / "own.sql"  # of this machine: the host gets its text
    script.write_text("SELECT count(*) FROM pgbench_branches;\n")
    with closing(open_context("staging", root=staging.root)) as ctx:
        for workload in ("select", str(script)):
            answer = bench.measure(ctx, seconds=4, rounds=4, scale=1, clients=1, workload=workload)
            assert isinstance(answer, Measured)
            assert len(answer.run.tps) == 4
            environment = answer.run.environment
        assert environment["machine.name"] == "db1"
        assert environment["asked from"].endswith("over SSH")
        assert environment["pgbench"].startswith("pgbench (PostgreSQL) 15.")
        assert "machine.disk" in environment
        names = [row.datname for row in ctx.db.execute("SELECT datname FROM pg_database", database="postgres")]
        assert not [name for name in names if name.startswith(PREFIX)]


def test_what_was_done_to_it_is_seen(staging: Project, host: Host) -> None:
    host.exec("mkdir -p /mnt/backups && mount -t tmpfs -o size=2m none /mnt/backups", check=True)
    host.exec("head -c 2040000 /dev/zero > /mnt/backups/filler", check=True)
    host.exec(f"cp -p {POSTGRES} {POSTGRES}.new && mv {POSTGRES}.new {POSTGRES}", check=True)  # as an upgrade does
    host.exec(f"chmod 0755 {DATA} && touch {DATA}/core.7 /run/reboot-required", check=True)
    seen = [
        ("core_dumps", "warn", f"{DATA}/core.7"),
        ("data_directory_mode", "fail", DATA),
        ("disk_space", "fail", "/mnt/backups"),
        ("restart_for_upgrade", "warn", POSTGRES),
    ]
    assert found(staging, "host", "backup.folder=/mnt/backups") == seen

    host.exec(f"chmod 0700 {DATA} && rm {DATA}/core.7 /run/reboot-required && systemctl stop postgresql", check=True)
    seen = [("availability", "fail", "db1"), ("disk_space", "fail", "/mnt/backups")]
    assert found(staging, "host", "backup.folder=/mnt/backups") == seen
    host.exec("systemctl start postgresql && umount /mnt/backups", check=True)
    assert found(staging, "host") == []  # the fix of all that was a restart


def test_a_pooler_that_only_its_host_can_reach(staging: Project, host: Host) -> None:
    sets = ("health.pooler.user=postgres", "health.pooler.port=6432")
    assert found(staging, "pooler", *sets) == [("pooler_reachable", "fail", "db1:6432")]
    host.exec("apt-get update -q && apt-get install -q -y --no-install-recommends pgbouncer", check=True)
    config = (
        "[databases]\nchanuka = host=/var/run/postgresql user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        "listen_port = 6432\nauth_type = any\nadmin_users = postgres\nlogfile = /var/log/postgresql/pgbouncer.log\n"
        "pidfile = /var/run/postgresql/pgbouncer.pid\n"
    )
    (host.root / "etc/pgbouncer/pgbouncer.ini").write_text(config)
    host.exec("systemctl restart pgbouncer", check=True)
    assert found(staging, "pooler", *sets) == []
