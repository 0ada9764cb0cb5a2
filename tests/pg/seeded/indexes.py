"""Faults of indexes: what is broken, superfluous or missing; each undo brings the identical index back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg

from pgcohesion.health.checks import indexes
from pgcohesion.health.registry import Finding

from .security import Standby, one
from .sessions import busy
from .stage import Fault, Lookalike, Stage, wait_for

TABLE = 'public."odd ""t"'
FLUSH = "SELECT pg_stat_force_next_flush()"


def made(stage: Stage, *indexes: str, rows: int = 100) -> None:
    """Make the table with rows, vacuumed, and these indexes."""
    stage.sql(
        f"CREATE TABLE {TABLE} (id int PRIMARY KEY, a int, b text, c int) WITH (autovacuum_enabled = off)",
        f"INSERT INTO {TABLE} SELECT g, g, 'x' || g, g FROM generate_series(1, {rows}) g",
        *indexes,
        f"VACUUM ANALYZE {TABLE}",
    )


def definition(stage: Stage, name: str) -> list[tuple[Any, ...]]:
    """Return all that an index is."""
    return stage.db.execute(
        """SELECT pg_get_indexdef(c.oid), c.reltablespace, c.reloptions, i.indisvalid, i.indnatts, i.indkey::text,
                  i.indclass::text, i.indcollation::text, i.indoption::text, obj_description(c.oid, 'pg_class')
             FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid WHERE c.relname = %s""",
        [name],
    ).fetchall()


def paste(stage: Stage, lines: str) -> None:
    stage.sql(*(one for one in lines.split(";\n") if one.strip(" ;\n")))


def dropped(name: str) -> Callable[[Stage, Finding], None]:
    """Return what applies the fix, undoes it, compares the index with what it was, and applies the fix again."""

    def mend(stage: Stage, finding: Finding) -> None:
        before = definition(stage, name)
        assert len(before) == 1
        assert "CONCURRENTLY" in finding.fix
        paste(stage, finding.fix)
        assert definition(stage, name) == []
        paste(stage, finding.undo)
        assert definition(stage, name) == before
        paste(stage, finding.fix)

    return mend


# --- broken -------------------------------------------------------------------------------------------------------


def failed_index(stage: Stage) -> None:
    stage.sql(f"CREATE TABLE {TABLE} (a int)", f"INSERT INTO {TABLE} VALUES (1), (1)")
    with suppress(psycopg.errors.UniqueViolation):
        stage.sql(f'CREATE UNIQUE INDEX CONCURRENTLY "odd i" ON {TABLE} (a)')
    stage.sql(f"DELETE FROM {TABLE}")


def failed_reindex(stage: Stage) -> None:
    """Leave what a REINDEX CONCURRENTLY leaves that is cancelled while it waits."""
    made(stage, f'CREATE INDEX "odd i" ON {TABLE} (a)')
    stage.connect().execute(f"BEGIN; LOCK {TABLE} IN ROW EXCLUSIVE MODE".encode())
    session = stage.connect()
    session.execute("SET lock_timeout = '200ms'")
    with suppress(psycopg.errors.LockNotAvailable):
        session.execute('REINDEX INDEX CONCURRENTLY public."odd i"')
    stage.sql("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE state = 'idle in transaction'")


def half_partitioned(stage: Stage) -> None:
    stage.sql(
        f"CREATE TABLE {TABLE} (a int, b int) PARTITION BY LIST (a)",
        f'CREATE TABLE public."odd 1" PARTITION OF {TABLE} FOR VALUES IN (1)',
        f"CREATE TABLE public.odd_2 PARTITION OF {TABLE} FOR VALUES IN (2)",
        f'CREATE INDEX "odd i" ON ONLY {TABLE} (b DESC) WHERE b > 0',
    )


def building(stage: Stage) -> str:
    made(stage)
    stage.connect().execute(f"BEGIN; LOCK {TABLE} IN ROW EXCLUSIVE MODE".encode())
    busy(stage, stage.connect(), f'CREATE INDEX CONCURRENTLY "odd i" ON {TABLE} (a)')
    wait_for(lambda: stage.db.execute("SELECT FROM pg_index WHERE NOT indisvalid").fetchall())
    return 'public."odd i"'


def going(stage: Stage) -> str:
    made(stage, f'CREATE INDEX "odd i" ON {TABLE} (a)')
    stage.connect().execute(f"BEGIN; LOCK {TABLE} IN ROW EXCLUSIVE MODE".encode())
    busy(stage, stage.connect(), 'DROP INDEX CONCURRENTLY public."odd i"')
    wait_for(lambda: stage.db.execute("SELECT FROM pg_index WHERE NOT indisvalid").fetchall())
    return 'public."odd i"'


# --- superfluous --------------------------------------------------------------------------------------------------


def twins(how: str) -> Callable[[Stage], None]:
    """Return a seed of two indexes that are made alike: ``first``, then ``odd i``."""

    def seed(stage: Stage) -> None:
        made(stage, f"CREATE INDEX first ON {TABLE} {how}", f'CREATE INDEX "odd i" ON {TABLE} {how}')
        stage.sql("COMMENT ON INDEX public.\"odd i\" IS 'it''s mine; really'")

    return seed


def in_a_tablespace(stage: Stage) -> None:
    folder = f"{one(stage, 'SHOW data_directory')}/../spare_{stage.database}"
    stage.sql(f"COPY (SELECT 1) TO PROGRAM 'mkdir -p {folder}'", f"CREATE TABLESPACE \"odd s\" LOCATION '{folder}'")
    stage.later(lambda: stage.sql(f"DROP TABLE {TABLE}", 'DROP TABLESPACE "odd s"'))
    twins("(b) TABLESPACE \"odd s\" WHERE b <> ''")(stage)


def unique_twins(stage: Stage) -> None:
    made(stage, *(f'CREATE UNIQUE INDEX "{name}" ON {TABLE} (a) NULLS NOT DISTINCT' for name in ("first", "odd i")))


def twin_of_the_key(stage: Stage) -> None:
    made(stage, f'CREATE INDEX "odd i" ON {TABLE} (id)')


def twin_and_beginning(stage: Stage) -> str:
    """Make an index that equals one and begins another: it is told once."""
    made(
        stage,
        f"CREATE UNIQUE INDEX first ON {TABLE} (a)",
        f'CREATE INDEX "odd i" ON {TABLE} (a)',
        f"CREATE UNIQUE INDEX longer ON {TABLE} (a, b)",
    )
    return 'public."odd i"'


def older_than_the_key(stage: Stage) -> str:
    """Make a UNIQUE constraint before the primary key of the same column: the key must not be the one to go."""
    stage.sql(
        f"CREATE TABLE {TABLE} (id int CONSTRAINT first UNIQUE, a int)",
        f'ALTER TABLE {TABLE} ADD CONSTRAINT "the key" PRIMARY KEY (id)',
    )
    return "public.first"


def both_hold(stage: Stage) -> str:
    stage.sql(
        f"CREATE TABLE {TABLE} (id int CONSTRAINT first UNIQUE, a int)",
        f'ALTER TABLE {TABLE} ADD CONSTRAINT "the key" PRIMARY KEY (id)',
    )
    return 'public."the key"'


def pointed_to(stage: Stage) -> None:
    """Let a foreign key point to the UNIQUE constraint that the primary key equals: it cannot go."""
    stage.sql(
        f"CREATE TABLE {TABLE} (id int CONSTRAINT first UNIQUE, a int)",
        f"CREATE TABLE public.kid (id int PRIMARY KEY REFERENCES {TABLE} (id))",
        f'ALTER TABLE {TABLE} ADD CONSTRAINT "the key" PRIMARY KEY (id)',
    )


def not_quite_twins(stage: Stage) -> None:
    made(
        stage,
        f"CREATE INDEX ON {TABLE} (a) WHERE a > 1",
        f"CREATE INDEX ON {TABLE} (a) WHERE a > 2",
        f"CREATE INDEX ON {TABLE} (b)",
        f"CREATE INDEX ON {TABLE} (b text_pattern_ops)",
        f'CREATE INDEX ON {TABLE} (b COLLATE "C")',
        f"CREATE INDEX ON {TABLE} (b DESC)",
        f"CREATE INDEX ON {TABLE} USING hash (b)",
        f"CREATE INDEX ON {TABLE} (lower(b))",
        f"CREATE INDEX ON {TABLE} (upper(b))",
        f"CREATE INDEX ON {TABLE} USING brin (a)",
        f"CREATE INDEX ON {TABLE} USING brin (a) WITH (pages_per_range = 4)",
        f"CREATE INDEX ON {TABLE} USING gist (b gist_trgm_ops(siglen = 12))",
        f"CREATE INDEX ON {TABLE} USING gist (b gist_trgm_ops(siglen = 64))",
    )


def excluders(stage: Stage) -> None:
    """Make two exclusions of the same column by different operators: each is a rule of its own."""
    stage.sql(
        f"CREATE TABLE {TABLE} (id int PRIMARY KEY, during int4range)",
        f"ALTER TABLE {TABLE} ADD CONSTRAINT one EXCLUDE USING gist (during WITH &&)",
        f"ALTER TABLE {TABLE} ADD CONSTRAINT two EXCLUDE USING gist (during WITH -|-)",
    )


def short_and_long(stage: Stage) -> None:
    made(
        stage,
        f'CREATE INDEX "odd i" ON {TABLE} (a DESC) WITH (fillfactor = 70)',
        f"CREATE INDEX ON {TABLE} (a DESC, c)",
    )


def short_of_expressions(stage: Stage) -> None:
    made(
        stage,
        f"CREATE INDEX \"odd i\" ON {TABLE} (lower(b) COLLATE \"C\" text_pattern_ops) WHERE b <> 'it''s;'",
        f"CREATE INDEX ON {TABLE} (lower(b) COLLATE \"C\" text_pattern_ops, a) WHERE b <> 'it''s;'",
    )


def included(stage: Stage) -> None:
    made(stage, f'CREATE INDEX "odd i" ON {TABLE} (a)', f"CREATE INDEX ON {TABLE} (a) INCLUDE (b, c)")


def not_quite_beginnings(stage: Stage) -> None:
    made(
        stage,
        f"CREATE UNIQUE INDEX ON {TABLE} (a)",
        f"CREATE INDEX ON {TABLE} (a DESC)",
        f"CREATE INDEX ON {TABLE} (a) WHERE c > 5",
        f"CREATE INDEX ON {TABLE} USING hash (a)",
        f"CREATE INDEX ON {TABLE} (c) INCLUDE (b)",
        f"CREATE INDEX ON {TABLE} (c, a)",
        f"CREATE INDEX ON {TABLE} (a, c, b)",
    )


def clustered(stage: Stage) -> str:
    made(stage, f'CREATE INDEX "odd i" ON {TABLE} (a)', f"CREATE INDEX ON {TABLE} (a, c)")
    stage.sql(f'ALTER TABLE {TABLE} CLUSTER ON "odd i"')
    return 'public."odd i"'


def attached(stage: Stage) -> str:
    """Give a partition a longer index of its own: that of the whole table cannot go without its parent."""
    stage.sql(
        f"CREATE TABLE {TABLE} (a int, b int) PARTITION BY LIST (a)",
        f"CREATE TABLE public.odd_1 PARTITION OF {TABLE} FOR VALUES IN (1)",
        f"CREATE INDEX ON {TABLE} (b)",
        "CREATE INDEX ON public.odd_1 (b, a)",
    )
    return "public.odd_1_b_idx"


def old_counters(stage: Stage) -> None:
    """Let the counters seem a year old: what is judged is the age, and no server of a test has one."""
    kept = indexes.DAY
    stage.later(lambda: setattr(indexes, "DAY", kept))
    indexes.DAY = -1.0


def large(stage: Stage, *indexes: str) -> None:
    made(stage, *indexes, rows=60_000)
    stage.sql(FLUSH)


def unused(stage: Stage) -> None:
    old_counters(stage)
    large(stage, f'CREATE INDEX "odd i" ON {TABLE} USING btree (a, lower(b) DESC) INCLUDE (c) WHERE b IS NOT NULL')


def used(stage: Stage) -> str:
    old_counters(stage)
    large(stage, f'CREATE INDEX "odd i" ON {TABLE} (a)')
    stage.sql(
        "SET enable_seqscan = off", f"SELECT FROM {TABLE} WHERE a = 5", "SELECT pg_stat_force_next_flush()", "SELECT 1"
    )
    return 'public."odd i"'


def unused_but_needed(stage: Stage) -> None:
    """Leave indexes without a scan that hold or serve something."""
    old_counters(stage)
    large(
        stage,
        f"CREATE UNIQUE INDEX ON {TABLE} (b)",
        f"CREATE INDEX held ON {TABLE} (a)",
        f"ALTER TABLE {TABLE} CLUSTER ON held",
        f"ALTER TABLE {TABLE} ADD UNIQUE (c, a)",
        f"ALTER TABLE {TABLE} ADD EXCLUDE (b WITH =)",
        "CREATE TABLE public.target (id int PRIMARY KEY)",
        "INSERT INTO public.target SELECT generate_series(1, 60000)",
        f"ALTER TABLE {TABLE} ADD FOREIGN KEY (c) REFERENCES public.target",
        f"CREATE INDEX ON {TABLE} (c)",
    )


def used_elsewhere(stage: Stage) -> None:
    """Let a standby be connected that no environment declares: it may use the index."""
    unused(stage)
    Standby(stage)


def unused_heir(stage: Stage) -> None:
    """Let the planner use one of two that begin alike: who drops that as a duplicate needs the other."""
    old_counters(stage)
    large(stage, f"CREATE INDEX ON {TABLE} (a)", f"CREATE INDEX ON {TABLE} (a, c)", f"CREATE INDEX ON {TABLE} (a)")
    stage.sql("SET enable_seqscan = off", f"SELECT FROM {TABLE} WHERE a = 5", FLUSH, "SELECT 1")
    ((used,),) = stage.db.execute(
        "SELECT count(*) FROM pg_stat_user_indexes WHERE idx_scan > 0 AND relname = 'odd \"t'"
    )
    assert used == 1


def not_told(stage: Stage) -> None:
    """Leave an index unused for seconds: nobody can tell yet."""
    large(stage, f"CREATE INDEX ON {TABLE} (a)")


def of_nulls_elsewhere(stage: Stage) -> str:
    """Index nothing in a schema whose name needs quotes."""
    schema = '"Odd ""s. 5%é"'
    stage.sql(
        f"CREATE SCHEMA {schema}",
        f'CREATE TABLE {schema}.t (id int PRIMARY KEY, "a %" int)',
        f"INSERT INTO {schema}.t SELECT g FROM generate_series(1, 200000) g",
        f'CREATE INDEX "odd i" ON {schema}.t ("a %")',
        f"ANALYZE {schema}.t",
    )
    return f'{schema}."odd i"'


def of_nulls(stage: Stage) -> None:
    stage.sql(
        f"CREATE TABLE {TABLE} (id int PRIMARY KEY, a int) WITH (autovacuum_enabled = off)",
        f"INSERT INTO {TABLE} SELECT g, CASE WHEN g % 50 = 0 THEN g END FROM generate_series(1, 200000) g",
        f'CREATE INDEX "odd i" ON {TABLE} (a DESC) WITH (fillfactor = 60, deduplicate_items = off)',
        f"VACUUM ANALYZE {TABLE}",
    )


# --- missing ------------------------------------------------------------------------------------------------------

KEYS = ("health.limits.unindexed_foreign_keys.warn=1000",)


def references(stage: Stage, *indexes: str, rows: int = 2000) -> str:
    """Make a table with a key of two columns."""
    stage.sql(
        "CREATE TABLE public.target (x int, y int, PRIMARY KEY (x, y))",
        f'CREATE TABLE {TABLE} (id int PRIMARY KEY, "odd x" int, y int, at date,'
        '     CONSTRAINT "odd k" FOREIGN KEY ("odd x", y) REFERENCES public.target)',
        f"INSERT INTO {TABLE} SELECT generate_series(1, {rows})",
        *indexes,
        f"ANALYZE {TABLE}",
    )
    return TABLE


def partitioned_references(stage: Stage) -> str:
    stage.sql(
        "CREATE TABLE public.target (x int PRIMARY KEY)",
        f"CREATE TABLE {TABLE} (a int, x int REFERENCES public.target) PARTITION BY LIST (a)",
        f"CREATE TABLE public.odd_1 PARTITION OF {TABLE} FOR VALUES IN (1)",
        f"INSERT INTO {TABLE} SELECT 1 FROM generate_series(1, 2000)",
        "ANALYZE public.odd_1",
    )
    return TABLE


def served_in_another_order(stage: Stage) -> str:
    return references(stage, f'CREATE INDEX ON {TABLE} (y, "odd x", at)')


def served_where_not_null(stage: Stage) -> str:
    stage.sql(
        "CREATE TABLE public.target (x int PRIMARY KEY)",
        f"CREATE TABLE {TABLE} (id int PRIMARY KEY, x int REFERENCES public.target)",
        f"INSERT INTO {TABLE} SELECT generate_series(1, 2000)",
        f"CREATE INDEX ON {TABLE} (x) WHERE x IS NOT NULL",
        f"ANALYZE {TABLE}",
    )
    return TABLE


def half_served(stage: Stage) -> str:
    """Give the key an index that leaves some of its rows out, and one that only begins with half of it."""
    return references(
        stage, f'CREATE INDEX ON {TABLE} ("odd x", at)', f'CREATE INDEX ON {TABLE} ("odd x", y) WHERE y > 3'
    )


def small_key(stage: Stage) -> str:
    stage.sql("CREATE TABLE public.few (id int PRIMARY KEY)", "CREATE TABLE public.kid (few int REFERENCES public.few)")
    return "public.kid"


def read_from_end_to_end(stage: Stage) -> None:
    made(stage, rows=20_000)
    for _ in range(60):
        stage.sql(f"SELECT FROM {TABLE} WHERE a = 5")
    stage.sql(FLUSH, "SELECT 1")


def add_index(stage: Stage, finding: Finding) -> None:
    """Take the advice, and let the work go on: the share of scans falls below the limit."""
    (line,) = (one for one in finding.fix.splitlines() if "CREATE INDEX" in one)
    stage.sql(line.removeprefix("-- ").replace("(column)", "(a)"), f"ANALYZE {TABLE}")
    stage.sql("SET enable_seqscan = off")
    for _ in range(90):
        stage.sql(f"SELECT FROM {TABLE} WHERE a = 5")
    stage.sql(FLUSH, "SELECT 1")


def read_by_index(stage: Stage) -> str:
    made(stage, rows=20_000)
    for _ in range(60):
        stage.sql(f"SELECT FROM {TABLE} WHERE a = 5")
    stage.sql("SET enable_seqscan = off")
    for _ in range(80):
        stage.sql(f"SELECT FROM {TABLE} WHERE id = 5")
    stage.sql(FLUSH, "SELECT 1")
    return TABLE


ODD = 'public."odd i"'
FAULTS = [
    Fault("an index that failed to build", "invalid_indexes", failed_index, ODD),
    Fault("what a failed REINDEX has left", "invalid_indexes", failed_reindex, 'public."odd i_ccnew"'),
    Fault("an index that partitions lack", "invalid_indexes", half_partitioned, ODD),
    Fault(
        "two indexes of an expression, a collation and a condition",
        "duplicate_indexes",
        twins("""(lower(b) COLLATE "C" text_pattern_ops DESC NULLS LAST, a) INCLUDE (c)
                 WITH (fillfactor = 70, deduplicate_items = off) WHERE b <> 'it''s; ON ONLY' AND a IS NOT NULL"""),
        ODD,
        mend=dropped("odd i"),
    ),
    Fault(
        "two indexes of operator classes with options",
        "duplicate_indexes",
        twins("USING gist (b gist_trgm_ops(siglen = 32)) WITH (buffering = off)"),
        ODD,
        mend=dropped("odd i"),
    ),
    Fault("two indexes in a tablespace", "duplicate_indexes", in_a_tablespace, ODD, mend=dropped("odd i")),
    Fault(
        "two unique indexes for which NULL is a value",
        "duplicate_indexes",
        unique_twins,
        ODD,
        mend=dropped("odd i"),
        least=15,
    ),
    Fault("an index that the primary key equals", "duplicate_indexes", twin_of_the_key, ODD, mend=dropped("odd i")),
    Fault("a constraint that the primary key equals", "duplicate_indexes", older_than_the_key),
    Fault("the beginning of another index", "prefix_indexes", short_and_long, ODD, mend=dropped("odd i")),
    Fault("the beginning of one of expressions", "prefix_indexes", short_of_expressions, ODD, mend=dropped("odd i")),
    Fault("an index that another one includes", "prefix_indexes", included, ODD, mend=dropped("odd i")),
    Fault("an index that nothing uses", "unused_indexes", unused, ODD, mend=dropped("odd i")),
    Fault("an index of NULL", "null_indexes", of_nulls, ODD),
    Fault("an index of NULL in another schema", "null_indexes", of_nulls_elsewhere),
    Fault("a key without an index", "unindexed_foreign_keys", references, sets=KEYS),
    Fault("a key with half an index", "unindexed_foreign_keys", half_served, sets=KEYS),
    Fault("a key of a partitioned table", "unindexed_foreign_keys", partitioned_references, sets=KEYS),
    Fault("a table that is read from end to end", "missing_indexes", read_from_end_to_end, TABLE, mend=add_index),
]
LOOKALIKES = [
    Lookalike("an index that is being built", "invalid_indexes", building),
    Lookalike("an index that is being dropped", "invalid_indexes", going),
    Lookalike("indexes that differ in one thing", "duplicate_indexes", not_quite_twins),
    Lookalike("exclusions by different operators", "duplicate_indexes", excluders),
    Lookalike("the primary key is not the one to go", "duplicate_indexes", both_hold),
    Lookalike("a constraint that a foreign key points to", "duplicate_indexes", pointed_to),
    Lookalike("beginnings that differ in one thing", "prefix_indexes", not_quite_beginnings),
    Lookalike("the beginning of another, by which the table is clustered", "prefix_indexes", clustered),
    Lookalike("the beginning of another that is told as a twin", "prefix_indexes", twin_and_beginning),
    Lookalike("a partition's part of an index", "prefix_indexes", attached),
    Lookalike("an index that is used", "unused_indexes", used),
    Lookalike("unused indexes that hold or serve something", "unused_indexes", unused_but_needed),
    Lookalike("an unused index, and a standby that nobody can ask", "unused_indexes", used_elsewhere),
    Lookalike("an unused index that is to replace a used one", "unused_indexes", unused_heir),
    Lookalike("an index that is unused for seconds", "unused_indexes", not_told),
    Lookalike("a small table without an index on its key", "unindexed_foreign_keys", small_key),
    Lookalike("a key with an index in another order", "unindexed_foreign_keys", served_in_another_order, KEYS),
    Lookalike("a key with an index of what is not NULL", "unindexed_foreign_keys", served_where_not_null, KEYS),
    Lookalike("a table that is read by index, too", "missing_indexes", read_by_index),
]
