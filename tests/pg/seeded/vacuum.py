"""Faults of vacuum, wraparound, planner statistics and bloat."""

from __future__ import annotations

from pgcohesion.health.registry import Finding
from pgcohesion.view import Grade

from .sessions import SNAPSHOT
from .stage import Fault, Lookalike, Stage

OFF = "WITH (autovacuum_enabled = off)"
FLUSH = "SELECT pg_stat_force_next_flush()"
TABLE = 'public."odd ""t"'


def filled(stage: Stage, rows: int = 30_000, options: str = OFF) -> None:
    """Make a table that autovacuum leaves alone (a test must not race with it), analyzed."""
    stage.sql(
        f"CREATE TABLE {TABLE} (a int, b text DEFAULT repeat('x', 100)) {options}",
        f"INSERT INTO {TABLE} SELECT generate_series(1, {rows})",
        f"VACUUM ANALYZE {TABLE}",
        FLUSH,
    )


def switched_off(stage: Stage) -> None:
    stage.setting("autovacuum", "off")


def left_alone(stage: Stage) -> None:
    filled(stage, 10)


def toast_left_alone(stage: Stage) -> None:
    stage.sql(f"CREATE TABLE {TABLE} (a text) WITH (toast.autovacuum_enabled = off)")


def dead(stage: Stage) -> None:
    filled(stage)
    stage.sql(f"DELETE FROM {TABLE} WHERE a <= 15000", FLUSH)


def dead_and_held() -> Fault:
    """Return a fault that VACUUM does not mend while a snapshot is held: the fix must say so."""

    def seed(stage: Stage) -> None:
        filled(stage)
        stage.connect().execute(SNAPSHOT)
        stage.sql(f"DELETE FROM {TABLE} WHERE a <= 15000", FLUSH)
        for _ in range(11):
            stage.sql("DO $$ BEGIN FOR n IN 1..100 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$")

    def mend(stage: Stage, finding: Finding) -> None:
        assert "holds" in finding.text
        assert "xmin_horizon" in finding.fix
        stage.sql(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE state = 'idle in transaction' AND datname = current_database()"
        )
        stage.sql(*finding.fix.splitlines()[1:], FLUSH)

    return Fault("dead rows that a snapshot holds", "dead_rows", seed, TABLE, mend=mend)


def overdue(stage: Stage) -> None:
    filled(stage, 1000)
    stage.sql(f"UPDATE {TABLE} SET a = a", f"UPDATE {TABLE} SET a = a", FLUSH)


def cold_updates(stage: Stage) -> None:
    filled(stage, 20_000)
    stage.sql(f"CREATE INDEX ON {TABLE} (a)", f"UPDATE {TABLE} SET a = -a", FLUSH)


def hot_updates(stage: Stage) -> None:
    stage.sql(f"CREATE TABLE {TABLE} (a int, b int) {OFF}", f"INSERT INTO {TABLE} VALUES (1, 1)")
    stage.sql(f"DO $$ BEGIN FOR n IN 1..12000 LOOP UPDATE {TABLE} SET b = n; COMMIT; END LOOP; END $$", FLUSH)


def few_dead(stage: Stage) -> None:
    filled(stage)
    stage.sql(f"DELETE FROM {TABLE} WHERE a <= 3000", FLUSH)


def used_ids() -> Fault:
    """Return a fault of a table whose lock keeps autovacuum from freezing it, whatever its settings ask for."""

    def seed(stage: Stage) -> None:
        stage.sql(f"CREATE TABLE {TABLE} (a int) WITH (autovacuum_freeze_max_age = 100000)")
        stage.connect().execute(f"BEGIN; LOCK TABLE {TABLE} IN SHARE UPDATE EXCLUSIVE MODE".encode())
        stage.sql("DO $$ BEGIN FOR n IN 1..130000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$")

    def mend(stage: Stage, finding: Finding) -> None:
        stage.sql("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE state = 'idle in transaction'")
        stage.sql(finding.fix)

    return Fault("a table that should have been frozen", "unfrozen_tables", seed, TABLE, mend=mend)


