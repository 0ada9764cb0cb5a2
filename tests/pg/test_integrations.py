"""SQLAlchemy, Django and OpenTelemetry on our connections: they behave as on their own, and leave nothing behind."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import django
import django.db
import psycopg
import pytest
import sqlalchemy as sa
from django.conf import settings
from django.db import transaction
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from psycopg.conninfo import make_conninfo
from sqlalchemy import exc, text
from sqlalchemy.orm import sessionmaker

from pgcohesion.application import get_database_config
from pgcohesion.connections._sync.connection import Cursor
from pgcohesion.context import Context
from pgcohesion.errors import ConfigError, OutcomeUnknown, Unreachable
from pgcohesion.integrations import django as on_django
from pgcohesion.integrations import sqlalchemy as on_sqlalchemy
from pgcohesion.orchestrator import Orchestrator, get_database_orchestrator
from tests.support import Project

pytestmark = pytest.mark.pg


@pytest.fixture
def db(shared: Project, ctx: Context, database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Orchestrator]:
    """An orchestrator of a database of its own, as its superuser, with a table for writes."""
    monkeypatch.setenv("DATABASE_URL", make_conninfo(**{**ctx.server.parameters(), "dbname": database}))
    monkeypatch.setenv("PGCOHESION__CONNECTIONS__MAX_SIZE", "3")
    monkeypatch.setenv("PGCOHESION__CONNECTIONS__TIMEOUT", "2")
    monkeypatch.setenv("PGCOHESION__FEATURES__HEALTH_MONITOR", "false")
    monkeypatch.chdir(shared.root)
    made = get_database_orchestrator("test")
    assert made.config.get_connection_config().database == database
    made.get_connection_manager().execute(
        "CREATE TABLE public.notes (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, word text)"
    )
    yield made
    made.close(1)


def in_use(db: Orchestrator) -> int:
    return sum(pool.in_use for pool in db.statistics().pools.values())


def notes(db: Orchestrator) -> list[int]:
    return [row.id for row in db.get_connection_manager().execute("SELECT id FROM public.notes ORDER BY id")]


def terminate_all(ctx: Context, database: str) -> None:
    ctx.db.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
        [database],
        database="postgres",
    )


# --- SQLAlchemy -------------------------------------------------------------------------------------------------


def theirs(text: str | bytes) -> tuple[str, Any]:
    return "theirs", json.loads(text)


@pytest.fixture(params=["ours", "its own pool"])
def engine(request: pytest.FixtureRequest, db: Orchestrator) -> Iterator[sa.Engine]:
    """What a test of this asks for must be the same with SQLAlchemy's own pool."""
    if request.param == "ours":
        made = on_sqlalchemy.engine(db, json_deserializer=theirs)
    else:
        (target,) = db.config.get_connection_config().targets
        assert target.password is not None
        url = sa.URL.create("postgresql+psycopg", target.user, target.password.reveal(), target.host, target.port)
        made = sa.create_engine(url.set(database=target.dbname), json_deserializer=theirs)
    yield made
    made.dispose()
    assert in_use(db) == 0


def test_sqlalchemy_commits_rolls_back_and_saves(engine: sa.Engine, db: Orchestrator) -> None:
    insert = text("INSERT INTO public.notes VALUES (:id)")
    with engine.connect() as connection:
        connection.execute(insert, {"id": 1})
        connection.commit()
        connection.execute(insert, {"id": 2})
        connection.rollback()
        connection.execute(insert, {"id": 3})  # neither: leaving rolls back
    with engine.begin() as connection:
        connection.execute(insert, {"id": 4})
        with pytest.raises(exc.ProgrammingError), connection.begin_nested():
            connection.execute(insert, {"id": 5})
            connection.execute(text("SELECT nonsense"))
        with connection.begin_nested():
            connection.execute(insert, [{"id": 6}, {"id": 7}])
    assert notes(db) == [1, 4, 6, 7]


def test_sqlalchemy_s_modes_hold_for_one_checkout(engine: sa.Engine) -> None:
    shown = text("SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')")
    with engine.connect() as connection:
        assert connection.execute(shown).one() == ("read committed", "off")
    options = {"isolation_level": "SERIALIZABLE", "postgresql_readonly": True}
    with engine.connect().execution_options(**options) as connection:
        assert connection.execute(shown).one() == ("serializable", "on")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM public.notes"))
    with engine.connect() as connection:
        assert connection.execute(shown).one() == ("read committed", "off")
        assert connection.get_isolation_level() == "READ COMMITTED"


