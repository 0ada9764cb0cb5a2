"""Faults that take a standby, a restart or a damaged disk: found where they are, and gone with their fix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgcohesion import health
from pgcohesion.context import Options
from pgcohesion.health.registry import Finding
from pgcohesion.opening import open_context
from pgcohesion.view import Grade
from tests.pg.seeded.stage import wait_for
from tests.pg.standby import Standby, following

pytestmark = pytest.mark.pg
Look = Callable[..., list[Finding]]


@pytest.fixture(scope="module")
def standby() -> Iterator[Standby]:
    with following("max_prepared_transactions = 5", "archive_mode = on", "archive_command = 'test -n %p'") as made:
        yield made


@pytest.fixture
def there(standby: Standby, monkeypatch: pytest.MonkeyPatch) -> Look:
    """Look at the standby, as whoever has its URL does."""
    password = standby.ctx.server.parameters()["password"]
    monkeypatch.setenv("THERE", f"postgresql://postgres:{password}@/chanuka?host={standby.home}&port={standby.port}")
    return looked(standby, "health.url.env=THERE")


@pytest.fixture
def here(standby: Standby) -> Look:
    """Look at its primary."""
    return looked(standby)


def looked(standby: Standby, *sets: str) -> Look:
    def look(check: str, *more: str) -> list[Finding]:
        given = Options(env="test", set=("health.timeout=60", "health.databases=chanuka", *sets, *more))
        with closing(open_context("test", root=standby.ctx.root, options=given)) as ctx:
            found = health.check(ctx, check, remember=False).results
        return [one for one in found if one.check == check and one.grade in (Grade.WARN, Grade.FAIL)]

    return look


def execute(standby: Standby, statements: str) -> None:
    with psycopg.connect(**primary(standby), autocommit=True) as session:
        for statement in statements.split(";\n"):
            session.execute(statement.encode())


def primary(standby: Standby) -> dict[str, Any]:
    return {**standby.ctx.server.parameters(), "dbname": "chanuka"}


def caught_up(standby: Standby) -> bool:
    ((lsn,),) = standby.ctx.db.execute("SELECT pg_current_wal_insert_lsn()::text")
    return standby.execute(f"SELECT pg_last_wal_replay_lsn() >= '{lsn}'") == [(True,)]


def test_replay_that_is_paused_while_something_waits(standby: Standby, there: Look) -> None:
    standby.execute("SELECT pg_wal_replay_pause()")
    wait_for(lambda: standby.execute("SELECT pg_get_wal_replay_pause_state()") == [("paused",)])
    execute(standby, "CREATE TABLE public.news AS SELECT generate_series(1, 1000) AS id")
    wait_for(lambda: there("replay_paused"))
    (finding,) = there("replay_paused")
    standby.execute(finding.fix)
    wait_for(lambda: not there("replay_paused"))
    standby.execute(finding.undo)
    execute(standby, "DROP TABLE public.news")
    wait_for(lambda: there("replay_paused"))
    standby.execute(finding.fix)
    wait_for(lambda: caught_up(standby))


def test_a_standby_that_has_lost_its_primary(standby: Standby, there: Look) -> None:
    ((told,),) = standby.execute("SHOW primary_conninfo")
    assert there("wal_receiver") == []
    standby.execute("ALTER SYSTEM SET primary_conninfo = 'host=/nowhere user=postgres'")
    standby.execute("SELECT pg_reload_conf()")
    wait_for(lambda: [one for one in there("wal_receiver") if "no wal receiver" in one.text])
    standby.execute("ALTER SYSTEM SET primary_conninfo = ''")
    standby.execute("SELECT pg_reload_conf()")
    wait_for(lambda: [one for one in there("wal_receiver") if "follows nobody" in one.text])
    (finding,) = there("wal_receiver")
    for line in finding.fix.removeprefix("-- ").splitlines():
        standby.execute(line.replace("host=... user=...", told.replace("'", "''")))
    wait_for(lambda: not there("wal_receiver"))


def test_queries_that_replay_has_cancelled(standby: Standby, there: Look) -> None:
    execute(standby, "CREATE TABLE public.rows AS SELECT generate_series(1, 1000) AS id")
    standby.execute("ALTER SYSTEM SET max_standby_streaming_delay = 0")
    standby.execute("SELECT pg_reload_conf()")
    wait_for(lambda: caught_up(standby))
    assert there("recovery_conflicts") == []
    given = {**primary(standby), "host": str(standby.home), "port": standby.port}
    with psycopg.connect(**given) as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM public.rows")
        execute(standby, "DELETE FROM public.rows;\nVACUUM public.rows")
        wait_for(lambda: caught_up(standby))
        with pytest.raises(psycopg.errors.SerializationFailure):
            reader.execute("SELECT count(*) FROM public.rows")
    wait_for(lambda: there("recovery_conflicts"))
    (finding,) = there("recovery_conflicts")
    assert finding.object == "chanuka"
    for line in finding.fix.splitlines():
        standby.execute(line)
    wait_for(lambda: standby.execute("SHOW hot_standby_feedback") == [("on",)])
    standby.execute("ALTER SYSTEM RESET max_standby_streaming_delay")
    standby.execute("SELECT pg_reload_conf()")


def test_a_slot_that_holds_back_vacuum_for_its_standby(standby: Standby, here: Look) -> None:
    limit = "health.limits.slot_xmin.warn=50"
    execute(standby, "SELECT pg_create_physical_replication_slot('follower', true)")
    for setting in ("primary_slot_name = 'follower'", "hot_standby_feedback = on", "wal_receiver_status_interval = 1"):
        standby.execute(f"ALTER SYSTEM SET {setting}")
    standby.execute("SELECT pg_reload_conf()")
    given = {**primary(standby), "host": str(standby.home), "port": standby.port}
    with psycopg.connect(**given) as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM chanuka.bills")
        execute(standby, ";\n".join(["SELECT pg_current_xact_id()"] * 60))
        wait_for(lambda: here("slot_xmin", limit))
        (finding,) = here("slot_xmin", limit)
        assert finding.object == "follower"
        assert "end its oldest query" in finding.fix
        reader.rollback()
        wait_for(lambda: not here("slot_xmin", limit))
    standby.execute("ALTER SYSTEM RESET primary_slot_name")
    standby.execute("SELECT pg_reload_conf()")
    undropped = "SELECT FROM pg_replication_slots WHERE active"
    wait_for(lambda: not standby.ctx.db.execute(undropped))
    execute(standby, "SELECT pg_drop_replication_slot('follower')")


def test_a_prepared_transaction_that_nobody_ends(standby: Standby, here: Look) -> None:
    limit = "health.limits.prepared_transactions.warn=0.001"
    with psycopg.connect(**primary(standby)) as session:
        session.execute("LOCK TABLE chanuka.topics IN ACCESS SHARE MODE")
        session.execute("PREPARE TRANSACTION 'it''s \"lost\"'")
    (finding,) = here("prepared_transactions", limit)
    assert finding.object == 'it\'s "lost"'
    assert "locks 1 relation" in finding.text
    execute(standby, finding.fix)
    assert here("prepared_transactions", limit) == []


def test_wal_that_waits_for_its_archive(standby: Standby, here: Look) -> None:
    limit = "health.limits.archive_backlog.warn=2"
    assert here("archive_backlog", limit) == here("archiver") == []
    execute(standby, "ALTER SYSTEM SET archive_command = 'test ! -e %p';\nSELECT pg_reload_conf()")
    execute(standby, ";\n".join(["SELECT pg_current_xact_id()", "SELECT pg_switch_wal()"] * 3))
    wait_for(lambda: here("archive_backlog", limit) and here("archiver"))
    execute(standby, "ALTER SYSTEM SET archive_command = 'test -n %p';\nSELECT pg_reload_conf()")
    wait_for(lambda: not here("archive_backlog", limit) and not here("archiver"))


def test_a_page_that_the_disk_has_changed(standby: Standby, here: Look) -> None:
    """The last one: what was counted stays."""
    ctx = standby.ctx
    execute(standby, "CREATE TABLE public.damaged AS SELECT generate_series(1, 1000) AS id;\nCHECKPOINT")
    ((path,),) = ctx.db.execute("SELECT pg_relation_filepath('public.damaged')")
    assert here("checksum_failures") == []
    ctx.db.forget()
    ctx.server.stop()
    with (Path(ctx.server.data_folder()) / path).open("r+b") as file:
        file.seek(4000)
        file.write(b"struck by lightning")
    ctx.server.start()
    with pytest.raises(psycopg.errors.DataCorrupted):
        execute(standby, "SELECT count(*) FROM public.damaged")
    wait_for(lambda: here("checksum_failures"))
    (finding,) = here("checksum_failures")
    assert (finding.object, finding.value) == ("chanuka", 1)
