"""What goes wrong in the field: kills, full disks, flipped bits. Nothing half made is listed, nothing good is lost."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pgcohesion import backup
from pgcohesion.backup import source
from pgcohesion.errors import CohesionError
from tests.pg.backup_server import Backups, children, made, wait_for
from tests.support import CI, Project

pytestmark = pytest.mark.pg
PROC = Path("/proc/self").exists()
ROWS = 400_000


@pytest.fixture
def backups(shared: Project, tmp_path: Path) -> Iterator[Backups]:
    """A folder for backups of one's own."""
    own = Backups(shared, tmp_path / "backups")
    before = own.databases()
    yield own
    own.clean(before)


@pytest.fixture(scope="module")
def big(shared: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database that takes a second to dump."""
    own = Backups(shared, tmp_path_factory.mktemp("big"))
    own.sql("postgres", "CREATE DATABASE big")
    text = "md5(random()::text) || md5(random()::text)"
    own.sql("big", f"CREATE TABLE noise AS SELECT n, {text} AS text FROM generate_series(1, {ROWS}) n")
    yield "big"
    own.drop("big")
    own.ctx.close()


@contextmanager
def dumping(backups: Backups) -> Iterator[subprocess.Popen[str]]:
    """Start a backup of `big`; the body runs while its rows are being written."""
    process = backups.start("backup.create", "--database=big")
    try:
        wait_for(lambda: list(backups.folder.glob("*.partial/dump/*.dat.gz")) or process.poll() is not None)
        assert process.poll() is None
        yield process
    finally:
        process.kill()
        process.communicate()


def kill_us(process: subprocess.Popen[str]) -> None:
    process.kill()


def kill_all(process: subprocess.Popen[str]) -> None:
    """Kill the work, too, before it can notice that we are gone."""
    process.send_signal(signal.SIGSTOP)
    for child in children(process.pid):
        os.killpg(child, signal.SIGKILL)
    process.kill()


@pytest.mark.skipif(not PROC, reason="looks for processes in /proc")
@pytest.mark.parametrize("kill", [kill_us, kill_all])
def test_a_killed_backup_is_never_listed_and_the_next_one_removes_it(
    backups: Backups, big: str, kill: Callable[[subprocess.Popen[str]], None]
) -> None:
    with dumping(backups) as process:
        kill(process)
        assert process.wait() == -signal.SIGKILL
    assert backups.listed() == {}
    wait_for(lambda: backups.sessions() == 0)  # no orphan goes on dumping
    if kill is kill_us:  # then the host's end notices, and cleans up by itself
        wait_for(lambda: not list(backups.folder.iterdir()))
    left = list(backups.folder.iterdir())
    assert len(left) == (kill is kill_all)
    done = backups.inv("backup.create", f"--database={big}")
    assert done.returncode == 0, done.stderr
    assert [f"> remove {path.name}" in done.stderr for path in left] == [True for _ in left]
    assert [path.name for path in backups.folder.iterdir()] == list(backups.listed())
    assert list(backups.listed().values()) == [""]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_backup_cleans_up_at_once(backups: Backups, big: str, number: signal.Signals) -> None:
    with dumping(backups) as process:
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
        assert process.returncode == 130
        assert "was interrupted" in err
    assert list(backups.folder.iterdir()) == []
    wait_for(lambda: backups.sessions() == 0)


def test_a_timeout_bounds_the_dump(backups: Backups, big: str) -> None:
    done = backups.inv("backup.create", f"--database={big}", "--timeout=0.6")
    assert done.returncode == 4
    assert backups.listed() == {}
    wait_for(lambda: backups.sessions() == 0)


@contextmanager
def small_disk(path: Path) -> Iterator[None]:
    if os.geteuid() != 0:
        if CI:
            pytest.fail("a full disk needs root to mount a small tmpfs")
        pytest.skip("needs root to mount a small tmpfs")
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=755", "tmpfs", str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(path)], check=True)


def test_a_full_disk_is_said_and_nothing_is_listed(backups: Backups, big: str, database: str) -> None:
    with small_disk(backups.folder):
        done = backups.inv("backup.create", f"--database={big}")
        assert done.returncode == 1
        assert "the backup of `big` was not made" in done.stderr
        assert f"the disk of {backups.folder} is full" in done.stderr
        assert list(backups.folder.iterdir()) == []
        assert backups.inv("backup.create", f"--database={database}").returncode == 0
        filler = backups.folder / "filler"
        with filler.open("wb") as file:
            file.write(bytes(os.statvfs(backups.folder).f_bavail * 4096))
        done = backups.inv("backup.create", f"--database={database}")
        assert (done.returncode, "is full" in done.stderr) == (1, True)
        filler.unlink()
        assert list(backups.listed().values()) == [""]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("pattern", "harm", "why", "listed_as"),
    [
        ("dump/*.dat.gz", flip, "has another checksum", ""),
        ("dump/toc.dat", flip, "dump/toc.dat has another checksum", ""),
        ("rows.json", flip, "rows.json has another checksum", ""),
        ("globals.sql", flip, "globals.sql has another checksum", ""),
        ("globals.sql", Path.unlink, "globals.sql is missing", ""),
        ("manifest.json", flip, "manifest.json has not the checksum", "manifest.json has not the checksum"),
        ("dump/*.dat.gz", Path.unlink, "dump/ has 18 files", "dump/ has 18 files"),
        ("dump/toc.dat", lambda path: os.truncate(path, 100), "dump/ has 19 files", "dump/ has 19 files"),
        ("SHA256SUMS", Path.unlink, "SHA256SUMS", "manifest.json has not the checksum"),
    ],
)
def test_a_damaged_backup_is_refused_before_anything_is_touched(
    backups: Backups, database: str, pattern: str, harm: Callable[[Path], object], why: str, listed_as: str
) -> None:
    identity = made(backups, database)
    harm(next((backups.folder / identity).glob(pattern)))
    assert backups.listed()[identity].startswith(listed_as)
    before, databases = backups.content(database), backups.databases()
    done = backups.inv("backup.restore", identity, f"--into={database}", "--replace")
    assert done.returncode == 1
    assert f"the backup `{identity}` is damaged; nothing was touched" in done.stderr
    assert why in done.stderr
    assert backups.databases() == databases
    backups.ctx.db.forget(database)
    assert backups.content(database) == before


def test_rows_that_are_missing_after_a_restore_are_noticed(
    backups: Backups, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, identity = source.count_rows, made(backups, database)
    monkeypatch.setattr(source, "count_rows", lambda *words: {**real(*words), ("chanuka", "bills"): 1})
    databases = backups.databases()
    with pytest.raises(CohesionError) as raised:
        backup.restore(backups.ctx, identity)
    assert "1 table came back with other rows" in raised.value.what
    assert raised.value.why == "chanuka.bills: 1 instead of 120"
    assert backups.databases() == databases


@pytest.mark.skipif(not PROC, reason="looks for processes in /proc")
@pytest.mark.parametrize("kill", [kill_us, kill_all])
def test_a_killed_restore_leaves_the_target_and_the_next_one_cleans_up(
    backups: Backups, big: str, kill: Callable[[subprocess.Popen[str]], None]
) -> None:
    identity = made(backups, big)
    process = backups.start("backup.restore", identity, "--replace")
    wait_for(lambda: backups.sessions() or process.poll() is not None)
    kill(process)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    wait_for(lambda: backups.sessions() == 0)
    assert backups.sql(big, "SELECT count(*) FROM noise") == [(ROWS,)]
    (left,) = [name for name in backups.databases() if name.startswith("pgcohesion_restoring_")]
    done = backups.inv("backup.restore", identity, "--into=big_again")
    assert done.returncode == 0, done.stderr
    assert f"> remove database {left}" in done.stderr
    assert left not in backups.databases()
    assert backups.sql("big_again", "SELECT count(*) FROM noise") == [(ROWS,)]


def test_an_interrupted_restore_removes_what_it_made(backups: Backups, big: str) -> None:
    identity, databases = made(backups, big), backups.databases()
    process = backups.start("backup.restore", identity)
    wait_for(lambda: backups.sessions() or process.poll() is not None)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert backups.databases() == databases


def test_a_table_that_is_locked_does_not_make_half_a_backup(backups: Backups, database: str) -> None:
    other = Backups(backups.project, backups.folder)
    with other.ctx.db.transaction(database) as connection:
        connection.execute("LOCK TABLE chanuka.bills IN ACCESS EXCLUSIVE MODE")
        done = backups.inv("backup.create", f"--database={database}", "--timeout=1.5")
        assert done.returncode == 4
    other.ctx.close()
    assert list(backups.folder.iterdir()) == []


def test_a_stopped_server_is_said_and_the_list_still_works(fresh: Project) -> None:
    assert "0 backups" in fresh.inv("backup.list", "--env=test").stdout
    for words in (("backup.create",), ("backup.restore", "latest")):
        done = fresh.inv(*words, "--env=test")
        assert done.returncode == 2
        assert "inv db.setup --env=test" in done.stderr