def frozen(stage: Stage) -> None:
    filled(stage, 10)
    stage.sql(f"VACUUM (FREEZE) {TABLE}")


def unknown(stage: Stage) -> None:
    stage.sql(f"CREATE TABLE {TABLE} {OFF} AS SELECT generate_series(1, 20000) AS a", FLUSH)


def unknown_parent(stage: Stage) -> None:
    stage.sql(
        f"CREATE TABLE {TABLE} (a int) PARTITION BY RANGE (a)",
        f"CREATE TABLE public.part PARTITION OF {TABLE} FOR VALUES FROM (0) TO (100000) {OFF}",
        f"INSERT INTO {TABLE} SELECT generate_series(1, 20000)",
        "ANALYZE public.part",
        FLUSH,
    )


def changed(stage: Stage) -> None:
    filled(stage)
    stage.sql(f"UPDATE {TABLE} SET a = 0", FLUSH)


def empty_pages(stage: Stage) -> None:
    filled(stage, 150_000)
    stage.sql(f"DELETE FROM {TABLE} WHERE a % 10 > 0", FLUSH, f"VACUUM ANALYZE {TABLE}", FLUSH)


def wide_nulls(stage: Stage) -> None:
    """Fill a table that only looks bloated to who forgets nulls, alignment, TOAST and fillfactor."""
    stage.sql(
        f"CREATE TABLE {TABLE} (a bool, b int8, c bool, d text, e int8, f text)"
        " WITH (fillfactor = 60, autovacuum_enabled = off)",
        f"INSERT INTO {TABLE} SELECT true, n, NULL, repeat('x', n % 40), NULL, NULL FROM generate_series(1, 200000) n",
        f"VACUUM ANALYZE {TABLE}",
    )


def empty_index(stage: Stage) -> None:
    filled(stage, 600_000, f"{OFF[:-1]}, fillfactor = 100)")
    stage.sql(
        f'CREATE INDEX "odd i" ON {TABLE} (a)', f"DELETE FROM {TABLE} WHERE a % 20 > 0", f"VACUUM ANALYZE {TABLE}"
    )


def equal_keys(stage: Stage) -> None:
    """Fill an index with many equal keys, which takes far less than one entry a row."""
    filled(stage, 400_000)
    stage.sql(f'CREATE INDEX "odd i" ON {TABLE} ((a % 3), b)', f"VACUUM ANALYZE {TABLE}")


FAULTS = [
    Fault("autovacuum is off", "autovacuum_off", switched_off, "autovacuum", grade=Grade.FAIL),
    Fault("a table that autovacuum leaves alone", "autovacuum_off_tables", left_alone, TABLE),
    Fault("a TOAST table that autovacuum leaves alone", "autovacuum_off_tables", toast_left_alone, TABLE),
    Fault("dead rows", "dead_rows", dead, TABLE),
    dead_and_held(),
    Fault("a vacuum that does not come", "overdue_vacuums", overdue, TABLE),
    Fault("updates that leave their pages", "hot_updates", cold_updates, TABLE),
    used_ids(),
    Fault("no statistics", "never_analyzed", unknown, TABLE),
    Fault("no statistics of a partitioned table", "never_analyzed", unknown_parent, TABLE),
    Fault("old statistics", "stale_statistics", changed, TABLE),
    Fault("a table of empty pages", "table_bloat", empty_pages, TABLE),
    Fault("an index of empty pages", "index_bloat", empty_index, '"odd i"', grade=Grade.FAIL),
]
LOOKALIKES = [
    Lookalike("a few dead rows", "dead_rows", few_dead),
    Lookalike("a few dead rows are not overdue", "overdue_vacuums", few_dead),
    Lookalike("updates that stay in their page", "hot_updates", hot_updates),
    Lookalike("a table that was frozen", "unfrozen_tables", frozen),
    Lookalike("dead rows are gone after vacuum", "dead_rows", empty_pages),
    Lookalike("nulls, alignment and a fillfactor", "table_bloat", wide_nulls),
    Lookalike("an index of equal keys", "index_bloat", equal_keys),
]
