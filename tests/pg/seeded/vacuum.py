"""Faults of vacuum."""

from __future__ import annotations

from collections.abc import Callable

from pgcohesion.health.registry import Finding
from pgcohesion.view import Grade

from .sessions import SNAPSHOT, busy
from .stage import Fault, Lookalike, Stage, standing, wait_for

OFF = "WITH (autovacuum_enabled = off)"
FLUSH = "SELECT pg_stat_force_next_flush()"
TABLE = 'public."odd ""t"'
SPEND = "DO $$ BEGIN FOR n IN 1..{} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$"
"""Uses up transaction ids."""


def filled(stage: Stage, rows: int = 30_000, options: str = OFF) -> None:
    """Make a table that autovacuum leaves alone (a test must not race with it), analyzed."""
    stage.sql(
        f"CREATE TABLE {TABLE} (a int, b text DEFAULT repeat('x', 100)) {options}",
        f"INSERT INTO {TABLE} SELECT generate_series(1, {rows})",
        FLUSH,  # what is counted after an ANALYZE counts as changed since
        f"VACUUM ANALYZE {TABLE}",
        FLUSH,
    )


def switched_off(stage: Stage) -> None:
    stage.setting("autovacuum", "off")


def blind(stage: Stage) -> None:
    stage.setting("track_counts", "off")


def left_alone(stage: Stage) -> None:
    filled(stage, 10)


def left_alone_in_other_words(stage: Stage) -> None:
    stage.sql(f"CREATE TABLE {TABLE} (a int) WITH (autovacuum_vacuum_threshold = 5, autovacuum_enabled = 'FALS')")


def toast_left_alone(stage: Stage) -> None:
    stage.sql(f"CREATE TABLE {TABLE} (a text) WITH (toast.autovacuum_enabled = off)")


def late(stage: Stage) -> None:
    options = "autovacuum_vacuum_threshold = 2000000000, autovacuum_analyze_scale_factor = 100"
    stage.sql(f"CREATE TABLE {TABLE} (a int) WITH (fillfactor = 90, {options})")


def toast_late(stage: Stage) -> None:
    stage.sql(f"CREATE TABLE {TABLE} (a text) WITH (toast.autovacuum_vacuum_scale_factor = 10)")


def by_number(stage: Stage) -> None:
    """Have a table vacuumed by the number of dead rows, as it is advised for very large ones."""
    options = "autovacuum_vacuum_threshold = 1000000, autovacuum_vacuum_scale_factor = 0"
    stage.sql(f"CREATE TABLE {TABLE} (a int) WITH ({options}, autovacuum_analyze_threshold = 10)")


def dead_values(stage: Stage) -> None:
    """Leave the dead rows to the TOAST table: those of the table itself are few."""
    stage.sql(
        f"CREATE TABLE {TABLE} (a text) WITH (toast.autovacuum_enabled = off)",
        f"ALTER TABLE {TABLE} ALTER a SET STORAGE EXTERNAL",
        f"INSERT INTO {TABLE} SELECT repeat('x', 400000) FROM generate_series(1, 60)",
        f"UPDATE {TABLE} SET a = repeat('y', 400000)",
        FLUSH,
    )


def seen(stage: Stage) -> None:
    stage.sql(f"CREATE TABLE {TABLE} (a int) WITH (autovacuum_enabled = on, toast.autovacuum_enabled = yes)")


def dead(stage: Stage) -> None:
    filled(stage, 20_000)
    stage.sql(f"DELETE FROM {TABLE} WHERE a <= 15000", FLUSH)


HOLDING = """SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
                AND coalesce(backend_xid, backend_xmin) IS NOT NULL"""


