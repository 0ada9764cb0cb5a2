"""Healing on a real server: what is mended is gone, what has moved on is left alone, and guards hold."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgcohesion import health
from pgcohesion.context import Context, Options
from pgcohesion.errors import CohesionError, Locked, Refused, ServerError
from pgcohesion.health import healing
from pgcohesion.health.healing import LOCK, Healing, Proposal
from pgcohesion.health.healing.record import Healed, Record
from pgcohesion.health.healing.remedies import WAITING_DDL
from pgcohesion.health.history import History
from pgcohesion.health.history import of as history_of
from pgcohesion.health.registry import Finding
from pgcohesion.health.report import Report
from pgcohesion.opening import open_context
from pgcohesion.testing import Databases
from pgcohesion.view import Grade
from tests.pg.seeded.sessions import HOSTILE, SNAPSHOT, busy, number, role
from tests.pg.seeded.stage import Stage, wait_for
from tests.support import Project

pytestmark = pytest.mark.pg
FLUSH = "SELECT pg_stat_force_next_flush()"
TABLE = 'public."odd ""t"'
SOON = ("health.heal.idle_age=0.01", "health.limits.idle_in_transaction.warn=0.01")


class Ward(Stage):
    """A stage whose context heals."""

    def heal(self, check: str, **how: Any) -> Healing:
        return healing.heal(self.ctx, check=check, **how)

    def proposal(self, check: str, object: str) -> Proposal:  # noqa: A002
        (found,) = (one for one in self.heal(check, object=object).proposals)
        return found

    def past(self) -> list[tuple[str, str, str]]:
        return [(one.check, one.object, one.result) for one in healing.audit(self.ctx).healed]


@pytest.fixture(scope="module")
def clones(shared: Project) -> Iterator[Databases]:
    made = Databases("test", shared.root)
    yield made
    made.close()


@contextmanager
def ward(shared: Project, clones: Databases, *sets: str) -> Iterator[Ward]:
    clone = clones.get()
    with ExitStack() as stack:
        stack.callback(clones.give_back, clone)
        stack.callback((shared.root / ".pgcohesion/test/health.sqlite").unlink, missing_ok=True)
        only = (
            f"databases.{clone.name}.owner=chanuka_owner",
            f"application.database={clone.name}",
            f"health.databases={clone.name}",
            "health.timeout=60",
        )
        ctx = open_context("test", root=shared.root, options=Options(env="test", set=(*only, *sets)))
        stack.callback(ctx.close)
        yield Ward(ctx, clone.name, stack)


def unknown(stage: Stage) -> None:
    stage.sql(f"CREATE TABLE {TABLE} WITH (autovacuum_enabled = off) AS SELECT generate_series(1, 20000) AS a", FLUSH)


def idle(stage: Ward, **more: Any) -> psycopg.Connection[Any]:
    session = stage.connect(**role(stage), **more)
    session.execute(SNAPSHOT)
    time.sleep(0.05)  # older than the limit of 0.01 s
    return session


def test_a_plan_changes_nothing_and_applying_it_mends_and_is_remembered(shared: Project, clones: Databases) -> None:
    with ward(shared, clones) as stage:
        unknown(stage)
        planned = stage.heal("never_analyzed")
        (proposal,) = planned.proposals
        assert proposal.command == ('ANALYZE "public"."odd ""t"',)
        assert stage.past() == []
        assert stage.heal("never_analyzed").proposals[0].act
        stage.heal("never_analyzed", apply=True)
        assert stage.heal("never_analyzed").proposals == ()
        assert stage.past() == [("never_analyzed", TABLE, "done")]


def test_functions_that_the_databases_owner_put_first_are_not_called(shared: Project, clones: Databases) -> None:
    """A search_path of the database's owner does not decide what a healer, a superuser, runs."""
    with ward(shared, clones) as stage:
        unknown(stage)
        stage.sql(
            "CREATE TABLE public.sprung (by text)",
            f'ALTER DATABASE "{stage.database}" SET search_path = public, pg_catalog',
            *(
                f"""CREATE FUNCTION public.{name} RETURNS {kind} LANGUAGE plpgsql AS $$ BEGIN
                    INSERT INTO public.sprung VALUES (session_user); RETURN {value}; END $$"""
                for name, kind, value in (
                    ("set_config(text, text, boolean)", "text", "pg_catalog.set_config($1, $2, $3)"),
                    ("current_setting(text)", "text", "pg_catalog.current_setting($1)"),
                    ("pg_is_in_recovery()", "boolean", "false"),
                    ("clock_timestamp()", "timestamptz", "pg_catalog.now()"),
                    ("to_regclass(text)", "regclass", "pg_catalog.to_regclass($1)"),
                )
            ),
        )
        stage.ctx.db.forget(stage.database)
        stage.ctx.watched.forget(stage.database)
        stage.heal("never_analyzed", apply=True)
        assert stage.past() == [("never_analyzed", TABLE, "done")]
        assert stage.db.execute("TABLE public.sprung").fetchall() == []


