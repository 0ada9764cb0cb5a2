"""Faults of space that is lost; what pgstattuple measures: tests/pg/test_health_extensions.py."""

from __future__ import annotations

from pgcohesion.view import Grade

from .stage import Fault, Lookalike, Stage
from .vacuum import FLUSH, OFF, TABLE, filled

NOISE = "(SELECT string_agg(md5(n::text || m || random()), '') FROM generate_series(1, {}) m WHERE n + m > 0)"
"""Text that does not compress, 32 characters a piece."""


def empty_pages(stage: Stage) -> None:
    filled(stage, 150_000)
    stage.sql(f"DELETE FROM {TABLE} WHERE a % 10 > 0", FLUSH, f"VACUUM ANALYZE {TABLE}", FLUSH)


def empty_pages_elsewhere(stage: Stage) -> str:
    """Empty a table of a schema whose name needs quotes."""
    table = '"Odd ""s. 5%é"."t t"'
    stage.sql(
        'CREATE SCHEMA "Odd ""s. 5%é"',
        f"CREATE TABLE {table} (id int PRIMARY KEY, b text) {OFF}",
        f"INSERT INTO {table} SELECT n, repeat('x', 200) FROM generate_series(1, 100000) n",
        f"DELETE FROM {table} WHERE id % 10 > 0",
        f"VACUUM ANALYZE {table}",
    )
    return table


def empty_toast(stage: Stage) -> None:
    stage.sql(
        f"CREATE TABLE {TABLE} (a int, b text) {OFF[:-1]}, toast.autovacuum_enabled = off)",
        f"ALTER TABLE {TABLE} ALTER b SET STORAGE EXTERNAL",
        f"INSERT INTO {TABLE} SELECT n, repeat('x', 4000) FROM generate_series(1, 6000) n",
        f"DELETE FROM {TABLE} WHERE a % 10 > 0",
        f"VACUUM ANALYZE {TABLE}",
    )


def empty_index(stage: Stage) -> None:
    filled(stage, 600_000, f"{OFF[:-1]}, fillfactor = 100)")
    stage.sql(
        f'CREATE INDEX "odd i" ON {TABLE} (a)', f"DELETE FROM {TABLE} WHERE a % 20 > 0", f"VACUUM ANALYZE {TABLE}"
    )


def empty_catalogue(stage: Stage) -> None:
    """Make and drop wide tables; a last one keeps vacuum from giving the pages back."""
    columns = ", ".join(f"c{n} int" for n in range(250))
    stage.sql(
        f"""DO $$ BEGIN
            FOR n IN 1..250 LOOP EXECUTE 'CREATE TABLE public.wide ({columns})'; DROP TABLE public.wide; END LOOP;
            CREATE TABLE public.last ({columns}); END $$""",
        "VACUUM ANALYZE pg_attribute",
    )


def gaps(stage: Stage) -> None:
    """Fill a table that only looks bloated to who forgets nulls, alignment and fillfactor."""
    stage.sql(
        f"CREATE TABLE {TABLE} (a bool, b int8, c bool, d text, e int8, f text)"
        " WITH (fillfactor = 60, autovacuum_enabled = off)",
        f"INSERT INTO {TABLE} SELECT true, n, NULL, repeat('x', n % 40), NULL, NULL FROM generate_series(1, 200000) n",
        f"VACUUM ANALYZE {TABLE}",
    )


def nothing_but_gaps(stage: Stage) -> None:
    columns = ", ".join(f"a{n} bool DEFAULT true, b{n} int8 DEFAULT 1" for n in range(20))
    stage.sql(
        f"CREATE TABLE {TABLE} ({columns}) WITH (autovacuum_enabled = off, fillfactor = 80)",
        f"INSERT INTO {TABLE} SELECT FROM generate_series(1, 60000)",
        f"VACUUM ANALYZE {TABLE}",
    )


def toasted(stage: Stage) -> None:
    """Fill a table whose values lie elsewhere, some of them in small chunks."""
    stage.sql(
        f"CREATE TABLE {TABLE} (a int, b text, c text) {OFF}",
        f"ALTER TABLE {TABLE} ALTER c SET STORAGE EXTERNAL",
        f"INSERT INTO {TABLE} SELECT n, {NOISE.format(100)}, repeat('x', 2100) FROM generate_series(1, 8000) n",
        f"VACUUM ANALYZE {TABLE}",
    )


def wide_keys(stage: Stage) -> None:
    """Fill an index with long texts that the table keeps elsewhere: there they take 18 bytes."""
    stage.sql(
        f"CREATE TABLE {TABLE} (a int, b text) {OFF[:-1]}, toast_tuple_target = 128)",
        f"INSERT INTO {TABLE} SELECT n, {NOISE.format(40)} FROM generate_series(1, 12000) n",
        f'CREATE INDEX "odd i" ON {TABLE} (b)',
        f"VACUUM ANALYZE {TABLE}",
    )


def equal_keys(stage: Stage) -> None:
    """Fill an index with many equal keys, which takes far less than one entry a row."""
    filled(stage, 400_000)
    stage.sql(f'CREATE INDEX "odd i" ON {TABLE} ((a % 3), b)', f"VACUUM ANALYZE {TABLE}")


def random_keys(stage: Stage) -> None:
    """Fill an index in no order, which leaves its pages as full as they ever are: two thirds."""
    filled(stage, 0)
    stage.sql(
        f"CREATE INDEX ON {TABLE} (md5(a::text))",
        f"INSERT INTO {TABLE} SELECT n FROM generate_series(1, 200000) n",
        f"VACUUM ANALYZE {TABLE}",
    )


def mostly_null(stage: Stage) -> None:
    stage.sql(
        f"CREATE TABLE {TABLE} (a int, b int) {OFF}",
        f"INSERT INTO {TABLE} SELECT n, nullif(n % 10, n % 10 + n % 7) FROM generate_series(1, 800000) n",
        f'CREATE INDEX "odd i" ON {TABLE} (b, a)',
        f"VACUUM ANALYZE {TABLE}",
    )


FAULTS = [
    Fault("a table of empty pages", "table_bloat", empty_pages, TABLE),
    Fault("a table of empty pages in another schema", "table_bloat", empty_pages_elsewhere),
    Fault("a TOAST table of empty pages", "table_bloat", empty_toast, TABLE),
    Fault("an index of empty pages", "index_bloat", empty_index, '"odd i"', grade=Grade.FAIL),
    Fault(
        "a catalogue of empty pages",
        "catalog_bloat",
        empty_catalogue,
        "pg_attribute",
        sets=("health.limits.catalog_bloat.warn=4000000",),
    ),
]
LOOKALIKES = [
    Lookalike("nulls, alignment and a fillfactor", "table_bloat", gaps),
    Lookalike("a table with a gap behind every column", "table_bloat", nothing_but_gaps),
    Lookalike("values that lie in a TOAST table", "table_bloat", toasted),
    Lookalike("an index of values that lie in a TOAST table", "index_bloat", wide_keys),
    Lookalike("an index of equal keys", "index_bloat", equal_keys),
    Lookalike("an index that was filled in no order", "index_bloat", random_keys),
    Lookalike("an index of nulls", "index_bloat", mostly_null),
    Lookalike("a table that was just vacuumed", "index_bloat", empty_pages),
]
