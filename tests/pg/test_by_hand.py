"""Our scripts and those of benchmarks/by_hand do the same: exit codes, what is in the database, dry runs."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from benchmarks.scripts import pairs, tokens
from pgcohesion.opening import open_context
from pgcohesion.script.alone import OnlyCopy
from pgcohesion.server import binaries
from tests.support import REPO, Project, end_server, project

pytestmark = pytest.mark.pg
ENV = "--env=test"
HAND = REPO / "benchmarks" / "by_hand"
FILES = ("analyze_stale", "export_sample", "kill_idle", "migrate", "reset", "rotate_password", "seed", "setup")


class Side(NamedTuple):
    """One of two servers with the same database: `run` starts a script of its side, `connect` opens a session."""

    name: str
    root: Path
    run: Callable[..., subprocess.Popen[str]]
    parameters: Mapping[str, str]
    tool: Callable[[str], str]

    def code(self, script: str, *words: str) -> int:
        process = self.run(script, *words)
        process.communicate(timeout=60)
        return int(process.returncode)

    def connect(self, database: str = "chanuka") -> psycopg.Connection[Any]:
        return psycopg.connect(**self.parameters, dbname=database, autocommit=True)  # type: ignore[arg-type]

    def rows(self, query: str) -> list[Any]:
        with contextlib.closing(self.connect()) as connection:
            return connection.execute(query).fetchall()

    def do(self, *statements: str) -> None:
        with contextlib.closing(self.connect()) as connection:
            for statement in statements:
                connection.execute(statement)

    def dump(self) -> str:
        """Return the database as SQL, without the books that each side keeps of its files."""
        books = ["--exclude-schema=pgcohesion", "--exclude-table=public.*"]
        done = subprocess.run(
            [self.tool("pg_dump"), "--restrict-key=x", *books, "chanuka"],
            env={**os.environ, **{f"PG{name.upper()}": value for name, value in self.parameters.items()}},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout


@pytest.fixture(scope="module")
def made() -> Iterator[Project]:
    with project() as fresh:
        for path in ("migrations/x", "seeds/x"):  # copies: these tests add files
            fresh.write(path, "").unlink()
        yield fresh


@pytest.fixture(scope="module")
def ours(made: Project) -> Iterator[Side]:
    def run(script: str, *words: str) -> subprocess.Popen[str]:
        command = made.command(f"script.{script.replace('_', '-')}", ENV, *words)
        return subprocess.Popen(command, cwd=made.root, env=made.environment(), **PIPES)

    assert made.inv("script.setup", ENV).returncode == 0
    ctx = open_context("test", root=made.root)
    yield Side("ours", made.root, run, ctx.server.parameters(), ctx.server.tool)
    ctx.close()


PIPES: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}


@pytest.fixture(scope="module")
def hand(made: Project, ours: Side) -> Iterator[Side]:
    user = binaries.account(REPO)
    folder = Path(made.root) / "hand"
    more = ["--bin", str(Path(ours.tool("initdb")).parent), *(["--run-as", user.name] if user.name else [])]
    more += ["--migrations", str(made.root / "migrations"), "--seeds", str(made.root / "seeds")]
    parameters = {"host": str(folder), "port": "5432", "user": "postgres", "password": ""}

    def run(script: str, *words: str) -> subprocess.Popen[str]:
        env = {"PGPASSWORD": parameters["password"]}
        env["DATABASE_URL"] = f"host={folder} port=5432 user=postgres dbname=chanuka"
        extra: list[str] = []
        if script in ("setup", "reset"):
            extra = [str(folder), *more, *(["--yes", "hand"] if script == "reset" else [])]
        if script in ("migrate", "seed"):
            extra = ["--folder", str(made.root / {"migrate": "migrations", "seed": "seeds"}[script])]
        if script == "rotate_password":
            extra = [str(folder / "chanuka_app.password"), "--login-host", str(folder)]
        command = [sys.executable, str(HAND / f"{script}.py"), *words, *extra]
        return subprocess.Popen(command, cwd=made.root, env=made.environment(**env), **PIPES)

    try:
        process = run("setup")
        out, err = process.communicate()
        assert process.returncode == 0, out + err
        parameters["password"] = (folder / "superuser.password").read_text().strip()
        yield Side("hand", made.root, run, parameters, ours.tool)
    finally:
        end_server(folder / "data")


@pytest.fixture(params=["ours", "hand"])
def side(request: pytest.FixtureRequest) -> Side:
    found: Side = request.getfixturevalue(request.param)
    return found


ROLES = """
SELECT rolname, rolcanlogin, rolinherit, rolsuper, setconfig::text, left(rolpassword, 19)
  FROM pg_authid LEFT JOIN pg_db_role_setting ON setrole = pg_authid.oid WHERE rolname LIKE 'chanuka%' ORDER BY 1
