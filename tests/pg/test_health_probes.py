"""Checks whose facts are no rows of the server: the machine, replicas, migrations."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pgcohesion.opening import open_context
from pgcohesion.setup import setup
from pgcohesion.view import Grade
from tests.pg.looking import BAD, found, looking
from tests.support import Project

pytestmark = pytest.mark.pg


def test_this_machine_is_healthy(shared: Project) -> None:
    with looking(shared) as look:
        results = look("host")
    assert [one for one in results if one.grade in BAD] == []
    assert {one.check for one in results} >= {"disk_space", "memory", "data_directory_mode", "clock", "load"}
    (disk,) = [one for one in results if one.check == "disk_space" and "data" in one.text]
    usage = shutil.disk_usage(disk.object)
    assert disk.value == pytest.approx(usage.used / (usage.used + usage.free), abs=0.02)


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
        assert found(fresh, "host", f"backup.folder={small}") == [
            ("core_dumps", Grade.WARN, str(data / "core.77")),
            ("data_directory_mode", Grade.FAIL, str(data)),
            ("disk_space", Grade.WARN, str(small)),
            ("inodes", Grade.WARN, str(small)),
        ]
        subprocess.run(["mount", "-o", "remount,ro", small], check=True)
        ctx.db.close()
        ctx.server.stop()  # a machine is looked at all the same, and more so
        data.chmod(0o700)
        assert found(fresh, "host", f"backup.folder={small}") == [
            ("availability", Grade.FAIL, "localhost"),
            ("core_dumps", Grade.WARN, str(data / "core.77")),
            ("disk_space", Grade.WARN, str(small)),
            ("inodes", Grade.WARN, str(small)),
            ("read_only_disk", Grade.FAIL, str(small)),
        ]
    finally:
        subprocess.run(["umount", small], check=True)
        ctx.close()