def test_what_must_be_allowed_says_so(shared: Project, clones: Databases) -> None:
    with ward(shared, clones, *SOON) as stage:
        session = idle(stage)
        proposal = stage.proposal("idle_in_transaction", number(session))
        assert (proposal.kind, proposal.act) == ("opt-in", None)
        assert 'allow = ["end_idle"]' in proposal.why_not
        assert "idle_in_transaction_session_timeout" in proposal.native
        stage.heal("idle_in_transaction", apply=True)
        session.execute("SELECT 1")  # it lives


def test_an_idle_session_is_ended_when_it_is_allowed(shared: Project, clones: Databases) -> None:
    with ward(shared, clones, *SOON, "health.heal.allow=end_idle") as stage:
        session = idle(stage)
        stage.heal("idle_in_transaction", object=number(session), apply=True)
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
        assert stage.past()[-1][2] == "done"


def test_a_session_that_moves_on_between_plan_and_act_is_left_alone(shared: Project, clones: Databases) -> None:
    with ward(shared, clones, *SOON, "health.heal.allow=end_idle") as stage:
        session = idle(stage)
        proposal = stage.proposal("idle_in_transaction", number(session))
        assert proposal.act
        session.execute("COMMIT")
        session.execute(SNAPSHOT)  # the same process, idle in another transaction
        time.sleep(0.05)
        assert stage.db.execute(proposal.act.statement).fetchall() == []
        session.execute("COMMIT")


def test_sessions_that_are_spared(shared: Project, clones: Databases) -> None:
    with ward(shared, clones, *SOON, "health.heal.allow=end_idle", "health.heal.spare=nightly") as stage:
        parameters = role(stage)
        for application, why in (("pg_dump", "pg_dump is spared"), ("nightly", "nightly is spared")):
            session = stage.connect(**parameters, application_name=application)
            session.execute(SNAPSHOT)
            time.sleep(0.05)
            assert stage.proposal("idle_in_transaction", number(session)).why_not == why
        boss = stage.connect()
        boss.execute(SNAPSHOT)
        time.sleep(0.05)
        assert "is a superuser" in stage.proposal("idle_in_transaction", number(boss)).why_not
        empty = stage.connect(**parameters)
        empty.execute("BEGIN")
        time.sleep(0.05)
        assert "holds nothing" in stage.proposal("idle_in_transaction", number(empty)).why_not


def test_a_root_at_work_is_for_a_person(shared: Project, clones: Databases) -> None:
    limit = "health.limits.blocked_sessions.warn=0.001"
    with ward(shared, clones, *SOON, limit, "health.heal.allow=end_root") as stage:
        stage.sql("CREATE TABLE public.held (a int)", "GRANT ALL ON public.held TO PUBLIC")
        root = stage.connect(**role(stage))
        root.execute("BEGIN; LOCK TABLE public.held")
        waiter = stage.connect()
        busy(stage, waiter, "SELECT FROM public.held")
        thread = stage.aside(root, "SELECT pg_sleep(600)")
        pid = number(root)
        state = "SELECT FROM pg_stat_activity WHERE pid = %s AND state = 'active'"
        wait_for(lambda: stage.db.execute(state, [pid]).fetchall())
        assert "at work" in stage.proposal("blocked_sessions", pid).why_not
        stage.db.execute("SELECT pg_cancel_backend(%s)", [pid])
        thread.join(10)
        root.execute("ROLLBACK")
        root.execute("BEGIN; LOCK TABLE public.held")
        busy(stage, stage.connect(), "SELECT FROM public.held")
        time.sleep(0.05)
        stage.heal("blocked_sessions", object=pid, apply=True)
        assert stage.past()[-1] == ("blocked_sessions", pid, "done")


def test_vacuum_that_would_remove_nothing_is_not_tried(shared: Project, clones: Databases) -> None:
    with ward(shared, clones, "health.heal.allow=vacuum") as stage:
        unknown(stage)
        stage.connect().execute(SNAPSHOT)
        stage.sql(f"DELETE FROM {TABLE} WHERE a <= 15000", FLUSH)
        stage.sql("DO $$ BEGIN FOR n IN 1..10100 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$")
        assert "remove nothing" in stage.proposal("dead_rows", TABLE).why_not


