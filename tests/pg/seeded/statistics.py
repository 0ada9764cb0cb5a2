"""Faults of what the planner knows."""

from __future__ import annotations

from .stage import Fault, Lookalike, Stage
from .vacuum import FLUSH, OFF, TABLE, filled


def unknown(stage: Stage) -> None:
    stage.sql(f"CREATE TABLE {TABLE} {OFF} AS SELECT generate_series(1, 20000) AS a", FLUSH)


def parent(stage: Stage) -> None:
    """Make a table of partitions two levels deep, whose leaf is analyzed."""
    stage.sql(
        f"CREATE TABLE {TABLE} (a int) PARTITION BY RANGE (a)",
        f"CREATE TABLE public.part PARTITION OF {TABLE} FOR VALUES FROM (0) TO (100000) PARTITION BY RANGE (a)",
        f"CREATE TABLE public.leaf PARTITION OF public.part FOR VALUES FROM (0) TO (100000) {OFF}",
        f"INSERT INTO {TABLE} SELECT generate_series(1, 20000)",
        FLUSH,
        "ANALYZE public.leaf",
        FLUSH,
    )


def grown_parent(stage: Stage) -> None:
    parent(stage)
    stage.sql(
        f"ANALYZE {TABLE}",
        "ANALYZE public.part",
        f"INSERT INTO {TABLE} SELECT n % 90000 FROM generate_series(1, 80000) n",
        FLUSH,
        "ANALYZE public.leaf",
        FLUSH,
    )


def changed(stage: Stage) -> None:
    filled(stage)
    stage.sql(f"UPDATE {TABLE} SET a = 0", FLUSH)


def forgotten(stage: Stage) -> None:
    """Reset the counters of a table that has statistics, and change so little that nobody needs new ones."""
    filled(stage, 200_000)
    stage.sql("SELECT pg_stat_reset()", f"INSERT INTO {TABLE} SELECT generate_series(1, 15000)", FLUSH)


def small(stage: Stage) -> None:
    stage.sql(f"CREATE TABLE {TABLE} {OFF} AS SELECT generate_series(1, 9000) AS a", FLUSH)


def grown(stage: Stage) -> None:
    filled(stage, 100_000)
    stage.sql(f"INSERT INTO {TABLE} SELECT generate_series(1, 15000)", FLUSH)


def just_loaded(stage: Stage) -> None:
    """Load and analyze within a second: the server counts the rows after the ANALYZE, until autovacuum comes."""
    stage.sql(
        f"CREATE TABLE {TABLE} (a int)",
        FLUSH,
        f"INSERT INTO {TABLE} SELECT generate_series(1, 50000)",
        f"ANALYZE {TABLE}",
        FLUSH,
    )


def known_parent(stage: Stage) -> None:
    parent(stage)
    stage.sql(f"ANALYZE {TABLE}", "ANALYZE public.part", FLUSH)


FAULTS = [
    Fault("no statistics", "never_analyzed", unknown, TABLE),
    Fault("no statistics of a partitioned table", "never_analyzed", parent, TABLE),
    Fault("old statistics", "stale_statistics", changed, TABLE),
    Fault("old statistics of a partitioned table", "stale_statistics", grown_parent, TABLE),
]


def small_and_busy(stage: Stage) -> str:
    stage.sql("CREATE TABLE public.small WITH (autovacuum_enabled = off) AS SELECT 1 AS a", "ANALYZE public.small")
    stage.sql("DO $$ BEGIN FOR n IN 1..11000 LOOP UPDATE public.small SET a = n; END LOOP; END $$", FLUSH)
    return "public.small"


LOOKALIKES = [
    Lookalike("a small table that is written all the time", "stale_statistics", small_and_busy),
    Lookalike("statistics of which the counters know nothing", "never_analyzed", forgotten),
    Lookalike("a small table without statistics", "never_analyzed", small),
    Lookalike("a partitioned table with statistics", "never_analyzed", known_parent),
    Lookalike("statistics that were taken a moment ago", "stale_statistics", just_loaded),
    Lookalike("statistics of a table that has grown a little", "stale_statistics", grown),
]
