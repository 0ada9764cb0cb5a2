"""Real faults on a real server: each is found with its object, and gone when it is mended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path

import psycopg
import pytest
from psycopg.sql import SQL, Literal

from pgcohesion import health
from pgcohesion.config.model import Ignore
from pgcohesion.connections.availability import ADVICE, kind
from pgcohesion.context import Context, Options
from pgcohesion.health.asking import ask
from pgcohesion.health.registry import Finding, load
from pgcohesion.opening import open_context
from pgcohesion.view import Grade
from tests.support import Project, frozen

pytestmark = pytest.mark.pg
NOT_HERE = ("pooler", "pools", "backups", "alerts", "served")  # none of them is declared


@contextmanager
def opened(project: Project, *sets: str) -> Iterator[Context]:
    context = open_context("test", root=project.root, options=Options(env="test", set=sets))
    try:
        yield context
    finally:
        context.close()


def bad(context: Context, only: str) -> list[Finding]:
    found = health.check(context, only).results
    return [finding for finding in found if finding.grade in (Grade.WARN, Grade.FAIL)]


def session(context: Context) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(**context.server.parameters(), dbname="chanuka")  # type: ignore[arg-type]


def wait_for(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_healthy_server_has_no_finding(ctx: Context) -> None:
    report = health.check(ctx)
    assert [finding for finding in report.results if finding.grade in (Grade.WARN, Grade.FAIL)] == []
    asked = {finding.check for finding in report.results}
    here = [check for check in load() if check.source not in NOT_HERE and not check.across]  # there is one server
    wanted = {check.id for check in here if check.cost != "deep"}
    assert asked == wanted - {"durability"} | {"availability", "backups_known"}


def test_every_query_is_prepared(ctx: Context) -> None:
    version = ctx.db.connection().info.server_version // 10000
    for check in load():
        if check.query and version >= check.min_version:
            ctx.db.execute(f"PREPARE health_{check.id} AS {check.query_on(version)}")


def test_idle_in_transaction_and_its_fix(ctx: Context, shared: Project) -> None:
    with opened(shared, "health.limits.idle_in_transaction.warn=0.01") as strict, session(ctx) as idle:
        idle.execute("SELECT 1")
        time.sleep(0.05)
        pid = str(idle.info.backend_pid)
        (finding,) = (one for one in bad(strict, "idle_in_transaction") if one.object == pid)
        ctx.db.execute(finding.fix.partition(";")[0])
        wait_for(lambda: pid not in [one.object for one in bad(strict, "idle_in_transaction")])
        with pytest.raises(psycopg.OperationalError):
            idle.execute("SELECT 1")


def test_the_root_of_a_lock_queue_is_named(ctx: Context, shared: Project) -> None:
    with opened(shared, "health.limits.blocked_sessions.warn=0.0001") as strict, session(ctx) as holder:
        holder.execute("LOCK TABLE chanuka.topics")
        with session(ctx) as waiter:
            waiter.pgconn.send_query(b"BEGIN; LOCK TABLE chanuka.topics")
            wait_for(lambda: bad(strict, "blocked_sessions"))
            (finding,) = bad(strict, "blocked_sessions")
            assert finding.object == str(holder.info.backend_pid)
            holder.rollback()
            while waiter.pgconn.get_result():
                pass


def test_nothing_waits_for_a_lock_on_a_catalogue(ctx: Context, shared: Project) -> None:
    with session(ctx) as holder:
        holder.execute("LOCK TABLE chanuka.bills IN ACCESS EXCLUSIVE MODE")
        started = time.monotonic()
        with opened(shared) as context:
            report = health.check(context)
        assert time.monotonic() - started < 5
        assert not report.failed


FAULTS = [
    ("superusers", "CREATE ROLE boss SUPERUSER LOGIN", "DROP ROLE boss", "boss", ()),
    (
        "inactive_slots",
        "SELECT pg_create_physical_replication_slot('left', true)",
        "SELECT pg_drop_replication_slot('left')",
        "left",
        ("health.limits.inactive_slots.warn=0",),
    ),
    (
        "sequences",
        """CREATE TABLE chanuka.small (id smallint GENERATED ALWAYS AS IDENTITY);
           SELECT setval(pg_get_serial_sequence('chanuka.small', 'id'), 32000)""",
        "DROP TABLE chanuka.small",
        "chanuka.small_id_seq",
        (),
    ),
    (
        "unindexed_foreign_keys",
        """CREATE TABLE chanuka.tags (bill_id int REFERENCES chanuka.bills, tag text);
           INSERT INTO chanuka.tags VALUES (1, 'a')""",
        "DROP TABLE chanuka.tags",
        "chanuka.tags",
        ("health.limits.unindexed_foreign_keys.warn=1",),
    ),
    (
        "dead_rows",
        """CREATE TABLE chanuka.dead WITH (autovacuum_enabled = off) AS SELECT generate_series(1, 60000);
           DELETE FROM chanuka.dead; SELECT pg_stat_force_next_flush()""",
        "DROP TABLE chanuka.dead",
        "chanuka.dead",
        (),
    ),
    (
        "never_analyzed",
        """CREATE TABLE chanuka.unknown WITH (autovacuum_enabled = off) AS SELECT generate_series(1, 100001);
           SELECT pg_stat_force_next_flush()""",
        "ANALYZE chanuka.unknown; DROP TABLE chanuka.unknown",
        "chanuka.unknown",
        (),
    ),
]


@pytest.mark.parametrize(("check", "seed", "teardown", "about", "sets"), FAULTS)
def test_faults(
    ctx: Context, shared: Project, check: str, seed: str, teardown: str, about: str, sets: tuple[str, ...]
) -> None:
    with opened(shared, *sets) as context:
        assert not [f for f in bad(context, check) if f.object == about]
        with psycopg.connect(**ctx.server.parameters(), dbname="chanuka", autocommit=True) as connection:  # type: ignore[arg-type]
            connection.execute(seed)
            try:
                wait_for(lambda: any(f.object == about for f in bad(context, check)))
            finally:
                connection.execute(teardown)
        wait_for(lambda: not [f for f in bad(context, check) if f.object == about])


def test_an_invalid_index_and_its_fix(ctx: Context, shared: Project) -> None:
    connection = ctx.db.connection("chanuka")
    connection.execute("CREATE TABLE chanuka.twice AS SELECT 1 AS id FROM generate_series(1, 2)")
    try:
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("CREATE UNIQUE INDEX CONCURRENTLY twice_id ON chanuka.twice (id)")
        (finding,) = bad(ctx, "invalid_indexes")
        assert finding.object == "chanuka.twice_id"
        connection.execute("DELETE FROM chanuka.twice WHERE ctid = '(0,1)'")
        ctx.db.execute(finding.fix.rstrip(";"))
        assert bad(ctx, "invalid_indexes") == []
    finally:
        connection.execute("DROP TABLE chanuka.twice")


def test_settings_that_wait_or_lose_data(ctx: Context, shared: Project) -> None:
    connection = ctx.db.connection("postgres")
    connection.execute("ALTER SYSTEM SET shared_buffers = '33MB'")
    connection.execute("SELECT pg_reload_conf()")
    try:
        wait_for(lambda: bad(ctx, "pending_restart"))
        assert bad(ctx, "pending_restart")[0].object == "shared_buffers"
    finally:
        connection.execute("ALTER SYSTEM RESET shared_buffers")
        connection.execute("SELECT pg_reload_conf()")
    wait_for(lambda: not bad(ctx, "pending_restart"))
    found = {finding.object: finding.grade for finding in bad(ctx, "durability")}  # asked for although disabled here
    assert found["fsync"] is Grade.FAIL
    assert found["synchronous_commit"] is Grade.WARN


def test_an_archive_command_that_nothing_calls(fresh: Project) -> None:
    assert fresh.inv("db.setup", "--env=test").returncode == 0
    with opened(fresh) as context:
        assert not bad(context, "archiver")
        context.db.execute("ALTER SYSTEM SET archive_command = 'cp %p archived_%f'")
        context.db.execute("SELECT pg_reload_conf()")
        wait_for(lambda: bad(context, "archiver"))
        (finding,) = bad(context, "archiver")
        assert (finding.object, finding.grade) == ("archive_mode", Grade.WARN)
        context.db.execute(finding.fix)
    fresh.inv("db.stop", "--env=test")
    fresh.inv("db.start", "--env=test")
    with opened(fresh) as context:
        assert context.db.execute("SHOW archive_mode")[0].archive_mode == "on"
        assert not bad(context, "archiver")


def test_a_failing_archive_command(fresh: Project) -> None:
    archiving = ("--set", "settings.archive_mode=on", "--set", "settings.archive_command=false")
    assert fresh.inv("db.setup", "--env=test").returncode == 0  # the seeds fill a segment: archive none of it
    assert fresh.inv("provision.apply", "--env=test", *archiving).returncode == 0
    with opened(fresh) as context:
        context.db.execute("SELECT pg_switch_wal()")
        wait_for(lambda: bad(context, "archiver"))
    done = fresh.inv("health.check", "--env=test", *archiving)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("test: fail: ")
    assert "archiver: " in done.stdout


def test_a_password_in_a_setting_is_neither_told_nor_kept(fresh: Project) -> None:
    assert fresh.inv("db.setup", "--env=test").returncode == 0
    with opened(fresh) as context:
        for value in ("first-hunter2", "second-hunter2"):
            statement = SQL("ALTER SYSTEM SET primary_conninfo = {}").format(Literal(f"host=db1 password={value}"))
            context.db.execute(statement)
            context.db.execute("SELECT pg_reload_conf()")
            shown = "SELECT FROM pg_settings WHERE name = 'primary_conninfo' AND setting LIKE %s"
            wait_for(partial(context.db.execute, shown, [f"%{value}"]))
            report = health.check(context, "settings_changed")
        (finding,) = report.results
        assert finding.object == "primary_conninfo"
        assert "hunter2" not in finding.text
        files = context.state.glob("health.sqlite*")
        assert not [file.name for file in files if b"hunter2" in file.read_bytes()]
        ((hba,),) = context.db.execute("SELECT current_setting('hba_file')")
        with Path(hba).open("a") as file:
            file.write('host all all 0.0.0.0/0 radius radiusservers="127.0.0.1" radiussecrets="hunter2"\n')
        (rules,) = (one for one in load() if one.id == "hba_rules")
        (options,) = (row.options for row in context.db.execute(rules.query) if row.method == "radius")
        assert options == " radiusservers=127.0.0.1 radiussecrets=***"


def test_a_restart_makes_no_rate_of_what_was_counted_before_it(fresh: Project) -> None:
    """Counters outlive it, and how long they were counted for must, too: a year's deadlocks are not those of a minute.

    Servers before 15 note for each database when they began.
    """
    for task in ("db.setup", "db.stop", "db.start"):
        assert fresh.inv(task, "--env=test").returncode == 0
    with opened(fresh) as context:
        (deadlocks,) = (one for one in load() if one.id == "deadlocks")
        ((up,),) = context.db.execute("SELECT extract(epoch FROM now() - pg_postmaster_start_time())::float")
        rows = [row for row in context.db.execute(deadlocks.query) if row.name == "chanuka"]
        assert all(row.age > up + 1 for row in rows)


def test_a_refused_statement_does_not_lose_the_others(ctx: Context) -> None:
    connection = ctx.db.connection("chanuka")
    answers = ask(
        connection,
        ["SELECT 1 AS a", "SELECT nonsense", "SELECT pg_sleep(5)", "CREATE TABLE x ()", "SELECT 2 AS a"],
        0.2,
    )
    kinds = [answer.sqlstate if isinstance(answer, psycopg.Error) else answer[0].a for answer in answers]
    assert kinds == [1, "42703", "57014", "25006", 2]
    assert connection.execute("SHOW statement_timeout").fetchone()[0] == "0"  # type: ignore[index]


def test_what_a_monitoring_role_may_not_see_is_skipped_not_failed(ctx: Context, shared: Project) -> None:
    ctx.db.execute("CREATE ROLE watcher LOGIN PASSWORD 'watcher-pw' IN ROLE pg_monitor")
    ctx.db.execute("GRANT CONNECT ON DATABASE chanuka TO watcher")
    try:
        with opened(shared, "health.databases=chanuka") as context:
            given = context.server.parameters()
            context.server.parameters = lambda: {**given, "user": "watcher", "password": "watcher-pw"}  # type: ignore[method-assign]
            report = health.check(context, remember=False)
        skipped = {finding.check for finding in report.results if finding.grade is Grade.SKIPPED}
        assert {"unknown"}.isdisjoint(finding.grade for finding in report.results if "permission" in finding.text)
        assert all("GRANT" in finding.text for finding in report.results if finding.grade is Grade.SKIPPED)
        assert len(skipped) <= len(report.by_check) * 0.05
    finally:
        ctx.db.execute("REVOKE ALL ON DATABASE chanuka FROM watcher")
        ctx.db.execute("DROP ROLE watcher")


def test_what_an_ordinary_role_lacks_is_a_line_to_paste(shared: Project) -> None:
    with opened(shared, "health.role=chanuka_app") as context:
        results = health.check(context, remember=False).results
    skipped = [one for one in results if one.grade is Grade.SKIPPED]
    assert {"checksums_off", "statement_statistics", "wal_size"} <= {one.check for one in skipped}
    assert [one.text for one in skipped if " TO chanuka_app;" not in one.text and "superuser" not in one.text] == []


def test_a_role_that_is_not_there_is_named_with_what_makes_it(shared: Project) -> None:
    with opened(shared, "health.role=nobody_here") as context:
        (trouble,) = bad(context, "availability")
    assert trouble.text == 'authentication: role "nobody_here" does not exist (22023)'
    assert trouble.fix == "inv health.grant --role nobody_here --apply --env=test"


def test_a_check_that_fails_says_so_once(shared: Project) -> None:
    given = {"sql": "SELECT count(*) AS value FROM nowhere.at_all", "warn": "1"}
    names = ("wrong", "wrong_too", "wrong_as_well")
    sets = [f"--set=health.checks.{name}.{key}={value}" for name in names for key, value in given.items()]
    done = shared.inv("health.check", f"--only={','.join(names)}", *sets, "--env=test")
    assert 'relation "nowhere.at_all" does not exist' in done.stdout
    assert not done.stderr


def databases(context: Context) -> list[Finding]:
    return [one for one in health.check(context, "no_primary_key", remember=False).results if one.check == "databases"]


def test_a_declared_database_that_is_missing_or_takes_no_connections(ctx: Context, shared: Project) -> None:
    with opened(shared, "databases.the archive.owner=chanuka_owner") as context:
        (finding,) = databases(context)
        assert (finding.grade, finding.object) == (Grade.FAIL, "the archive")
        assert finding.fix == "inv db.setup --env=test"
        assert health.explain(context, "databases").check.why
        assert finding in health.check(context, "databases", remember=False).results
        ctx.db.execute('CREATE DATABASE "the archive" ALLOW_CONNECTIONS false', database="postgres")
        try:
            (finding,) = databases(context)
            assert (finding.grade, finding.object) == (Grade.FAIL, "the archive")
            ctx.db.execute(finding.fix)
            assert databases(context) == []
            ctx.db.execute(finding.undo)
            assert databases(context)
        finally:
            ctx.db.execute('DROP DATABASE "the archive"', database="postgres")


def test_the_applications_database_may_be_closed_or_left_to_superusers(ctx: Context, shared: Project) -> None:
    for closing_, words in (("ALLOW_CONNECTIONS false", "no connections"), ("CONNECTION LIMIT 0", "superusers")):
        ctx.db.execute('CREATE DATABASE "o dd"', database="postgres")
        try:
            ctx.db.execute(f'ALTER DATABASE "o dd" {closing_}', database="postgres")
            with opened(shared, "databases.o dd.owner=chanuka_owner", "application.database=o dd") as context:
                (finding,) = databases(context)
                assert (finding.grade, finding.object) == (Grade.FAIL, "o dd")
                assert words in finding.text
                ctx.db.execute(finding.fix)
                assert databases(context) == []
                ctx.db.execute(finding.undo)
                assert databases(context)
        finally:
            ctx.db.execute('DROP DATABASE "o dd" WITH (FORCE)', database="postgres")


TOLD = "SET default_transaction_read_only = {}"


@pytest.mark.parametrize(
    ("kind", "before", "fault", "after"),
    [
        ("read_only", "", f"ALTER DATABASE chanuka {TOLD.format('on')}", ""),
        ("read_only", "", f"ALTER ROLE chanuka_app {TOLD.format('yes')}", ""),
        ("read_only", "", f"ALTER ROLE ALL {TOLD.format('true')}", ""),
        ("read_only", f"ALTER ROLE ALL {TOLD.format('off')}", f"ALTER ROLE chanuka_app {TOLD.format('on')}", ""),
        ("locked_out", "", "ALTER ROLE chanuka_app NOLOGIN", "ALTER ROLE chanuka_app LOGIN"),
        ("locked_out", "", "ALTER ROLE chanuka_app CONNECTION LIMIT 0", "ALTER ROLE chanuka_app CONNECTION LIMIT -1"),
        ("", f"ALTER ROLE chanuka_app {TOLD.format('off')}", f"ALTER DATABASE chanuka {TOLD.format('on')}", ""),
        ("", "", f"ALTER ROLE postgres {TOLD.format('on')}", ""),
        ("", "", "ALTER ROLE chanuka_readonly CONNECTION LIMIT 0", "ALTER ROLE chanuka_readonly CONNECTION LIMIT -1"),
    ],
)
def test_the_application_must_get_in_and_may_write(
    shared: Project, kind: str, before: str, fault: str, after: str
) -> None:
    def found() -> list[Finding]:
        with opened(shared, "health.databases=chanuka") as context:
            return bad(context, "availability")

    with opened(shared) as context, session(context) as admin:
        admin.autocommit = True
        admin.execute("SET default_transaction_read_only = off")

        def run(lines: str) -> None:
            for line in lines.splitlines():
                admin.execute(line.encode())

        of = ("DATABASE chanuka", "ROLE chanuka_app", "ROLE ALL", "ROLE postgres")
        settings = admin.execute("SELECT setconfig FROM pg_db_role_setting ORDER BY setdatabase, setrole").fetchall()
        try:
            run(before)
            assert found() == []
            run(fault)
            assert [one.kind for one in found()] == [kind] * bool(kind)
            for finding in found():
                run(finding.fix)
                assert found() == []
                run(finding.undo)
                assert [one.kind for one in found()] == [kind]
        finally:
            run(after)
            for one in of:
                run(f"ALTER {one} RESET default_transaction_read_only")
        now = admin.execute("SELECT setconfig FROM pg_db_role_setting ORDER BY setdatabase, setrole").fetchall()
        assert now == settings


def test_what_every_session_stumbles_over_is_passed_by_an_option(ctx: Context, database: str, shared: Project) -> None:
    def found() -> list[Finding]:
        sets = (f"databases.{database}.owner=chanuka_owner", f"application.database={database}")
        with opened(shared, *sets, f"health.databases={database}") as context:
            return [one for one in bad(context, "availability") if one.check == "availability"]

    def passing(finding: Finding, *lines: str) -> None:
        options = finding.fix.split("PGOPTIONS='")[1].split("'")[0]
        given = {**ctx.server.parameters(), "dbname": database, "options": options}
        with psycopg.connect(**given, autocommit=True) as rescuer:  # type: ignore[arg-type]
            for line in lines:
                rescuer.execute(line.encode())

    kept = {**ctx.server.parameters(), "dbname": database, "options": "-c session_preload_libraries="}
    with closing(psycopg.connect(**kept, autocommit=True)) as admin:  # type: ignore[arg-type]
        admin.execute("ALTER SYSTEM SET session_preload_libraries = 'gone'")
        try:
            admin.execute("SELECT pg_reload_conf()")
            wait_for(found)
            (finding,) = found()
            assert "gone" in finding.text
            passing(finding, "ALTER SYSTEM RESET session_preload_libraries", "SELECT pg_reload_conf()")
        finally:
            admin.execute("ALTER SYSTEM RESET session_preload_libraries")
            admin.execute("SELECT pg_reload_conf()")
        wait_for(lambda: not found())
        admin.execute(
            """CREATE FUNCTION public.f() RETURNS event_trigger LANGUAGE plpgsql AS $$
               BEGIN RAISE 'not today'; END $$"""
        )
        admin.execute("CREATE EVENT TRIGGER e ON login EXECUTE FUNCTION public.f()")
        (finding,) = found()
        assert "not today" in finding.text
        passing(finding, "DROP EVENT TRIGGER e")
        assert found() == []


def test_what_is_said_of_databases_can_be_explained_and_ignored(shared: Project) -> None:
    missing = "databases.the archive.owner=chanuka_owner"
    with opened(shared, missing) as context:
        (finding,) = [one for one in health.check(context, "no_primary_key").results if one.check == "databases"]
        assert "missing" in health.explain(context, "databases").check.title
        explained = health.explain(context, finding.fingerprint)
        assert explained.seen
        assert explained.seen[2].object == "the archive"
    with opened(shared, missing) as context:
        context.config.health.ignore.append(Ignore(check="databases", object="the archive", reason="a move"))
        (finding,) = databases(context)
        assert finding.grade is Grade.INFO


def test_a_database_that_the_role_may_not_enter_is_skipped_with_the_grant(ctx: Context, shared: Project) -> None:
    ctx.db.execute("""CREATE ROLE "a watcher" LOGIN PASSWORD 'watcher-pw' IN ROLE pg_monitor""")
    ctx.db.execute('GRANT CONNECT ON DATABASE chanuka TO "a watcher"')
    ctx.db.execute('CREATE DATABASE "the vault"', database="postgres")
    try:
        ctx.db.execute('REVOKE CONNECT ON DATABASE "the vault" FROM PUBLIC')
        with opened(shared) as context:
            given = context.server.parameters()
            context.server.parameters = lambda: {**given, "user": "a watcher", "password": "watcher-pw"}  # type: ignore[method-assign]
            (finding,) = (one for one in databases(context) if one.object == "the vault")
            assert finding.grade is Grade.SKIPPED
            assert finding.text == 'needs GRANT CONNECT ON DATABASE "the vault" TO "a watcher";'
            ctx.db.execute(finding.text.removeprefix("needs "))
            assert not [one for one in databases(context) if one.object == "the vault"]
    finally:
        ctx.db.execute('DROP DATABASE "the vault" WITH (FORCE)', database="postgres")
        ctx.db.execute('REVOKE ALL ON DATABASE chanuka FROM "a watcher"')
        ctx.db.execute('DROP ROLE "a watcher"')


def test_a_session_that_was_ended_is_opened_again_or_told(ctx: Context) -> None:
    pid = ctx.db.connection().info.backend_pid
    with psycopg.connect(**ctx.server.parameters(), dbname="postgres", autocommit=True) as other:  # type: ignore[arg-type]
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
    trouble = health.check(ctx, "connections,availability").trouble
    assert trouble is None or trouble.kind == "lost"


# --- a server that cannot be asked: within the deadline, and of what kind --------------------------------------------


def trouble(context: Context) -> Finding:
    """Return it of a server that is to answer within 2 s."""
    started = time.monotonic()
    report = health.check(context)
    assert time.monotonic() - started < 5
    assert report.trouble, report.verdict
    assert (report.grade, report.code) == (Grade.FAIL, 3)
    assert report.trouble.fix in (ADVICE[report.trouble.kind], "inv db.start --env=test")
    return report.trouble


def few(context: Context) -> bool:
    """Say whether the server's sessions have ended: they take a moment after their clients have."""
    with suppress(psycopg.OperationalError), closing(session(context)) as looking:
        clients = "SELECT count(*) < 10 FROM pg_stat_activity WHERE backend_type = 'client backend'"
        return looking.execute(clients).fetchone() == (True,)
    return False


