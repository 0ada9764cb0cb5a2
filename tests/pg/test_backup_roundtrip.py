"""Backups and restores on a real server: what comes back, under which names, and what is left alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.sql import SQL, Identifier

from pgcohesion import backup
from pgcohesion.backup import restoring
from pgcohesion.backup.restoring import Restored
from pgcohesion.errors import CohesionError
from tests.pg.backup_server import Backups, made
from tests.support import Project

pytestmark = pytest.mark.pg
LIES = {
    "PGHOSTADDR": "192.0.2.1",
    "PGPASSWORD": "wrong",
    "PGSSLMODE": "require",
    "PGDATABASE": "none",
    "PGOPTIONS": "-c role=chanuka_readonly",
    "PGCLIENTENCODING": "LATIN1",
}


@pytest.fixture
def backups(shared: Project, tmp_path: Path) -> Iterator[Backups]:
    """A folder for backups of one's own."""
    own = Backups(shared, tmp_path / "backups")
    before = own.databases()
    yield own
    own.clean(before)


def test_everything_comes_back(backups: Backups, database: str) -> None:
    quoted = f'"{database}"'
    backups.sql(
        database,
        f"ALTER DATABASE {quoted} OWNER TO chanuka_owner",
        f'ALTER DATABASE {quoted} SET search_path TO chanuka, "odd ""one""", public',
        f"ALTER DATABASE {quoted} SET default_transaction_read_only TO on",
        f"ALTER ROLE chanuka_app IN DATABASE {quoted} SET chanuka.user_id TO 'it''s'",
        f"ALTER DATABASE {quoted} CONNECTION LIMIT 7",
        f"REVOKE ALL ON DATABASE {quoted} FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {quoted} TO chanuka_app WITH GRANT OPTION",
        f"COMMENT ON DATABASE {quoted} IS 'it''s mine'",
        "SELECT lo_from_bytea(0, '\\x00ff')",
    )
    identity = made(backups, database)
    done = backup.restore(backups.ctx, identity)
    assert isinstance(done, Restored)
    assert done.database == f"{database}_restored_{identity[:16]}"
    assert backups.content(done.database) == backups.content(database)
    assert backups.properties(done.database) == backups.properties(database)
    assert backups.sql(done.database, "SELECT lo_get(oid) FROM pg_largeobject_metadata") == [(b"\x00\xff",)]
    (reltuples,) = backups.sql(done.database, "SELECT reltuples FROM pg_class WHERE oid = 'chanuka.bills'::regclass")
    assert reltuples[0] > 0  # analyzed: the planner knows it


def test_public_privileges_of_a_database_come_back(backups: Backups) -> None:
    backups.sql("postgres", "CREATE DATABASE open_to_all")
    identity = made(backups, "open_to_all")
    backup.restore(backups.ctx, identity, "open_again")
    (row,) = backups.sql("postgres", "SELECT has_database_privilege('chanuka_readonly', 'open_again', 'CONNECT')")
    assert row == (True,)
    (row,) = backups.sql("postgres", "SELECT has_database_privilege('chanuka_readonly', 'open_again', 'CREATE')")
    assert row == (False,)


def test_row_level_security_loses_no_rows(backups: Backups, database: str) -> None:
    backups.sql(
        database,
        "CREATE TABLE chanuka.guarded AS SELECT n FROM generate_series(1, 100) n",
        "ALTER TABLE chanuka.guarded OWNER TO chanuka_owner",
        "ALTER TABLE chanuka.guarded ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE chanuka.guarded FORCE ROW LEVEL SECURITY",
        "CREATE POLICY nothing ON chanuka.guarded USING (false)",
    )
    backup.restore(backups.ctx, made(backups, database), "guarded_again")
    assert backups.sql("guarded_again", "SELECT count(*) FROM chanuka.guarded") == [(100,)]
    assert backups.content("guarded_again") == backups.content(database)


