"""Checks of backups against the real engines: what they say after a backup, and after somebody broke one."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pgcohesion import backup, health
from pgcohesion.context import Options
from pgcohesion.opening import open_context
from pgcohesion.runner.local import become
from pgcohesion.setup import setup
from pgcohesion.view import Grade
from tests.pg.looking import found, looking, need
from tests.pg.seeded.stage import wait_for
from tests.support import Project, project

pytestmark = pytest.mark.pg
FIFTEEN = Path("/usr/lib/postgresql/15/bin")  # Debian's pgBackRest and Barman know nothing newer


class Engines:
    """A server on PostgreSQL 15, with pgBackRest and Barman configured for it; both run as the server's user."""

    def __init__(self, project: Project) -> None:
        self.project, self.root = project, project.root
        self.work = project.root / "work"
        self.config = self.work / "pgbackrest.conf"
        self.barman = self.work / "barman.conf"
        self.rest = ["pgbackrest", f"--config={self.config}"]

    def prepare(self) -> None:
        for name in ("repo", "log", "lock", "barman/main/incoming"):
            (self.work / name).mkdir(parents=True)
        path = self.root / "environments" / "test.toml"
        archive = f"pgbackrest --config={self.config} --stanza=main archive-push %p"
        path.write_text(
            path.read_text().replace("[settings]", f'[settings]\narchive_mode = true\narchive_command = "{archive}"', 1)
            + f'\n[postgresql]\nversion = 15\nbin = "{FIFTEEN}"\n'
            + '\n[[hba]]\ntype = "local"\ndatabase = "replication"\n'
        )
        self.ctx = open_context("test", root=self.root)
        self.write()
        setup(self.ctx)
        self.write()

    def write(self) -> None:
        """Write what the engines read."""
        server = self.ctx.server
        where = server.parameters()
        self.config.write_text(
            f"[global]\nrepo1-path={self.work}/repo\nlog-path={self.work}/log\nlock-path={self.work}/lock\n"
            f"start-fast=y\ncompress-level=0\nrepo1-retention-full=9\n[main]\npg1-path={server.data_folder()}\n"
            f"pg1-socket-path={where['host']}\npg1-port={where['port']}\n"
        )
        conninfo = f"host={where['host']} port={where['port']} user=postgres"
        self.barman.write_text(
            f"[barman]\nbarman_user = {self.user}\nconfiguration_files_directory = {self.work}/none\n"
            f"barman_home = {self.work}/barman\nlog_file = {self.work}/log/barman.log\n"
            f"[main]\ndescription = main\nconninfo = {conninfo} dbname=postgres\nstreaming_conninfo = {conninfo}\n"
            f"backup_method = postgres\narchiver = on\npath_prefix = {FIFTEEN}\n"
        )
        passwords = self.work / "pgpass"
        passwords.write_text(f"*:*:*:postgres:{where['password']}\n")
        passwords.chmod(0o600)
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", f"{self.user}:", self.work], check=True)

    @property
    def user(self) -> str:
        return self.ctx.server.user or getpass.getuser()

    def run(self, *words: str) -> str:
        """Run a program of an engine."""
        variables = [f"PGPASSFILE={self.work}/pgpass", f"HOME={self.work}", f"PATH={os.environ['PATH']}"]
        argv = become(["env", *variables, *words], self.ctx.server.user)
        done = subprocess.run(argv, capture_output=True, text=True, cwd="/", timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def archiving(self, mode: str) -> None:
        """Switch archiving on or off."""
        self.ctx.db.execute(f"ALTER SYSTEM SET archive_mode = {mode}")
        self.ctx.db.forget()
        self.ctx.server.restart()

    def archive(self, command: str) -> None:
        """Archive with another command from now on, beginning with the WAL of now."""
        self.ctx.db.execute(f"ALTER SYSTEM SET archive_command = '{command}'")
        self.ctx.db.execute("SELECT pg_reload_conf()")


@pytest.fixture(scope="module")
def engines() -> Iterator[Engines]:
    need("pgbackrest", "barman", str(FIFTEEN))
    with project() as made:
        prepared = Engines(made)
        prepared.prepare()
        yield prepared
        prepared.ctx.close()


def test_a_certificate_that_ends(engines: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    data = Path(engines.ctx.server.data_folder())
    openssl = "openssl req -x509 -newkey rsa:2048 -nodes -days 5 -subj /CN=x -keyout server.key -out server.crt"
    subprocess.run(openssl.split(), cwd=data, check=True, capture_output=True)
    for name in ("server.key", "server.crt"):
        shutil.chown(data / name, engines.user)
        (data / name).chmod(0o600)
    assert found(engines.project, "certificate") == []  # the server does not use it
    engines.ctx.db.execute("ALTER SYSTEM SET ssl = on")
    engines.ctx.db.execute("SELECT pg_reload_conf()")
    wait_for(lambda: engines.ctx.db.execute("SHOW ssl")[0].ssl == "on")
    assert found(engines.project, "certificate") == [("certificate", Grade.FAIL, "server.crt")]
    there = engines.ctx.server.parameters()
    address = f"127.1:{there['port']}"  # for us somewhere else: only the server itself can show its certificate
    engines.project.write("environments/away.toml", '[health]\nurl = { env = "AWAY" }\n')
    monkeypatch.setenv("AWAY", f"postgresql://postgres:{there['password']}@{address}/postgres")
    with closing(open_context("away", root=engines.project.root, options=Options(env="away"))) as away:
        results = health.check(away, "served_certificate,host", remember=False).results
    (served,) = (one for one in results if one.check != "availability")
    assert (served.check, served.grade, served.object) == ("served_certificate", Grade.FAIL, address)
    assert "ends in 5 d" in served.text
    engines.ctx.db.execute("SELECT pg_sleep(1)")  # a file's time is told in whole seconds
    subprocess.run(openssl.replace("-days 5", "-days 400").split(), cwd=data, check=True, capture_output=True)
    assert found(engines.project, "certificate") == [("certificate", Grade.WARN, "server.crt")]  # not in use yet
    engines.ctx.db.execute("SELECT pg_reload_conf()")
    wait_for(lambda: found(engines.project, "certificate") == [])


def test_a_key_that_others_may_read_and_one_of_another_certificate(engines: Engines) -> None:
    data = Path(engines.ctx.server.data_folder())
    assert found(engines.project, "private_key") == []
    (data / "server.key").chmod(0o640)
    with looking(engines.project) as look:
        (finding,) = look("private_key")
    assert (finding.grade, finding.object) == (Grade.FAIL, "server.key")
    subprocess.run(finding.fix, shell=True, check=True)
    assert found(engines.project, "private_key") == []
    subprocess.run(finding.undo, shell=True, check=True)
    assert found(engines.project, "private_key") == [("private_key", Grade.FAIL, "server.key")]
    (data / "server.key").chmod(0o600)
    other = "openssl genpkey -algorithm RSA -out server.key"
    kept = (data / "server.key").read_bytes()
    subprocess.run(other.split(), cwd=data, check=True, capture_output=True)
    assert found(engines.project, "private_key") == [("private_key", Grade.FAIL, "server.key")]
    (data / "server.key").write_bytes(kept)


def test_pgbackrest_is_asked_as_archive_command_calls_it(engines: Engines) -> None:
    project = engines.project
    assert found(project, "backups") == [("backup_engine", Grade.FAIL, "pgbackrest main")]  # it has no stanza yet
    rest = [*engines.rest, "--stanza=main"]
    engines.run(*rest, "stanza-create")
    with looking(project) as look:  # nobody has declared it, and this is no production
        (none,) = [one for one in look("backups") if one.check == "backup_age"]
        assert (none.grade, none.text) == (Grade.FAIL, "pgbackrest main has no backup that can be restored")
    engines.ctx.db.execute("CREATE TABLE big AS SELECT repeat(md5(n::text), 60) t FROM generate_series(1, 40000) n")
    engines.run(*rest, "--type=full", "backup")
    assert found(project, "backups") == []
    beside = found(project, "backup_disk", "protected=true")
    assert beside == [("backup_disk", Grade.WARN, f"{engines.work}/repo")]

    engines.ctx.db.execute("DROP TABLE big")
    engines.run(*rest, "--type=full", "backup")
    assert found(project, "backups") == [("backup_shrank", Grade.FAIL, "pgbackrest main")]
    engines.run(*rest, "--type=full", "backup")
    assert found(project, "backups") == []

    old = "health.limits.full_backup_age.warn=0.0000001"
    assert found(project, "backups", old) == [("full_backup_age", Grade.WARN, "pgbackrest main")]
    engines.run(*rest, "--type=incr", "backup")
    old = "health.limits.backup_age.warn=0.0000001"
    assert found(project, "backups", old) == [("backup_age", Grade.WARN, "pgbackrest main")]


def test_pgbackrest_whose_archive_lost_wal_or_whose_catalogue_is_broken(engines: Engines) -> None:
    (stanza,) = json.loads(engines.run(*engines.rest, "info", "--output=json"))
    newest, first = stanza["backup"][-1]["label"], stanza["backup"][0]["archive"]["stop"]
    folder = engines.work / "repo" / "archive" / "main" / "15-1" / "0000000100000000"
    kept = engines.work / "kept"
    shutil.move(folder, kept)
    folder.mkdir()
    for segment in kept.glob(f"{first}-*"):  # the oldest backup still has what it needs
        shutil.copy2(segment, folder)
    engines.write()
    troubles = found(engines.project, "backups")
    assert ("backups_usable", Grade.FAIL, newest) in troubles
    assert stanza["backup"][0]["label"] not in [about for _, _, about in troubles]
    shutil.rmtree(folder)
    shutil.move(kept, folder)
    assert found(engines.project, "backups") == []

    catalogue = engines.work / "repo" / "backup" / "main"
    for name in ("backup.info", "backup.info.copy"):
        (catalogue / name).rename(catalogue / f"gone.{name}")
    assert found(engines.project, "backups") == [("backup_engine", Grade.FAIL, "pgbackrest main")]
    for name in ("backup.info", "backup.info.copy"):
        (catalogue / f"gone.{name}").rename(catalogue / name)


def declared(engine: str, command: list[str], user: str, **more: object) -> list[str]:
    values = {"engine": engine, "command": command, "user": user, **more}
    texts = {name: ",".join(value) if isinstance(value, list) else value for name, value in values.items()}
    return [f"health.backups.main.{name}={text}" for name, text in texts.items()]


def test_what_is_declared_of_pgbackrest_is_held(engines: Engines, tmp_path: Path) -> None:
    proof = tmp_path / "restored"
    sets = declared("pgbackrest", engines.rest, engines.user, keep=9, verified=str(proof))
    assert found(engines.project, "backups", *sets) == [
        ("backup_retention", Grade.WARN, "pgbackrest main"),
        ("backup_verified", Grade.WARN, "pgbackrest main"),
    ]
    proof.touch()
    os.utime(proof, (1e9, 1e9))
    assert ("backup_verified", Grade.FAIL, "pgbackrest main") in found(engines.project, "backups", *sets)
    proof.touch()
    sets = declared("pgbackrest", engines.rest, engines.user, keep=1, verified=str(proof))
    assert found(engines.project, "backups", *sets) == []
    beside = found(engines.project, "backup_disk", *sets, "protected=true")
    assert beside == [("backup_disk", Grade.WARN, f"{engines.work}/repo")]
    engines.archiving("off")
    assert ("backup_engine", Grade.FAIL, "pgbackrest main") in found(engines.project, "backups", *sets)
    engines.archiving("on")
    sets = declared("pgbackrest", engines.rest, engines.user, stanza="other")
    assert found(engines.project, "backups", *sets) == [("backup_engine", Grade.FAIL, "pgbackrest other")]
    sets = declared("pgbackrest", ["/no/such/pgbackrest"], engines.user)
    assert found(engines.project, "backups", *sets) == [("backup_engine", Grade.FAIL, "pgbackrest main")]


def test_barman(engines: Engines) -> None:
    program = ["barman", "-c", str(engines.barman)]
    command = ["env", f"PGPASSFILE={engines.work}/pgpass", *program]
    sets = declared("barman", command, engines.user)
    engines.archive(f"cp %p {engines.work}/barman/main/incoming/%f")
    troubles = found(engines.project, "backups", *sets)
    assert ("backup_engine", Grade.FAIL, "barman main") in troubles  # no WAL has arrived yet
    assert ("backup_age", Grade.FAIL, "barman main") not in troubles  # one word for one trouble
    engines.run(*program, "switch-wal", "--force", "--archive", "main")
    engines.run(*program, "backup", "main")
    engines.ctx.db.execute("SELECT pg_switch_wal()")

    def whole() -> bool:
        engines.run(*program, "archive-wal", "main")
        return '"status": "DONE"' in engines.run(*program, "-f", "json", "list-backup", "main")

    wait_for(whole)
    assert found(engines.project, "backups", *sets) == []
    beside = found(engines.project, "backup_disk", *sets, "protected=true")
    assert beside == [("backup_disk", Grade.WARN, f"{engines.work}/barman/main")]
    old = "health.limits.full_backup_age.fail=0.0000001"
    assert found(engines.project, "backups", *sets, old) == [("full_backup_age", Grade.FAIL, "barman main")]

    (backup,) = (engines.work / "barman" / "main" / "base").iterdir()
    described = backup / "backup.info"
    described.write_text(described.read_text().replace("status=DONE", "status=FAILED"))
    assert found(engines.project, "backups", *sets) == [
        ("backup_age", Grade.FAIL, "barman main"),
        ("backups_usable", Grade.FAIL, backup.name),
    ]


def test_our_own_backups(fresh: Project) -> None:
    ctx = open_context("test", root=fresh.root)
    setup(ctx)
    with looking(fresh) as look:
        (known,) = [one for one in look("backups") if one.check == "backups_known"]
    assert (known.grade, known.text) == (Grade.INFO, "no backup is known")
    with looking(fresh, "protected=true") as look:
        (known,) = [one for one in look("backups") if one.check == "backups_known"]
    assert known.grade is Grade.WARN

    ctx.db.execute("CREATE TABLE public.big AS SELECT md5(n::text) t FROM generate_series(1, 200000) n")
    backup.create(ctx)
    ctx.db.execute("DROP TABLE public.big")
    name = f"chanuka in {ctx.backup_folder}"
    sets = ("health.backups.own.engine=pgcohesion", "health.backups.own.keep=1")
    assert found(fresh, "backups", *sets) == []
    backup.create(ctx)
    assert found(fresh, "backups", *sets) == [("backup_shrank", Grade.FAIL, name)]
    assert found(fresh, "backups") == []  # not declared, and a laptop's
    old = "health.limits.backup_age.fail=0.0000001"
    assert ("backup_age", Grade.FAIL, name) in found(fresh, "backups", *sets, old)

    newest = max(Path(ctx.backup_folder).iterdir())
    next(path for path in (newest / "dump").iterdir() if path.suffix == ".gz").unlink()
    assert found(fresh, "backups", *sets) == [("backups_usable", Grade.FAIL, newest.name)]
    shutil.rmtree(ctx.backup_folder)
    assert found(fresh, "backups", *sets) == [
        ("backup_age", Grade.FAIL, name),
        ("backup_retention", Grade.WARN, name),
    ]
    ctx.close()


def test_whatever_lies_in_a_folder(shared: Project) -> None:
    folder = shared.root / "it's here"
    sets = [f"health.backups.nightly.{name}={value}" for name, value in
            (("engine", "files"), ("folder", folder), ("pattern", "*.dump"))]  # fmt: skip
    name = f"{folder}/*.dump"
    assert found(shared, "backups", *sets) == [("backup_engine", Grade.FAIL, name)]
    folder.mkdir()
    (folder / "notes.txt").write_text("none of them")
    assert found(shared, "backups", *sets) == [("backup_age", Grade.FAIL, name)]
    now = time.time()
    for day, size in ((3, 1000), (2, 1100), (1, 1050)):
        path = folder / f"{day}.dump"
        path.write_bytes(b"x" * size)
        os.utime(path, (now - day * 86400, now - day * 86400))
    assert found(shared, "backups", *sets) == []
    beside = found(shared, "backup_disk", *sets, "protected=true")
    assert beside == [("backup_disk", Grade.WARN, str(folder))]
    newest = folder / "0.dump"
    newest.mkdir()  # a dump in directory format is one, too
    (newest / "toc.dat").write_bytes(b"x" * 300)
    assert found(shared, "backups", *sets) == [("backup_shrank", Grade.FAIL, name)]
    (newest / "toc.dat").write_bytes(b"")
    assert found(shared, "backups", *sets) == [("backups_usable", Grade.FAIL, "0.dump")]
    shutil.rmtree(newest)
    (folder / "1.dump").unlink()
    assert found(shared, "backups", *sets) == [("backup_age", Grade.WARN, name)]
