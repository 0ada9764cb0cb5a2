"""What the planner knows of the tables."""

from __future__ import annotations

from typing import Any

from ...view import Grade, span
from ..registry import Finding, Limits, check_of, most
from .vacuum import TABLES

LEAST, FEW = 10_000, 1_000
"""Rows: that must have changed; of which a plan goes wrong, however old their statistics are."""
ANALYZED = "greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid))"
# The parents of partitions, and what their leaves hold: only somebody's ANALYZE of the parent sees them together.
PARENTS = """tree(root, oid) AS (
           SELECT oid, oid FROM pg_class WHERE relkind = 'p' AND relpersistence <> 't'
            UNION ALL
           SELECT t.root, i.inhrelid FROM tree t JOIN pg_inherits i ON i.inhparent = t.oid),
       parents AS (
           SELECT p.oid, p.reltuples, sum(greatest(c.reltuples, 0))::bigint AS rows
             FROM tree t JOIN pg_class p ON p.oid = t.root JOIN pg_class c ON c.oid = t.oid AND c.relkind <> 'p'
            GROUP BY p.oid, p.reltuples)"""


# Counters that were reset, or came with another server's data, know of no ANALYZE: the statistics themselves count, or
# where this role may not see those, whether autovacuum has nothing to do there.
@check_of(
    f"""WITH RECURSIVE {PARENTS}
       SELECT s.oid::regclass::text AS name, s.rows, s.parent AS partitioned
         FROM (SELECT c.oid, greatest(pg_stat_get_live_tuples(c.oid), c.reltuples)::bigint AS rows, false AS parent
                 FROM pg_class c
                WHERE {TABLES} AND greatest(pg_stat_get_live_tuples(c.oid), c.reltuples) >= {LEAST}
                  AND {ANALYZED} IS NULL
                  AND CASE WHEN has_table_privilege(c.oid, 'SELECT') AND NOT row_security_active(c.oid)
                           THEN NOT EXISTS (SELECT FROM pg_stats s JOIN pg_namespace n ON n.nspname = s.schemaname
                                             WHERE n.oid = c.relnamespace AND s.tablename = c.relname)
                           ELSE pg_stat_get_mod_since_analyze(c.oid) > 0.1 * c.reltuples END
                UNION ALL
               SELECT oid, rows, true FROM parents WHERE reltuples < 0 AND rows >= {LEAST}) s
        ORDER BY s.rows DESC""",  # noqa: S608  (constants)
    scope="database",
    warn=LEAST,
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
    f"""WITH RECURSIVE {PARENTS}
       SELECT c.oid::regclass::text AS name, s.changed, s.changed / greatest(s.rows, 1) AS share,
              extract(epoch FROM now() - {ANALYZED})::float AS age,
              c.relkind <> 'p' AND current_setting('autovacuum')::bool
                  AND {ANALYZED} > now() - 2 * current_setting('autovacuum_naptime')::interval
                  AND NOT EXISTS (SELECT FROM pg_options_to_table(c.reloptions)
                                   WHERE NOT CASE option_name WHEN 'autovacuum_enabled' THEN option_value::bool
                                                              ELSE true END) AS soon
         FROM (SELECT c.oid, pg_stat_get_mod_since_analyze(c.oid) AS changed,
                      pg_stat_get_live_tuples(c.oid)::float AS rows
                 FROM pg_class c
                WHERE {TABLES} AND pg_stat_get_mod_since_analyze(c.oid) >= {LEAST} AND {ANALYZED} IS NOT NULL
                  AND pg_stat_get_live_tuples(c.oid) >= {FEW}
                UNION ALL
               SELECT oid, abs(rows - reltuples)::bigint, greatest(rows, reltuples)
                 FROM parents WHERE reltuples >= 0 AND abs(rows - reltuples) >= {LEAST}) s
         JOIN pg_class c ON c.oid = s.oid
        ORDER BY share DESC""",  # noqa: S608  (constants)
    scope="database",
    warn=0.5,
)
def stale_statistics(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Tables that have changed a lot since their statistics were taken (limit as a share of the rows).

    The planner works with numbers of a table that is no more. Autovacuum takes them anew at a tenth of the rows, but
    never those of a partitioned table as a whole; what was analyzed a moment ago is left to it.
    A small table does not count.
    """
    found = []
    for row in rows:
        if row.soon:
            continue
        when = "once" if row.age is None else f"{span(row.age)} ago"
        text = f"{row.name} was analyzed {when}; {row.changed:,} rows ({row.share:.0%}) have changed since"
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