def test_a_databases_own_settings_do_not_disturb(backups: Backups, database: str) -> None:
    for setting in ("role TO chanuka_readonly", "statement_timeout TO 1", "idle_in_transaction_session_timeout TO 1"):
        backups.sql("postgres", f'ALTER DATABASE "{database}" SET {setting}')
    done = backup.restore(backups.ctx, made(backups, database))
    assert isinstance(done, Restored)
    assert backups.properties(done.database)[0][-1] == backups.properties(database)[0][-1]


def test_rows_that_come_while_it_dumps_are_not_half_in_it(backups: Backups, database: str) -> None:
    backups.sql(database, "CREATE TABLE busy (n int)")
    ended = threading.Event()
    other = Backups(backups.project, backups.folder)

    def write() -> None:
        while not ended.is_set():
            other.sql(database, "INSERT INTO busy SELECT generate_series(1, 10)")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        identity = made(backups, database)
    finally:
        ended.set()
        thread.join()
        other.ctx.close()
    done = backup.restore(backups.ctx, identity, "busy_again")
    assert isinstance(done, Restored)
    (kept,) = backups.sql("busy_again", "SELECT count(*) FROM busy")
    (now,) = backups.sql(database, "SELECT count(*) FROM busy")
    assert 0 <= kept[0] < now[0]
    assert kept[0] % 10 == 0


def test_extensions_partitions_inheritance_and_odd_names_are_counted(backups: Backups, database: str) -> None:
    backups.sql(
        database,
        'CREATE SCHEMA "odd.schema"',
        'CREATE TABLE "odd.schema"."a""b\nc%s" AS SELECT generate_series(1, 3) AS n',
        "CREATE TABLE parts (n int) PARTITION BY RANGE (n)",
        "CREATE TABLE part_1 PARTITION OF parts FOR VALUES FROM (0) TO (10)",
        "CREATE TABLE part_2 PARTITION OF parts DEFAULT",
        "INSERT INTO parts SELECT generate_series(1, 25)",
        "CREATE TABLE base (n int)",
        "CREATE TABLE child () INHERITS (base)",
        "INSERT INTO base VALUES (1)",
        "INSERT INTO child VALUES (2), (3)",
        "CREATE UNLOGGED TABLE fast AS SELECT 1 AS n",
        "CREATE MATERIALIZED VIEW seen AS SELECT * FROM base",
    )
    identity = made(backups, database)
    backup.restore(backups.ctx, identity, "odd_again")
    assert backups.content("odd_again") == backups.content(database)


def test_latest_is_the_newest_of_the_main_database(backups: Backups, database: str) -> None:
    first, second, other = made(backups, "chanuka"), made(backups, "chanuka"), made(backups, database)
    assert list(backups.listed().items()) == [(first, ""), (second, ""), (other, "")]
    done = backup.restore(backups.ctx, "latest", "newest")
    assert isinstance(done, Restored)
    assert done.manifest.id == second
    assert backups.inv("backup.restore", "latest", "--into=newest").returncode == 5


HOSTILE = (
    'it\'s "quoted" $HOME `id` $(id)',
    "line\nbreak",
    "naïve 名前",
    "-rf",
    "host=evil port=1",
    "postgresql://evil/x",
    "back\\slash",
    "x" * 63,
)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_database_of_any_name_goes_there_and_back(backups: Backups, name: str) -> None:
    backups.ctx.db.execute(SQL("CREATE DATABASE {}").format(Identifier(name)), database="postgres")
    backups.sql(name, "CREATE TABLE t AS SELECT 42 AS n")
    identity = made(backups, name)
    assert backups.listed() == {identity: ""}
    done = backup.restore(backups.ctx, identity)
    assert isinstance(done, Restored)
    assert backups.sql(done.database, "SELECT n FROM t") == [(42,)]
    backups.sql(name, "DROP TABLE t")
    backup.restore(backups.ctx, identity, replace=True)
    assert backups.sql(name, "SELECT n FROM t") == [(42,)]