def held(name: str, holder: str, waiter: str = "") -> Fault:
    """Return a fault that VACUUM does not mend while a transaction is open: text and fix must say so.

    A *waiter* holds back as much, since later: to end it would free nothing.
    """

    def seed(stage: Stage) -> None:
        filled(stage, 20_000)
        stage.sql("CREATE TABLE public.other (a int)")
        stage.connect().execute(holder.encode())
        if waiter:
            busy(stage, stage.connect(), waiter)
        stage.sql(f"DELETE FROM {TABLE} WHERE a <= 15000", FLUSH)

    def mend(stage: Stage, finding: Finding) -> None:
        vacuum = finding.fix.splitlines()[-1]
        stage.sql(vacuum, FLUSH)
        wait_for(lambda: any(" has held rows back for " in one.text for one in stage.findings()))
        (again,) = [one for one in stage.findings() if one.check == "dead_rows"]
        (pid,) = stage.db.execute(
            "SELECT 'process ' || pid FROM pg_stat_activity"
            " WHERE state = 'idle in transaction' AND datname = current_database()"
        ).fetchone() or ("",)
        assert pid in again.text
        assert "xmin_horizon" in again.fix.splitlines()[0]
        stage.sql(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE state = 'idle in transaction' AND datname = current_database()"
        )
        wait_for(lambda: not stage.db.execute(HOLDING).fetchall())  # the waiter runs on, and is through at once
        stage.sql(again.fix.splitlines()[-1], FLUSH)

    return Fault(name, "dead_rows", seed, TABLE, grade=Grade.FAIL, mend=mend)


def overdue(stage: Stage) -> None:
    filled(stage, 1000)
    stage.sql(f"UPDATE {TABLE} SET a = a", f"UPDATE {TABLE} SET a = a", FLUSH)


def overdue_by_its_own_point(stage: Stage) -> None:
    own = "autovacuum_vacuum_scale_factor = 0.001, autovacuum_vacuum_threshold = 100"
    filled(stage, 30_000, f"{OFF[:-1]}, {own})")
    stage.sql(f"DELETE FROM {TABLE} WHERE a <= 2000", FLUSH)


def overdue_by_the_most(stage: Stage) -> None:
    filled(stage, 30_000, f"{OFF[:-1]}, autovacuum_vacuum_max_threshold = 500)")
    stage.sql(f"DELETE FROM {TABLE} WHERE a <= 2000", FLUSH)


def not_due_by_its_own_point(stage: Stage) -> None:
    filled(stage, 1000, f"{OFF[:-1]}, autovacuum_vacuum_threshold = 5000)")
    stage.sql(f"UPDATE {TABLE} SET a = a", f"UPDATE {TABLE} SET a = a", FLUSH)


def slowly_vacuumed(stage: Stage) -> None:
    """Begin a vacuum that takes minutes."""
    dead(stage)
    session = stage.connect()
    session.execute("SET vacuum_cost_delay = 100; SET vacuum_cost_limit = 1")
    stage.aside(session, f"VACUUM {TABLE}")
    pid = session.info.backend_pid
    stage.later(lambda: stage.sql(f"SELECT pg_terminate_backend({pid}, 5000)"))
    wait_for(lambda: stage.db.execute("SELECT FROM pg_stat_progress_vacuum WHERE pid = %s", [pid]).fetchall())


def end_vacuum(stage: Stage, finding: Finding) -> None:
    """Do what the fix says, and end the vacuum."""
    look = finding.fix.splitlines()[-1].encode()
    wait_for(lambda: "VacuumDelay" in str(stage.db.execute(look).fetchall()))
    stage.sql("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_progress_vacuum")


def all_workers_busy(stage: Stage) -> None:
    """Let autovacuum crawl with its only worker; all of it only once that is here, or it crawls somewhere else."""
    stage.setting("autovacuum_max_workers", "1")
    filled(stage, 20_000, "WITH (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)")
    stage.sql(f"DELETE FROM {TABLE} WHERE a <= 15000", FLUSH)
    stage.setting("autovacuum_naptime", "1")
    wait_for(
        lambda: stage.db.execute("SELECT FROM pg_stat_progress_vacuum WHERE datname = current_database()").fetchall(),
        60,
    )
    stage.setting("autovacuum_vacuum_cost_delay", "100")
    stage.setting("autovacuum_vacuum_cost_limit", "1")


def more_speed(stage: Stage, finding: Finding) -> None:
    """Do what the fix says, and give the table its speed back, for which its vacuum has to begin again."""
    assert "cost_limit" in finding.fix
    stage.setting("autovacuum_vacuum_cost_limit", "10000")
    stage.setting("autovacuum_vacuum_cost_delay", "0")
    stage.sql(f"ALTER TABLE {TABLE} RESET (autovacuum_vacuum_cost_delay, autovacuum_vacuum_cost_limit)")