def test_sqlalchemy_s_errors_are_its_own(engine: sa.Engine) -> None:
    with pytest.raises(exc.IntegrityError) as caught, engine.begin() as connection:
        connection.execute(text("INSERT INTO public.notes VALUES (1), (1)"))
    assert isinstance(caught.value.orig, psycopg.errors.UniqueViolation)
    with engine.connect() as connection:
        with pytest.raises(exc.DataError):
            connection.execute(text("SELECT 1/0"))
        with pytest.raises(exc.InternalError, match="aborted"):
            connection.execute(text("SELECT 1"))
        connection.rollback()
        assert connection.scalar(text("SELECT 1")) == 1


def test_sqlalchemy_reads_values_in_its_way_prepares_and_streams(engine: sa.Engine, db: Orchestrator) -> None:
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT '[1]'::json")) == ("theirs", [1])
        for number in range(10):
            assert connection.scalar(text("SELECT :n + 1"), {"n": number}) == number + 1
        prepared = connection.scalar(text("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%+ 1'"))
        assert prepared == 1
        streamed = connection.execution_options(stream_results=True, yield_per=100)
        assert sum(streamed.scalars(text("SELECT generate_series(1, 1000)"))) == 500500
    assert db.get_connection_manager().execute("SELECT '[1]'::json AS a")[0].a == [1]


def test_sqlalchemy_starts_anew_after_a_lost_connection(engine: sa.Engine, ctx: Context, database: str) -> None:
    with engine.connect() as connection:
        connection.scalar(text("SELECT 1"))
        terminate_all(ctx, database)
        with pytest.raises(exc.OperationalError) as caught:
            connection.scalar(text("SELECT 1"))
        assert caught.value.connection_invalidated
        connection.rollback()
        assert connection.scalar(text("SELECT 1")) == 1


def test_sqlalchemy_s_idle_connections_are_looked_at_before_they_are_used(
    db: Orchestrator, ctx: Context, database: str
) -> None:
    engine = on_sqlalchemy.engine(db)
    for _ in range(3):
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT 1")) == 1
        terminate_all(ctx, database)
    assert sum(pool.opened for pool in db.statistics().pools.values()) > 1


def test_sqlalchemy_has_no_pool_of_its_own_beside_ours(db: Orchestrator) -> None:
    with pytest.raises(TypeError, match="pool_size"):
        on_sqlalchemy.engine(db, pool_size=5)
    engine = on_sqlalchemy.engine(db)
    held = [engine.connect() for _ in range(3)]
    assert in_use(db) == 3
    with pytest.raises(exc.OperationalError, match="came free in time"):
        engine.connect()
    for connection in held:
        connection.close()
    assert in_use(db) == 0


def test_notices_go_to_sqlalchemy_once_however_often_a_connection_was_lent(
    db: Orchestrator, caplog: pytest.LogCaptureFixture
) -> None:
    engine = on_sqlalchemy.engine(db)
    with caplog.at_level("INFO", logger="sqlalchemy.dialects.postgresql"):
        for _ in range(3):
            with engine.connect() as connection:
                caplog.clear()
                connection.execute(text("DO $$ BEGIN RAISE NOTICE 'heard'; END $$"))
    assert len([record for record in caplog.records if "heard" in record.getMessage()]) == 1


def test_sqlalchemy_s_work_runs_again_when_it_left_nothing(db: Orchestrator, ctx: Context, database: str) -> None:
    engine = on_sqlalchemy.engine(db)
    attempts: list[int] = []

    def add(session: Any, number: int) -> str:
        attempts.append(number)
        session.execute(text("INSERT INTO public.notes VALUES (:id)"), {"id": number})
        if len(attempts) == 1:
            terminate_all(ctx, database)
        return str(session.scalar(text("SELECT 'done'")))

    assert on_sqlalchemy.run(sessionmaker(engine), add, 1) == "done"
    assert attempts == [1, 1]
    assert on_sqlalchemy.run(engine, add, 2) == "done"
    assert notes(db) == [1, 2]
    with pytest.raises(exc.InternalError, match="read-only"):
        on_sqlalchemy.run(engine, add, 3, readonly=True)
    with pytest.raises(exc.ProgrammingError):
        on_sqlalchemy.run(engine, lambda connection: connection.execute(text("SELECT nonsense")))
    assert len(attempts) == 4