def test_reset_of_a_storage_parameter_and_its_undo(shared: Project, clones: Databases) -> None:
    with ward(shared, clones, "health.heal.allow=reset_autovacuum") as stage:
        stage.sql(f"CREATE TABLE {TABLE} (a text) WITH (toast.autovacuum_enabled = off)")
        answer = stage.heal("autovacuum_off_tables", apply=True)
        (proposal,) = answer.proposals
        assert proposal.act
        assert stage.heal("autovacuum_off_tables").proposals == ()
        stage.db.execute(proposal.act.undo.encode())
        assert stage.heal("autovacuum_off_tables").proposals[0].finding.object == TABLE


def broken(stage: Stage) -> None:
    stage.sql(f"CREATE TABLE {TABLE} (a int)", f"INSERT INTO {TABLE} VALUES (1), (1)")
    with suppress(psycopg.errors.UniqueViolation):
        stage.sql(f'CREATE UNIQUE INDEX CONCURRENTLY "odd i" ON {TABLE} (a)')


def test_an_invalid_index_is_rebuilt_and_what_a_failed_rebuild_leaves_is_dropped(
    shared: Project, clones: Databases
) -> None:
    with ward(shared, clones, "health.heal.allow=rebuild_index") as stage:
        broken(stage)
        with pytest.raises(ServerError):  # the rows are still double
            stage.heal("invalid_indexes", apply=True)
        assert stage.past()[-1][2].startswith("failed: could not create unique index")
        stage.sql(f"DELETE FROM {TABLE}")
        assert {one.object for one in health.check(stage.ctx, "invalid_indexes").results} == {
            'public."odd i"',
            'public."odd i_ccnew"',
        }
        stage.heal("invalid_indexes", apply=True)
        assert stage.heal("invalid_indexes").proposals == ()


def test_a_rebuild_waits_for_who_writes_and_leaves_nothing_behind(shared: Project, clones: Databases) -> None:
    """A lock_timeout would end it halfway: then there would be one index more that is not valid."""
    with ward(shared, clones, "health.heal.allow=rebuild_index") as stage:
        broken(stage)
        stage.sql(f"DELETE FROM {TABLE}")
        writer, looker = stage.connect(), stage.connect()
        writer.execute(f"BEGIN; INSERT INTO {TABLE} VALUES (1)".encode())
        waited = """SELECT FROM pg_stat_activity WHERE query LIKE 'REINDEX%' AND wait_event_type = 'Lock'
                       AND query_start < clock_timestamp() - interval '1.5 s'"""

        def commit() -> None:
            with suppress(AssertionError):  # it gave up: what is left tells
                wait_for(lambda: looker.execute(waited).fetchall())
            writer.execute("COMMIT")

        thread = threading.Thread(target=commit)
        thread.start()
        stage.heal("invalid_indexes", apply=True)
        thread.join()
        assert stage.heal("invalid_indexes").proposals == ()


def test_what_waits_in_another_database_is_not_meant(shared: Project, clones: Databases) -> None:
    """Databases that were made of one template have tables of the same oid."""
    with ward(shared, clones) as stage:
        stage.sql(f"CREATE TABLE {TABLE} (a int)")
        twin, admin = f"{stage.database}_twin", stage.connect(dbname="postgres")
        stage.db.close()
        stage.ctx.db.forget(stage.database)
        stage.later(lambda: admin.execute(f'DROP DATABASE "{twin}" WITH (FORCE)'.encode()))
        wait_for(lambda: made(admin, f'CREATE DATABASE "{twin}" TEMPLATE "{stage.database}"'))
        stage.db = stage.connect()
        stage.connect(dbname=twin).execute(f"BEGIN; SELECT FROM {TABLE}".encode())
        busy(stage, stage.connect(dbname=twin), f"ALTER TABLE {TABLE} ADD b int")
        asked = {"object": TABLE}
        assert stage.ctx.db.execute(WAITING_DDL, asked, database=twin)
        assert not stage.ctx.db.execute(WAITING_DDL, asked, database=stage.database)


def made(admin: psycopg.Connection[Any], statement: str) -> bool:
    """Say whether it could be done: sessions that have ended may take a moment to go."""
    with suppress(psycopg.errors.ObjectInUse):
        admin.execute(statement.encode())
        return True
    return False