def cold_updates(stage: Stage) -> None:
    filled(stage, 20_000)
    stage.sql(f"CREATE INDEX ON {TABLE} (a)", f"UPDATE {TABLE} SET a = -a", FLUSH)


def indexed_updates() -> Fault:
    """Return a fault that no fillfactor mends: the column that changes is in an index."""

    def seed(stage: Stage) -> None:
        stage.sql(
            f"CREATE TABLE {TABLE} (a int) WITH (fillfactor = 50, autovacuum_enabled = off)",
            f"CREATE INDEX ON {TABLE} (a)",
            f"INSERT INTO {TABLE} SELECT generate_series(1, 20000)",
            f"UPDATE {TABLE} SET a = -a",
            FLUSH,
        )

    def mend(stage: Stage, finding: Finding) -> None:
        assert "indexed column" in finding.text
        assert "fillfactor" not in finding.fix
        stage.sql(f"SELECT pg_stat_reset_single_table_counters('{TABLE}'::regclass)")

    return Fault("updates of an indexed column", "hot_updates", seed, TABLE, mend=mend, least=16)


def hot_updates(stage: Stage) -> None:
    stage.sql(f"CREATE TABLE {TABLE} (a int, b int) {OFF}", f"INSERT INTO {TABLE} VALUES (1, 1)")
    stage.sql(f"DO $$ BEGIN FOR n IN 1..12000 LOOP UPDATE {TABLE} SET b = n; COMMIT; END LOOP; END $$", FLUSH)


def few_dead(stage: Stage) -> None:
    filled(stage)
    stage.sql(f"DELETE FROM {TABLE} WHERE a <= 3000", FLUSH)


def vacuumed(stage: Stage) -> None:
    dead(stage)
    stage.sql(f"VACUUM {TABLE}", FLUSH)


def dead_of_a_session(stage: Stage) -> None:
    """Leave dead rows in a temporary table, which goes with its session."""
    stage.sql(
        "CREATE TEMP TABLE mine AS SELECT generate_series(1, 20000) AS a", "DELETE FROM mine WHERE a < 19000", FLUSH
    )


NOW = "health.limits.long_vacuums.warn=0.01"


def queue(rows: int) -> Callable[[Stage], str]:
    """Return a seed that empties a table which autovacuum has just vacuumed, and looks at again soon."""

    def seed(stage: Stage) -> str:
        stage.setting("autovacuum_naptime", "1s")
        stage.sql(
            f"CREATE TABLE {TABLE} (id int PRIMARY KEY)",
            f"INSERT INTO {TABLE} SELECT generate_series(1, {2 * rows})",
            f"DELETE FROM {TABLE} WHERE id <= {rows}",
            FLUSH,
        )
        vacuumed = f"SELECT WHERE pg_stat_get_last_autovacuum_time('{TABLE}'::regclass) IS NOT NULL"
        wait_for(lambda: stage.db.execute(vacuumed.encode()).fetchall(), 60)
        stage.setting("autovacuum_naptime", "10min")
        stage.sql(f"DELETE FROM {TABLE}", FLUSH)
        return TABLE

    return seed


def eager(stage: Stage) -> None:
    stage.setting("autovacuum_naptime", "10s")
    stage.setting("autovacuum_vacuum_scale_factor", "0.02")
    stage.setting("autovacuum_vacuum_threshold", "5000")
    stage.setting("autovacuum_vacuum_cost_delay", "20ms")


BUSY = ("health.limits.busy_vacuum_workers.warn=0.01", "health.limits.busy_vacuum_workers.fail=1e6")


def other_limit(stage: Stage) -> str:
    stage.setting("vacuum_cost_limit", "1")
    stage.setting("autovacuum_vacuum_cost_limit", "200")
    return "vacuum_cost_limit"


def unpaced(stage: Stage) -> str:
    stage.setting("autovacuum_vacuum_cost_limit", "1")
    stage.setting("autovacuum_vacuum_cost_delay", "0")
    return "autovacuum_vacuum_cost_limit"