def test_what_can_never_work_fails_at_once_and_says_why(
    shared: Project, monkeypatch: pytest.MonkeyPatch, connections: Connections
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody:secret@127.0.0.1:1/nothing")
    monkeypatch.setenv("PGCOHESION__CONNECTIONS__TIMEOUT", "20")
    broken = Orchestrator(get_database_config("test"))
    connections["default"].orchestrator = broken
    connections["default"].settings_dict["NAME"] = "nothing"
    started = time.monotonic()
    with pytest.raises(exc.OperationalError, match="refused") as caught:
        on_sqlalchemy.run(on_sqlalchemy.engine(broken), lambda connection: None)
    assert caught.value.orig is not None
    assert isinstance(caught.value.orig.__cause__, Unreachable)
    with pytest.raises(django.db.OperationalError, match="refused"):
        on_django.run(lambda: None)
    assert time.monotonic() - started < 5
    broken.close()


DIES_AT_COMMIT = """
CREATE FUNCTION public.die() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER die AFTER INSERT ON public.notes DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION public.die()"""


def test_a_commit_without_an_answer_is_told_as_such(db: Orchestrator, connections: Connections) -> None:
    db.get_connection_manager().execute(DIES_AT_COMMIT)
    attempts: list[str] = []

    def with_sqlalchemy(connection: sa.Connection) -> None:
        attempts.append("sqlalchemy")
        connection.execute(text("INSERT INTO public.notes VALUES (1)"))

    def with_django() -> None:
        attempts.append("django")
        with connections["default"].cursor() as cursor:
            cursor.execute("INSERT INTO public.notes VALUES (1)")

    with pytest.raises(OutcomeUnknown):
        on_sqlalchemy.run(on_sqlalchemy.engine(db), with_sqlalchemy)
    with pytest.raises(OutcomeUnknown):
        on_django.run(with_django)
    assert attempts == ["sqlalchemy", "django"]
    assert db.get_connection_manager().counters.unknown == 2


# --- Django -----------------------------------------------------------------------------------------------------

Connections = Any


@pytest.fixture
def connections(db: Orchestrator) -> Iterator[Connections]:
    """Django's connections, with `default` and `paris`, whose sessions have another time zone, on our database."""
    if not settings.configured:
        settings.configure(USE_TZ=True)
        django.setup()
    handler = django.db.connections
    entry = on_django.databases("test")["default"]
    given = {"default": entry, "paris": {**entry, "TIME_ZONE": "Europe/Paris"}}
    before = dict(handler.databases)
    handler.databases.update(handler.configure_settings(given))
    yield handler
    for alias in given:
        handler[alias].close()
        del handler[alias]
    handler.databases.clear()
    handler.databases.update(before)
    assert in_use(db) == 0


def test_a_request_of_django_takes_one_connection_and_gives_it_back(connections: Connections, db: Orchestrator) -> None:
    pids = []
    for _ in range(3):
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid(), '{\"a\": 1}'::jsonb, now()")
            pid, value, now = cursor.fetchone()
        assert (value, str(now.tzinfo)) == ('{"a": 1}', "UTC")  # Django reads JSON by itself
        pids.append(pid)
        assert in_use(db) == 1
        django.db.close_old_connections()  # what the end of a request does
        assert in_use(db) == 0
    assert len(set(pids)) == 1
    assert db.get_connection_manager().execute("SELECT '{\"a\": 1}'::jsonb AS a")[0].a == {"a": 1}
    counted = {query.text: query.calls for query in db.statistics().queries}
    assert counted["SELECT pg_backend_pid(), ?::jsonb, now()"] == 3


@pytest.mark.filterwarnings("ignore:.*deleted while still open:ResourceWarning")  # the cursor: on purpose
def test_what_django_sets_in_a_session_does_not_stay(connections: Connections, db: Orchestrator) -> None:
    paris = connections["paris"]
    with paris.cursor() as cursor:
        cursor.execute("SHOW TimeZone")
        assert cursor.fetchone() == ("Europe/Paris",)
    held = paris.chunked_cursor()
    held.execute("SELECT generate_series(1, 1000)")
    held.fetchmany(2)
    paris.close()
    (row,) = db.get_connection_manager().execute(
        "SELECT current_setting('TimeZone') AS zone, (SELECT count(*) FROM pg_cursors WHERE is_holdable) AS cursors"
    )
    assert row == ("UTC", 0)
    assert sum(pool.opened for pool in db.statistics().pools.values()) == 1


def test_django_s_transactions_and_errors_are_its_own(connections: Connections, db: Orchestrator) -> None:
    def insert(number: int) -> None:
        with connections["default"].cursor() as cursor:
            cursor.execute("INSERT INTO public.notes VALUES (%s)", [number])

    insert(1)  # commits by itself
    with transaction.atomic():
        insert(2)
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            insert(3)
            raise ZeroDivisionError
    with pytest.raises(django.db.IntegrityError), transaction.atomic():
        insert(1)
    assert notes(db) == [1, 2]


def test_django_s_work_runs_again_when_it_left_nothing(
    connections: Connections, db: Orchestrator, ctx: Context, database: str
) -> None:
    attempts: list[int] = []

    def add(number: int) -> None:
        attempts.append(number)
        with connections["default"].cursor() as cursor:
            cursor.execute("INSERT INTO public.notes VALUES (%s)", [number])
            if len(attempts) == 1:
                terminate_all(ctx, database)
                cursor.execute("SELECT 1")

    on_django.run(add, 1)
    assert attempts == [1, 1]
    assert notes(db) == [1]
    with pytest.raises(django.db.InternalError, match="read-only"):
        on_django.run(add, 2, readonly=True)
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        on_django.run(add, 3)


def test_django_reaches_another_database_by_a_plain_connection(connections: Connections, db: Orchestrator) -> None:
    with connections["default"]._nodb_cursor() as cursor:
        cursor.execute("SELECT current_database()")
        assert cursor.fetchone() == ("postgres",)
    assert in_use(db) == 0


def test_a_full_pool_is_django_s_operational_error(connections: Connections, db: Orchestrator) -> None:
    manager = db.get_connection_manager()
    with manager.connection(), manager.connection(), manager.connection():
        errors: list[BaseException] = []

        def ask() -> None:
            try:
                connections["default"].ensure_connection()
            except BaseException as error:  # noqa: BLE001
                errors.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
    assert isinstance(errors[0], django.db.OperationalError)
    assert "came free in time" in str(errors[0])


# --- OpenTelemetry ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    made = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(made))
    trace.set_tracer_provider(provider)
    return made


@pytest.fixture
def spans(
    exporter: InMemorySpanExporter, db: Orchestrator, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Orchestrator, Callable[[], tuple[ReadableSpan, ...]]]]:
    """An orchestrator with the feature on, and what was traced."""
    monkeypatch.setenv("PGCOHESION__FEATURES__OPENTELEMETRY", "true")
    made = Orchestrator(get_database_config("test"))
    exporter.clear()
    yield made, exporter.get_finished_spans
    made.close(1)


