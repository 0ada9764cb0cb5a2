"""Checks whose facts are no rows of the server: the machine, replicas, migrations."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from pgcohesion import migrate
from pgcohesion.context import Context
from pgcohesion.opening import open_context
from pgcohesion.setup import setup
from pgcohesion.view import Grade
from tests.pg.looking import BAD, found, looking
from tests.pg.seeded.stage import wait_for
from tests.support import Project

pytestmark = pytest.mark.pg
BUSY = [
    f"health.limits.{check}.{grade}=1e6"
    for check in ("load", "memory_pressure", "io_pressure")
    for grade in ("warn", "fail")
]
"""Whatever else this machine does meanwhile is not what is tested."""


def test_this_machine_is_healthy(shared: Project) -> None:
    with looking(shared, *BUSY) as look:
        results = look("host")
    assert [one for one in results if one.grade in BAD] == []
    assert {one.check for one in results} >= {"disk_space", "memory", "data_directory_mode", "clock", "load"}
    (disk,) = [one for one in results if one.check == "disk_space" and "data" in one.text]
    usage = shutil.disk_usage(disk.object)
    assert disk.value == pytest.approx(usage.used / (usage.used + usage.free), abs=0.02)


def test_a_tablespace_that_is_gone(fresh: Project) -> None:
    with closing(open_context("test", root=fresh.root)) as ctx:
        setup(ctx)
        folder, aside = fresh.root / "more space", fresh.root / "aside"
        folder.mkdir(mode=0o700)
        owner = Path(ctx.server.data_folder()).stat()
        os.chown(folder, owner.st_uid, owner.st_gid)
        ctx.db.execute(f"CREATE TABLESPACE more LOCATION '{folder}'")
        assert found(fresh, "lost_tablespaces") == []
        folder.rename(aside)
        assert found(fresh, "lost_tablespaces") == [("lost_tablespaces", Grade.FAIL, str(folder))]
        folder.mkdir()  # where its disk should be mounted
        assert found(fresh, "lost_tablespaces") == [("lost_tablespaces", Grade.FAIL, str(folder))]
        folder.rmdir()
        aside.rename(folder)
        assert found(fresh, "lost_tablespaces") == []


def test_a_disk_that_fills_and_an_open_folder(fresh: Project) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    ctx = open_context("test", root=fresh.root)
    setup(ctx)
    data, small = Path(ctx.server.data_folder()), fresh.root / "small disk"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,nr_inodes=20", "none", small], check=True)
    try:
        (small / "filler").write_bytes(b"x" * ((2 << 20) * 93 // 100))
        for number in range(16):
            (small / str(number)).touch()
        (data / "core.77").write_bytes(b"core")
        data.chmod(0o755)
        assert found(fresh, "host", f"backup.folder={small}", *BUSY) == [
            ("core_dumps", Grade.WARN, str(data / "core.77")),
            ("data_directory_mode", Grade.FAIL, str(data)),
            ("disk_space", Grade.WARN, str(small)),
            ("inodes", Grade.WARN, str(small)),
        ]
        subprocess.run(["mount", "-o", "remount,ro", small], check=True)
        ctx.db.close()
        ctx.server.stop()  # a machine is looked at all the same, and more so
        data.chmod(0o700)
        assert found(fresh, "host", f"backup.folder={small}", *BUSY) == [
            ("availability", Grade.FAIL, "localhost"),
            ("core_dumps", Grade.WARN, str(data / "core.77")),
            ("disk_space", Grade.WARN, str(small)),
            ("huge_pages", Grade.UNKNOWN, ""),
            ("inodes", Grade.WARN, str(small)),
            ("memory_settings", Grade.UNKNOWN, ""),
            ("read_only_disk", Grade.FAIL, str(small)),
        ]
    finally:
        subprocess.run(["umount", small], check=True)
        ctx.close()


# --- migrations -------------------------------------------------------------------------------------------------


def test_migrations_that_are_late_edited_gone_or_out_of_order(fresh: Project) -> None:
    ctx = open_context("test", root=fresh.root)
    setup(ctx)
    assert found(fresh, "migrations") == []
    fresh.write("migrations/9001_more.sql", "CREATE TABLE chanuka.more (id int PRIMARY KEY);\n")
    assert found(fresh, "migrations") == [("pending_migrations", Grade.WARN, "chanuka")]
    ctx.apply(migrate.plan(ctx))
    assert found(fresh, "migrations") == []  # the ledger's checksums are the files', as we read them

    fresh.write("migrations/9001_more.sql", "CREATE TABLE chanuka.more (id bigint PRIMARY KEY);\n")
    assert found(fresh, "migrations") == [("migration_drift", Grade.FAIL, "9001_more.sql")]
    more = fresh.root / "migrations" / "9001_more.sql"
    more.unlink()
    assert found(fresh, "migrations") == [("migration_drift", Grade.FAIL, "9001_more.sql")]
    more.write_bytes(b"CREATE TABLE chanuka.more (id int PRIMARY KEY);\r\n")  # a checkout on Windows is the same file
    assert found(fresh, "migrations") == []

    fresh.write("migrations/9000_late.sql", "SELECT 1;\n")
    assert ("migration_order", Grade.FAIL, "9000_late.sql") in found(fresh, "migrations")
    ctx.close()


def test_a_run_of_migrations_that_never_ends(shared: Project, ctx: Context) -> None:
    holder = psycopg.connect(**ctx.server.parameters(), dbname="chanuka")  # type: ignore[arg-type]
    holder.execute("SELECT pg_advisory_lock(%s)", [migrate.ledger.LOCK])
    limit = "health.limits.migration_running.warn=0.001"
    pid = str(holder.info.backend_pid)
    assert found(shared, "migrations", limit) == [("migration_running", Grade.WARN, pid)]
    with looking(shared, limit) as look:
        (fix,) = [one.fix for one in look("migrations") if one.check == "migration_running"]
    ctx.db.execute(fix)
    wait_for(lambda: found(shared, "migrations", limit) == [])
    holder.close()


def test_a_ledger_that_is_locked_holds_up_nobody(shared: Project, ctx: Context) -> None:
    with ctx.db.transaction("chanuka") as holder:
        holder.execute("LOCK TABLE pgcohesion.ledger IN ACCESS EXCLUSIVE MODE")
        with looking(shared) as look:
            started = time.monotonic()
            results = look("migrations")
    assert time.monotonic() - started < 10
    assert {one.grade for one in results if one.check == "migration_drift"} == {Grade.UNKNOWN}


def test_a_login_that_cannot_be_tried_is_not_one_that_went_well(shared: Project) -> None:
    with looking(shared) as look:
        assert [one.grade for one in look("application_login")] == [Grade.OK]
    with looking(shared, "roles.chanuka_app.password.file=not_made_yet") as look:
        assert look("application_login") == []
    with looking(shared, "roles.chanuka_app.connection_limit=1") as look:
        assert look("application_login") == []