def test_two_failures_open_the_breaker_until_somebody_closes_it(shared: Project, clones: Databases) -> None:
    with ward(shared, clones, "health.heal.allow=rebuild_index") as stage:
        broken(stage)
        for _ in range(2):
            with pytest.raises(ServerError):
                stage.heal("invalid_indexes", object='public."odd i"', apply=True)
        with pytest.raises(Refused, match="was not done") as refused:
            stage.heal("invalid_indexes", object='public."odd i"', apply=True)
        assert "--reset" in refused.value.why
        stage.sql(f"DELETE FROM {TABLE}")
        healing.reset(stage.ctx)
        stage.heal("invalid_indexes", object='public."odd i"', apply=True)


def test_the_budget_of_an_hour_and_of_a_run(shared: Project, clones: Databases) -> None:
    with ward(shared, clones, "health.heal.per_hour=2", "health.heal.per_run=2") as stage:
        for name in "abcd":
            rows = "AS SELECT generate_series(1, 20000) AS a"
            stage.sql(f"CREATE TABLE public.{name} WITH (autovacuum_enabled = off) {rows}", FLUSH)
        planned = stage.heal("never_analyzed").proposals
        assert [one.act is not None for one in planned] == [True, True, False, False]
        assert "per_run" in planned[-1].why_not
        stage.heal("never_analyzed", apply=True)
        with pytest.raises(Refused) as refused:
            stage.heal("never_analyzed", apply=True)
        assert "per_hour" in refused.value.why