FAULTS = [
    Fault("autovacuum is off", "autovacuum_off", switched_off, "autovacuum", grade=Grade.FAIL),
    Fault("nothing is counted", "autovacuum_off", blind, "track_counts", grade=Grade.FAIL),
    Fault(
        "autovacuum that comes once a day",
        "timid_autovacuum",
        lambda stage: stage.setting("autovacuum_naptime", "1d"),
        "autovacuum_naptime",
    ),
    Fault(
        "autovacuum that waits for more dead rows than there are",
        "timid_autovacuum",
        lambda stage: stage.setting("autovacuum_vacuum_scale_factor", "10"),
        "autovacuum_vacuum_scale_factor",
    ),
    Fault(
        "autovacuum that hardly does anything",
        "timid_autovacuum",
        lambda stage: stage.setting("autovacuum_vacuum_cost_limit", "1"),
        "autovacuum_vacuum_cost_limit",
    ),
    Fault("a table that autovacuum leaves alone", "autovacuum_off_tables", left_alone, TABLE),
    Fault("off in other words", "autovacuum_off_tables", left_alone_in_other_words, TABLE),
    Fault("a TOAST table that autovacuum leaves alone", "autovacuum_off_tables", toast_left_alone, TABLE),
    Fault("a table that autovacuum comes to late", "timid_tables", late, TABLE),
    Fault("a TOAST table that autovacuum comes to late", "timid_tables", toast_late, TABLE),
    Fault("dead rows in a TOAST table", "dead_rows", dead_values, TABLE),
    Fault("dead rows", "dead_rows", dead, TABLE, grade=Grade.FAIL),
    held("dead rows that a snapshot holds", SNAPSHOT),
    held("dead rows that somebody's write holds", "BEGIN; INSERT INTO public.other VALUES (1)"),
    held(
        "dead rows that a write with another behind it holds",
        "BEGIN; LOCK public.other; INSERT INTO public.other VALUES (1)",
        "INSERT INTO public.other SELECT 1 FROM pg_class LIMIT 1",
    ),
    Fault("a vacuum that does not come", "overdue_vacuums", overdue, TABLE),
    Fault("a vacuum that its table wants early", "overdue_vacuums", overdue_by_its_own_point, TABLE),
    Fault("a vacuum that a large table wants early", "overdue_vacuums", overdue_by_the_most, TABLE, least=18),
    Fault("a vacuum that takes for ever", "long_vacuums", slowly_vacuumed, TABLE, (NOW,), mend=end_vacuum),
    Fault(
        "no worker to spare",
        "busy_vacuum_workers",
        all_workers_busy,
        "",
        sets=BUSY,
        mend=more_speed,
        back=standing("autovacuum_vacuum_cost_limit", "1"),
        least=18,
    ),
    Fault("updates that leave their pages", "hot_updates", cold_updates, TABLE),
    indexed_updates(),
]
LOOKALIKES = [
    Lookalike("a cost limit of sessions that autovacuum does not go by", "timid_autovacuum", other_limit),
    Lookalike("a cost limit that nobody waits for", "timid_autovacuum", unpaced),
    Lookalike("autovacuum that is set to come often", "timid_autovacuum", eager),
    Lookalike("a table that says that autovacuum is on", "autovacuum_off_tables", seen),
    Lookalike("a large table's own point", "timid_tables", by_number),
    Lookalike("a queue that autovacuum comes to", "dead_rows", queue(20_000)),
    Lookalike("a short queue that autovacuum comes to", "overdue_vacuums", queue(4000)),
    Lookalike("a few dead rows", "dead_rows", few_dead),
    Lookalike("a few dead rows are not overdue", "overdue_vacuums", few_dead),
    Lookalike("dead rows that dead_rows tells of", "overdue_vacuums", dead),
    Lookalike("dead rows are gone after vacuum", "dead_rows", vacuumed),
    Lookalike("dead rows that vacuum works on", "dead_rows", slowly_vacuumed),
    Lookalike("dead rows of a temporary table", "dead_rows", dead_of_a_session),
    Lookalike("a table that wants vacuum late", "overdue_vacuums", not_due_by_its_own_point),
    Lookalike("a vacuum that has just begun", "long_vacuums", slowly_vacuumed),
    Lookalike("updates that stay in their page", "hot_updates", hot_updates),
]
