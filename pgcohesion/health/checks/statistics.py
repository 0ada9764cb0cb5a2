"""What the planner knows of the tables."""

from __future__ import annotations

from typing import Any

from ...view import Grade, span
from ..registry import Finding, Limits, check_of, most


@check_of(
    """SELECT c.oid::regclass::text AS name, s.rows, c.relkind = 'p' AS partitioned
         FROM pg_class c
         JOIN (SELECT relid, n_live_tup AS rows FROM pg_stat_user_tables
                WHERE last_analyze IS NULL AND last_autoanalyze IS NULL AND n_live_tup >= 10000
                UNION ALL
               SELECT p.oid, sum(greatest(k.reltuples, 0))::bigint FROM pg_class p
                 JOIN pg_inherits i ON i.inhparent = p.oid JOIN pg_class k ON k.oid = i.inhrelid
                WHERE p.relkind = 'p' AND p.reltuples < 0 GROUP BY p.oid) s ON s.relid = c.oid
        WHERE c.relpersistence <> 't' ORDER BY s.rows DESC""",
    scope="database",
    warn=10_000,
)
def never_analyzed(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Large tables without statistics (limit in rows).

    The planner guesses how many rows a condition leaves, and joins in the wrong order. Autovacuum never analyzes a
    partitioned table as a whole, only its partitions.
    """
    found = []
    for row in rows:
        kind = "partitioned table " if row.partitioned else ""
        text = f"{kind}{row.name} ({row.rows:,} rows) was never analyzed"
        found.append(limits.finding(row.rows, text, fix=f"ANALYZE {row.name};", object=row.name))
    bad = [one for one in found if one.grade is not Grade.OK]
    return most(bad) or Finding(Grade.OK, "all large tables have statistics")


@check_of(
    """SELECT relid::regclass::text AS name, n_mod_since_analyze AS changed,
              n_mod_since_analyze::float / greatest(n_live_tup, 1) AS share,
              extract(epoch FROM now() - greatest(last_analyze, last_autoanalyze))::float AS age
         FROM pg_stat_user_tables
        WHERE n_mod_since_analyze >= 10000 AND greatest(last_analyze, last_autoanalyze) IS NOT NULL
        ORDER BY share DESC""",
    scope="database",
    warn=0.5,
)
def stale_statistics(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Tables that have changed a lot since their statistics were taken (limit as a share of the rows).

    The planner works with numbers of a table that is no more. Autovacuum takes them anew at a tenth of the rows.
    """
    found = []
    for row in rows:
        text = f"{row.name} was analyzed {span(row.age)} ago; {row.changed:,} rows ({row.share:.0%}) have changed since"
        found.append(limits.finding(row.share, text, fix=f"ANALYZE {row.name};", object=row.name))
    return most([one for one in found if one.grade is not Grade.OK]) or Finding(Grade.OK, "statistics are fresh")


@check_of(
    """SELECT datname AS name, extract(epoch FROM now() - stats_reset)::float AS age
         FROM pg_stat_database WHERE datname IS NOT NULL AND stats_reset > now() - interval '1 day' ORDER BY age""",
    cost="quick",
)
def counters_reset(rows: list[Any], limits: Limits) -> Finding:
    """Counters that are younger than a day: what is unused or rare cannot be told from them yet."""
    if not rows:
        return Finding(Grade.OK, "the counters are older than a day")
    names = ", ".join(f"{row.name} {span(row.age)} ago" for row in rows[:5])
    return Finding(Grade.INFO, f"counters were reset: {names}", object=rows[0].name, value=rows[0].age)