def test_each_query_has_a_span_without_values(spans: Any, database: str) -> None:
    db, finished = spans
    db.get_connection_manager().execute("SELECT 'secret' AS a,\n %s AS b", ["secret"])
    (span,) = finished()
    (host,) = db.fleet.hosts
    assert span.name == f"SELECT {database}"
    assert span.kind is trace.SpanKind.CLIENT
    assert dict(span.attributes) == {
        "db.system.name": "postgresql",
        "db.namespace": database,
        "db.operation.name": "SELECT",
        "db.query.text": "SELECT ? AS a, ? AS b",
        "server.address": host.target.host,
        "server.port": host.target.port,
    }
    assert 0 < span.end_time - span.start_time < 5e9
    assert span.status.is_unset


def test_a_failed_query_s_span_tells_its_sqlstate_only(spans: Any) -> None:
    db, finished = spans
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        db.get_connection_manager().execute("SELECT %s::int", ["secret"])
    (span,) = finished()
    assert span.status.status_code is trace.StatusCode.ERROR
    assert span.attributes["error.type"] == span.attributes["db.response.status_code"] == "22P02"
    assert "secret" not in span.to_json()


def test_asyncio_is_traced_within_the_caller_s_span(spans: Any) -> None:
    db, finished = spans

    async def ask() -> None:
        manager = db.get_async_connection_manager()
        with trace.get_tracer("test").start_as_current_span("request"):
            await asyncio.gather(manager.execute("SELECT 1"), manager.execute("SELECT 2 AS b"))
        await db.aclose()

    asyncio.run(ask())
    *queries, request = finished()
    assert {query.attributes["db.query.text"] for query in queries} == {"SELECT ?", "SELECT ? AS b"}
    assert {query.parent.span_id for query in queries} == {request.context.span_id}


def test_sqlalchemy_and_django_are_traced_too(spans: Any, connections: Connections) -> None:
    db, finished = spans
    with on_sqlalchemy.engine(db).connect() as connection:
        connection.execute(text("SELECT 'by sqlalchemy' AS a"))
    connections["default"].orchestrator = db  # the fixture's was made with the feature off
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT %s AS b", ["by django"])
    connections["default"].close()
    assert {"SELECT ? AS a", "SELECT ? AS b"} <= {span.attributes["db.query.text"] for span in finished()}


def test_without_the_feature_nothing_of_it_is_there(db: Orchestrator) -> None:
    with db.get_connection_manager().connection() as connection:
        assert type(connection.cursor()) is Cursor


def test_without_opentelemetry_the_feature_says_what_to_install(
    db: Orchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCOHESION__FEATURES__OPENTELEMETRY", "true")
    monkeypatch.delitem(sys.modules, "pgcohesion.integrations.opentelemetry", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    made = Orchestrator(get_database_config("test"))
    for _ in range(2):
        with pytest.raises(ConfigError) as caught:
            made.get_connection_manager()
        assert "opentelemetry" in caught.value.fix