@pytest.mark.parametrize("how", ["file", "variable", "config"])
def test_the_switch(shared: Project, clones: Databases, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sets = ("health.heal.enabled=false",) if how == "config" else ()
    with ward(shared, clones, *sets) as stage:
        unknown(stage)
        file = stage.ctx.state / "heal.off"
        if how == "file":
            file.touch()
        if how == "variable":
            monkeypatch.setenv("PGCOHESION_HEAL", "off")
        try:
            assert stage.heal("never_analyzed").proposals[0].act  # a plan may always be looked at
            with pytest.raises(Refused, match="switched off"):
                stage.heal("never_analyzed", apply=True)
        finally:
            file.unlink(missing_ok=True)
        assert stage.past() == []


def test_two_healers_at_once(shared: Project, clones: Databases) -> None:
    with ward(shared, clones) as stage:
        unknown(stage)
        other = stage.connect(dbname="postgres")
        other.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        with pytest.raises(Locked):
            stage.heal("never_analyzed", apply=True)
        other.close()
        deadline = time.monotonic() + 10
        while stage.heal("never_analyzed").proposals:
            assert time.monotonic() < deadline
            with suppress(Locked):  # the server takes a moment to notice
                stage.heal("never_analyzed", apply=True)


def test_a_lock_that_is_not_got_is_given_up_soon(shared: Project, clones: Databases) -> None:
    with ward(shared, clones, "health.heal.allow=reset_autovacuum") as stage:
        stage.sql(f"CREATE TABLE {TABLE} (a int) WITH (autovacuum_enabled = off)")
        planned = stage.heal("autovacuum_off_tables")
        stage.connect().execute(f"BEGIN; LOCK TABLE {TABLE}".encode())
        assert planned.proposals[0].act
        started = time.monotonic()
        with pytest.raises(CohesionError):
            stage.heal("autovacuum_off_tables", apply=True)
        assert time.monotonic() - started < 10


def test_no_slot_is_dropped_that_is_not_named_and_no_logical_one_ever(shared: Project, clones: Databases) -> None:
    limit = "health.limits.inactive_slots.warn=0"
    with ward(shared, clones, limit, "health.heal.allow=drop_slot", "health.heal.slots=gone_*") as stage:
        for name in ("gone_1", "kept_1"):
            stage.sql(f"SELECT pg_create_physical_replication_slot('{name}', true)")
            stage.later(
                lambda name=name: stage.db.execute(  # type: ignore[misc]
                    "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s", [name]
                )
            )
        assert "does not name it" in stage.proposal("inactive_slots", "kept_1").why_not
        stage.heal("inactive_slots", object="gone_1", apply=True)
        assert stage.past()[-1] == ("inactive_slots", "gone_1", "done")
        left = stage.db.execute("SELECT slot_name FROM pg_replication_slots WHERE slot_name ~ '_1$'").fetchall()
        assert [name for (name,) in left] == ["kept_1"]


def test_what_is_never_done_is_described(shared: Project, clones: Databases) -> None:
    with ward(shared, clones) as stage:
        stage.sql(f"CREATE TABLE {TABLE} (a int, b int)", f'CREATE INDEX "odd i" ON {TABLE} (a)')
        stage.sql(f"CREATE INDEX longer ON {TABLE} (a, b)")
        proposal = stage.proposal("prefix_indexes", 'public."odd i"')
        assert (proposal.kind, proposal.act) == ("never", None)
        assert "DROP INDEX CONCURRENTLY" in proposal.finding.fix


def test_a_killed_healer_leaves_its_word_and_the_next_goes_on(shared: Project) -> None:
    """Kill -9 while it works: the attempt stands as started, the lock is free again, running it again mends."""
    command = shared.command("health.heal", "--env=test", "--check=never_analyzed", "--apply")
    with psycopg.connect(**_parameters(shared), dbname="chanuka", autocommit=True) as connection:
        connection.execute("CREATE TABLE public.big (a int) WITH (autovacuum_enabled = off)")
        connection.execute("INSERT INTO public.big SELECT generate_series(1, 20000)")
        connection.execute(FLUSH)
        connection.execute("BEGIN; LOCK TABLE public.big IN SHARE MODE")  # ANALYZE waits for it
        try:
            with open_again(shared) as ctx, closing(history_of(ctx)) as history, killed_at_the_end(command, shared):
                wait_for(lambda: [one for one in Record(history).all() if one.result == "started"])
        finally:
            connection.execute("ROLLBACK")
        with open_again(shared) as ctx:
            if healing.heal(ctx, check="never_analyzed", object="public.big").proposals:  # the server went on alone
                healing.heal(ctx, check="never_analyzed", object="public.big", apply=True)
            assert healing.heal(ctx, check="never_analyzed", object="public.big").proposals == ()
            results = [one.result for one in healing.audit(ctx).healed if one.object == "public.big"]
            assert results[0] == "started"
        connection.execute("DROP TABLE public.big")


@contextmanager
def killed_at_the_end(command: list[str], shared: Project) -> Iterator[None]:
    with subprocess.Popen(
        command, cwd=shared.root, env=shared.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGKILL)


@contextmanager
def open_again(shared: Project) -> Iterator[Context]:
    ctx = open_context("test", root=shared.root, options=Options(env="test"))
    try:
        yield ctx
    finally:
        ctx.close()


def _parameters(shared: Project) -> dict[str, Any]:
    with open_again(shared) as ctx:
        return dict(ctx.server.parameters())


def test_the_command_plans_and_is_guarded(shared: Project) -> None:
    assert HOSTILE
    done = shared.inv("health.heal", "--env=test")
    assert done.returncode == 0, done.stderr
    assert shared.inv("health.heal", "--env=test", "--check=nonsense").returncode == 2
    document = shared.json("health.heal", "--env=test", "--apply")
    assert document["ok"], document
    assert "healed" in shared.json("health.heal", "--env=test", "--history")["result"]
    with open_again(shared) as ctx:
        history_of(ctx).close()


def test_what_cannot_be_looked_at_afterwards_is_not_done(
    shared: Project, clones: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That a finding is not there says nothing where its check could not be asked."""
    looked: list[str] = []

    def look(ctx: Context, only: str, **how: Any) -> Report:
        looked.append(only)
        if len(looked) == 1:
            return check(ctx, only, **how)
        return Report(
            (Finding(Grade.UNKNOWN, "no time", check="never_analyzed", database=ctx.db.default),), 0.1, "test"
        )

    with ward(shared, clones) as stage:
        unknown(stage)
        check = health.check
        monkeypatch.setattr(health, "check", look)
        monkeypatch.setattr(healing, "PATIENCE", 0.3)
        with pytest.raises(CohesionError, match="did not help"):
            stage.heal("never_analyzed", apply=True)
        assert stage.past()[-1] == ("never_analyzed", TABLE, "nobody can tell whether it helped: no time")


def test_what_moved_on_does_not_hide_the_budget(tmp_path: Path) -> None:
    with closing(History(tmp_path / "health.sqlite")) as history:
        record = Record(history)
        for result in (*["done"] * 3, *["moved on"] * 20):
            record.start(Healed(1e9, "me", "c", "o", "d", "", "", "", result))
        assert "per_hour" in record.closed_because(1e9 + 60, 3)
        assert not record.closed_because(1e9 + 60, 4)
        for result in ("failed: x", *["moved on"] * 20, "failed: x", *["moved on"] * 20):
            record.start(Healed(1e9 + 60, "me", "c", "o", "d", "", "", "", result))
        assert "--reset" in record.closed_because(1e9 + 120, 99)
        record.reset(1e9 + 121, "me")
        assert not record.closed_because(1e9 + 122, 99)