def test_any_name_passes_the_command_line(backups: Backups) -> None:
    name = '-it\'s a "$(name)"\nof=100%s 名'
    for words in (("backup.create",), ("backup.restore", "latest", f"--into={name}")):
        done = backups.inv(*words)
        assert done.returncode == 0, done.stderr
    assert '-it\'s a "$(name)"\\nof=100%s 名 restored from' in done.stdout
    done = backups.inv("backup.create", f"--database={name}")
    assert done.returncode == 0, done.stderr
    shown = backups.inv("backup.list").stdout
    assert "-it_s_a_name_of_100_s" in shown
    assert "\\nof=100%s 名" in shown


def test_what_the_process_environment_says_does_not_matter(backups: Backups) -> None:
    for words in (("backup.create",), ("backup.restore", "latest", "--into=undisturbed")):
        done = backups.project.inv(*words, "--env=test", "--set", backups.set, env=LIES)
        assert done.returncode == 0, done.stderr


# --- replacing ------------------------------------------------------------------------------------------


def test_replace_brings_the_old_rows_back_and_ends_the_sessions(backups: Backups, database: str) -> None:
    identity = made(backups, database)
    before = backups.content(database)
    backups.sql(database, "DELETE FROM chanuka.votes", "CREATE TABLE chanuka.newer (n int)")
    other = Backups(backups.project, backups.folder)
    ended = threading.Event()

    def reconnect() -> None:
        while not ended.is_set():
            try:
                other.sql(database, "SELECT 1")
            except CohesionError:
                other.ctx.db.forget(database)

    thread = threading.Thread(target=reconnect)
    thread.start()
    try:
        done = backup.restore(backups.ctx, identity, database, replace=True)
    finally:
        ended.set()
        thread.join()
        other.ctx.close()
    assert isinstance(done, Restored)
    assert done.replaced
    assert backups.content(database) == before
    assert not [name for name in backups.databases() if name.startswith("pgcohesion_")]


def test_replace_of_what_is_not_there_just_makes_it(backups: Backups, database: str) -> None:
    identity = made(backups, database)
    done = backup.restore(backups.ctx, identity, "not_there_yet", replace=True)
    assert isinstance(done, Restored)
    assert not done.replaced
    assert done.applied.plan.counts()["drop"] == 0


def test_a_restore_that_fails_loses_nothing(backups: Backups, database: str) -> None:
    backups.sql(
        database,
        "CREATE FUNCTION fussy() RETURNS int LANGUAGE plpgsql AS $$ BEGIN"
        " IF current_database() LIKE 'pgcohesion_%' THEN RAISE EXCEPTION 'not here'; END IF; RETURN 1; END $$",
        "CREATE MATERIALIZED VIEW fussy_view AS SELECT fussy()",
    )
    identity = made(backups, database)
    before, databases = backups.content(database), backups.databases()
    for words in ((f"--into={database}", "--replace"), ("--into=never",)):
        done = backups.inv("backup.restore", identity, *words)
        assert done.returncode == 1
        assert "was not restored" in done.stderr
        assert "not here" in done.stderr
        assert backups.databases() == databases
        assert backups.content(database) == before


def test_an_old_database_that_cannot_be_dropped_is_kept_and_named(backups: Backups, database: str) -> None:
    identity = made(backups, database)
    databases = backups.databases()
    backups.sql("postgres", f'ALTER DATABASE "{database}" IS_TEMPLATE true')
    done = backups.inv("backup.restore", identity, f"--into={database}", "--replace")
    (left,) = backups.databases() - databases
    backups.sql("postgres", f'ALTER DATABASE "{left}" IS_TEMPLATE false')
    assert done.returncode == 1
    assert "was replaced, but what it was could not be dropped" in done.stderr
    assert left in done.stderr
    assert left.startswith("pgcohesion_replaced_")
    planned = backups.inv("backup.restore", identity, "--into=another", "--dry-run").stdout
    assert f"- database {left}" in planned
    assert backups.inv("backup.restore", identity, "--into=another").returncode == 0
    assert left not in backups.databases()