"""


def same(ours: Side, hand: Side) -> None:
    assert ours.rows(ROLES) == hand.rows(ROLES)
    assert sorted(ours.dump().splitlines()) == sorted(hand.dump().splitlines())  # rows lie in any order


def test_setup_makes_the_same_database_and_a_second_one_changes_nothing(ours: Side, hand: Side) -> None:
    same(ours, hand)
    before = hand.dump()
    assert [side.code("setup") for side in (ours, hand)] == [0, 0]
    assert [side.code("setup", "--dry-run") for side in (ours, hand)] == [0, 0]
    assert ours.dump() == hand.dump() == before


def test_migrations_and_seeds(ours: Side, hand: Side) -> None:
    def codes(script: str, *words: str) -> list[int]:
        return [side.code(script, *words) for side in (ours, hand)]

    migration, seed = ours.root / "migrations/0009_more.sql", ours.root / "seeds/sample/0009_more.sql"
    migration.write_text("-- More.\ncreate table more (x integer primary key);\nselect 1/0;\n")
    assert codes("migrate") == [1, 1]
    same(ours, hand)
    migration.write_text("-- More.\ncreate table more (x integer primary key);\n")
    before = ours.dump()
    assert codes("migrate", "--dry-run") == [0, 0]
    assert ours.dump() == hand.dump() == before
    assert codes("migrate") == [0, 0]
    same(ours, hand)
    assert ours.dump() != before
    seed.write_text("-- More.\ninsert into more values (1), (1);\n")
    assert codes("seed") == [1, 1]
    seed.write_text("-- More.\ninsert into more values (1) on conflict do nothing;\n")
    assert codes("seed", "--dry-run") == [0, 0]
    assert ours.rows("SELECT x FROM chanuka.more") == hand.rows("SELECT x FROM chanuka.more") == []
    assert codes("seed") == [0, 0]
    same(ours, hand)
    assert codes("seed") == codes("migrate") == [0, 0]
    migration.write_text("-- More.\ncreate table more (x bigint primary key);\n")
    assert codes("migrate") == [2, 2]
    migration.write_text("-- More.\ncreate table more (x integer primary key);\n")
    same(ours, hand)


def test_reset_begins_again(ours: Side, hand: Side) -> None:
    for side in (ours, hand):
        side.do("INSERT INTO chanuka.topics (slug, name) VALUES ('mine', 'Mine')")
        assert side.code("reset", "--dry-run") == 0
        assert len(side.rows("SELECT 1 FROM chanuka.topics WHERE slug = 'mine'")) == 1
        assert side.code("reset") == 0
    same(ours, hand)
    assert ours.rows("SELECT 1 FROM chanuka.topics WHERE slug = 'mine'") == []


def test_analyze(side: Side) -> None:
    stale = "SELECT count(*) FROM pg_stat_user_tables WHERE n_mod_since_analyze > 100"
    side.do("UPDATE chanuka.follows SET since = since", "SELECT pg_stat_force_next_flush()")
    assert side.code("analyze_stale", "--min-changes=100", "--dry-run") == 0
    assert side.rows(stale)[0][0] > 0
    assert side.code("analyze_stale", "--min-changes=100") == 0
    assert side.rows(stale) == [(0,)]


def test_kill_idle(side: Side) -> None:
    with contextlib.closing(side.connect()) as stuck, contextlib.closing(side.connect()) as idle:
        stuck.execute("BEGIN")
        stuck.execute("SELECT 1")
        assert side.code("kill_idle", "--in-transaction=0", "--dry-run") == 0
        stuck.execute("SELECT 1")
        assert side.code("kill_idle", "--in-transaction=0") == 0
        with pytest.raises(psycopg.OperationalError):
            stuck.execute("SELECT 1")
        idle.execute("SELECT 1")


def test_samples_load_as_the_same_rows(ours: Side, hand: Side, tmp_path: Path) -> None:
    loaded = []
    for side in (ours, hand):
        file = tmp_path / f"{side.name}.sql"
        assert side.code("export_sample", str(file), "--dry-run") == 0
        assert not file.exists()
        assert side.code("export_sample", str(file), "--bills=7") == 0
        rows = re.findall(r"COPY (?:\S*\.)?\"(\w+)\" \(([^)]*)\) FROM stdin;\n(.*?)\\\.\n", file.read_text(), re.DOTALL)
        loaded.append([(table, columns, sorted(text.splitlines())) for table, columns, text in rows])
    assert loaded[0] == loaded[1]
    assert len(loaded[0]) == 16
    assert [side.code("export_sample", str(tmp_path / "absent" / "x.sql")) for side in (ours, hand)] == [1, 1]


def test_rotate(ours: Side, hand: Side) -> None:
    for side, folder in ((ours, ours.root / ".pgcohesion/test"), (hand, hand.root / "hand")):
        file = folder / "chanuka_app.password"
        old = file.read_text()
        assert side.code("rotate_password", "chanuka_app", "--dry-run") == 0
        assert file.read_text() == old
        assert side.code("rotate_password", "chanuka_app") == 0
        new = file.read_text()
        assert new != old
        login = {**side.parameters, "user": "chanuka_app", "dbname": "chanuka"}
        psycopg.connect(**{**login, "password": new.strip()}).close()  # type: ignore[arg-type]
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(**{**login, "password": old.strip()})  # type: ignore[arg-type]
        assert side.code("rotate_password", "nobody_at_all") == 2


@pytest.mark.parametrize("script", [*FILES, "wait_for_database"])
def test_a_wrong_option(side: Side, script: str) -> None:
    words = {"rotate_password": ["chanuka_app"], "export_sample": ["x.sql"]}.get(script, [])
    assert side.code(script, *words, "--nonsense=1") == 2
    assert side.code(script, *words, "--timeout=soon") == 2


LOCKS = {
    "analyze_stale": 815_001,
    "kill_idle": 815_002,
    "migrate": 815_003,
    "seed": 815_004,
    "rotate_password": 815_005,
    "export_sample": 815_007,
}


@pytest.mark.parametrize("script", LOCKS)
def test_a_second_copy(ours: Side, hand: Side, script: str) -> None:
    words = {"rotate_password": ["chanuka_app"], "export_sample": ["x.sql"]}.get(script, [])
    ctx = open_context("test", root=ours.root)
    with OnlyCopy(ctx, script.replace("_", "-")):
        assert ours.code(script, *words) == 5
    ctx.close()
    with contextlib.closing(hand.connect()) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [LOCKS[script]])
        assert hand.code(script, *words) == 5


def waits(side: Side) -> bool:
    return bool(side.rows("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))


@pytest.mark.parametrize(("script", "words"), [("analyze_stale", ["--min-changes=0"]), ("export_sample", ["x.sql"])])
@pytest.mark.parametrize("how", ["timeout", "signal"])
def test_a_statement_that_hangs(side: Side, script: str, words: list[str], how: str) -> None:
    with contextlib.closing(side.connect()) as holder:
        holder.execute("UPDATE chanuka.bill_actions SET description = description")
        holder.execute("SELECT pg_stat_force_next_flush()")
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE chanuka.bill_actions, chanuka.parties IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        process = side.run(script, *words, f"--timeout={1 if how == 'timeout' else 60}")
        if how == "signal":
            while not waits(side):
                assert time.monotonic() - began < 20
                time.sleep(0.02)
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
        assert process.returncode == (4 if how == "timeout" else 130)
        while waits(side):  # its session has been told, and takes a moment to end
            assert time.monotonic() - began < 30
            time.sleep(0.02)
    assert list(side.root.glob(".x.sql*")) == []


def test_without_a_server(ours: Side, hand: Side) -> None:
    assert [side.code("wait_for_database") for side in (ours, hand)] == [0, 0]
    ctx = open_context("test", root=ours.root)
    ctx.server.stop()
    file = hand.root / "hand" / "data" / "postmaster.pid"
    os.kill(int(file.read_text().splitlines()[0]), signal.SIGINT)
    while file.exists():
        time.sleep(0.02)
    for script in LOCKS:
        words = {"rotate_password": ["chanuka_app"], "export_sample": ["x.sql"]}.get(script, [])
        assert [side.code(script, *words) for side in (ours, hand)] == [3, 3], script
    assert [side.code("wait_for_database", "--timeout=1") for side in (ours, hand)] == [4, 4]
    assert [side.code("setup") for side in (ours, hand)] == [0, 0]
    same(ours, hand)


def test_ours_are_shorter_by_more_than_they_promise() -> None:
    assert {name for name, _, _ in pairs()} == {path.stem for path in (REPO / "scripts").glob("*.py")}
    counted = {name: 1 - tokens(ours.read_text()) / tokens(hand.read_text()) for name, ours, hand in pairs()}
    assert {name: less for name, less in counted.items() if less < 0.6} == {}