def test_kinds_of_servers_that_do_not_answer(fresh: Project) -> None:
    assert fresh.inv("db.setup", "--env=test").returncode == 0
    with opened(fresh, "health.timeout=2") as context:
        health.check(context)
        with frozen(fresh):
            assert trouble(context).kind == "query_timeout"  # on a session that is open
            assert trouble(context).kind == "connect_timeout"  # on a new one
            done = fresh.json("health.check", "--env=test", "--timeout=4")
            assert done["error"]["why"] == "connect_timeout"  # and not that the task was ended
        assert not health.check(context).trouble
        done = fresh.json("health.check", "--env=test")
        assert done["ok"]
        with ExitStack() as slots:

            def full() -> bool:
                """Take every slot; one that somebody only just leaves is free again a moment later."""
                context.db.forget()
                with pytest.raises(psycopg.OperationalError, match="too many clients"):
                    while True:
                        slots.enter_context(closing(session(context)))
                return health.check(context).trouble is not None

            wait_for(full)
            assert trouble(context).kind == "slots_exhausted"
        wait_for(lambda: few(context))
        secret = next((fresh.root / ".pgcohesion" / "test").glob("*superuser*"))
        right = secret.read_text()
        secret.write_text("wrong\n")
        context.db.forget()
        with opened(fresh, "health.timeout=2") as other:
            assert trouble(other).kind == "authentication"
        secret.write_text(right)
        assert fresh.inv("db.stop", "--env=test").returncode == 0
        context.db.forget()
        assert trouble(context).kind == "refused"
    done = fresh.json("health.check", "--env=test")
    assert (done["ok"], done["error"]["why"]) == (False, "refused")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("connection failed: Connection refused", "refused"),
        ('connection to server on socket "/x/.s.PGSQL.5432" failed: No such file or directory', "refused"),
        ("FATAL:  the database system is starting up", "not_accepting"),
        ("FATAL:  the database system is not yet accepting connections", "not_accepting"),
        ("FATAL:  sorry, too many clients already", "slots_exhausted"),
        ("FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute", "slots_exhausted"),
        ('FATAL:  password authentication failed for user "x"', "authentication"),
        ('FATAL:  no pg_hba.conf entry for host "1.2.3.4"', "authentication"),
        (
            'FATAL:  permission denied for database "x"\nDETAIL:  User does not have CONNECT privilege.',
            "authentication",
        ),
        ("connection timeout expired", "connect_timeout"),
        ("failed to resolve host 'nowhere': [Errno -2] Name or service not known", "refused"),
        ('FATAL:  permission denied for database "x"', "authentication"),
        ("server closed the connection unexpectedly", "lost"),
        ('FATAL:  could not access file "x": No such file or directory', "lost"),
    ],
)
def test_kinds_by_libpq_s_words(words: str, expected: str) -> None:
    assert kind(psycopg.OperationalError(words)) == expected


def test_a_secret_that_has_no_value_loses_one_source_not_the_run(shared: Project) -> None:
    sets = ("health.pooler.port=6432", "health.pooler.user=stats", "health.pooler.password.env=NOT_SET_ANYWHERE")
    with opened(shared, *sets) as context:
        report = health.check(context, "pooler,connections", remember=False)
    assert {one.check for one in report.results} >= {"connections", "pooler_login"}
    assert {one.grade for one in report.results if one.check.startswith("pooler_")} == {Grade.UNKNOWN}
    assert "NOT_SET_ANYWHERE" in next(one.fix for one in report.results if one.check == "pooler_login")