def test_a_swap_that_fails_loses_nothing(backups: Backups, database: str) -> None:
    identity = made(backups, database)
    backups.sql(database, "DELETE FROM chanuka.votes")
    before, databases = backups.content(database), backups.databases()
    ours = backups.context()
    done = backup.restore(ours, identity, "beside")  # its name is taken between the plan and the swap
    assert isinstance(done, Restored)
    with pytest.raises(CohesionError) as raised:
        restoring.rename(ours, [(database, "beside"), ("beside", database)])
    ours.close()
    backups.ctx.db.forget(database)  # its session was ended
    assert "already exists" in raised.value.why
    assert backups.databases() == databases | {"beside"}
    assert backups.content(database) == before


def test_dry_run_makes_nothing(backups: Backups, database: str) -> None:
    identity = made(backups, database)
    files, databases = backups.project.tree(), backups.databases()
    kept = {path: path.stat().st_mtime_ns for path in backups.folder.rglob("*")}
    for words, line in (
        (("backup.create", f"--database={database}"), "+ backup 2"),
        (("backup.restore", identity), f"+ database {database}_restored_"),
        (("backup.restore", identity, f"--into={database}", "--replace"), f"- database {database}  (with all its data"),
    ):
        done = backups.inv(*words, "--dry-run")
        assert done.returncode == 0, done.stderr
        assert line in done.stdout
    assert {path: path.stat().st_mtime_ns for path in backups.folder.rglob("*")} == kept
    assert backups.databases() == databases
    written = {name for name, content in backups.project.tree().items() if files.get(name, b"") != content}
    assert not [name for name in written if not name.endswith("server.log")]


def test_replacing_needs_a_word_outside_development_and_test(backups: Backups, database: str) -> None:
    identity = made(backups, database)
    guarded = backups.project.root / "environments" / "guarded.toml"
    text = (backups.project.root / "environments" / "test.toml").read_text()
    state = backups.project.root / ".pgcohesion"
    guarded.write_text(text.replace(".pgcohesion/test/", ".pgcohesion/guarded/"))
    (state / "guarded").symlink_to(state / "test")  # the same server under a name that is guarded
    try:
        words = ("backup.restore", identity, f"--into={database}", "--replace")
        refused = backups.inv(*words, env="guarded")
        assert refused.returncode == 5
        assert "it destroys data" in refused.stderr
        assert "--yes guarded" in refused.stderr
        assert backups.inv(*words, "--dry-run", env="guarded").returncode == 0
        assert backups.inv("backup.restore", identity, "--into=beside", env="guarded").returncode == 0
        assert backups.inv(*words, "--yes=guarded", env="guarded").returncode == 0
    finally:
        (state / "guarded").unlink()
        guarded.unlink()


def test_the_commands_answer_as_they_should(backups: Backups, database: str) -> None:
    assert "0 backups in" in backups.inv("backup.list").stdout
    done = backups.inv("backup.create", f"--database={database}")
    assert done.returncode == 0, done.stderr
    assert "+ backup 2" in done.stderr
    assert "18 tables" in done.stdout
    (identity,) = backups.listed()
    assert backups.folder.stat().st_mode & 0o777 == 0o700
    assert not [path for path in backups.folder.rglob("*") if path.stat().st_mode & 0o077]
    globals_ = (backups.folder / identity / "globals.sql").read_text()
    assert "CREATE ROLE chanuka_app" in globals_
    assert "SCRAM" not in globals_
    unknown = backups.inv("backup.restore", identity + "x")
    assert (unknown.returncode, f"did you mean `{identity}`?" in unknown.stderr) == (2, True)
    missing = backups.inv("backup.create", "--database=chanuk")
    assert (missing.returncode, "did you mean `chanuka`?" in missing.stderr) == (2, True)
    assert backups.inv("backup.create", "--database=template0").returncode == 2
    answer = backups.project.json("backup.create", f"--database={database}", "--env=test", "--set", backups.set)
    assert answer["ok"]
    assert answer["result"]["manifest"]["tables"] == 18
    answer = backups.project.json("backup.restore", identity, "--into=as_json", "--env=test", "--set", backups.set)
    assert answer["result"]["compared"]["rows"] > 5000
