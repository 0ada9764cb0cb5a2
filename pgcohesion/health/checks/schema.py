"""Indexes, sequences and tables of a database."""

from __future__ import annotations

from typing import Any

from ...view import Grade, size
from ..registry import Finding, Limits, check_of

MIB = 1024**2


@check_of(
    """SELECT i.indexrelid::regclass::text AS name
         FROM pg_index i
        WHERE NOT i.indisvalid
          AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid)
        ORDER BY 1""",
    scope="database",
)
def invalid_indexes(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Indexes that a failed CREATE INDEX CONCURRENTLY left: they cost writes and serve no query."""
    return [
        Finding(Grade.WARN, f"index {row.name} is not valid", f"REINDEX INDEX CONCURRENTLY {row.name};", row.name)
        for row in rows
    ] or Finding(Grade.OK, "all indexes are valid")


@check_of(
    """SELECT c.conrelid::regclass::text AS name, c.conname AS "constraint",
              pg_table_size(c.conrelid)::float AS bytes,
              (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.position)
                 FROM unnest(c.conkey) WITH ORDINALITY AS k (attnum, position)
                 JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum) AS columns
         FROM pg_constraint c
        WHERE c.contype = 'f' AND c.conparentid = 0
          AND NOT EXISTS (
              SELECT FROM pg_index i
               WHERE i.indrelid = c.conrelid AND i.indisvalid AND i.indpred IS NULL
                 AND (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey)
        ORDER BY 3 DESC""",
    scope="database",
    warn=10 * MIB,
)
def unindexed_foreign_keys(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Foreign keys without an index: deleting what they point to reads the whole table (limits in bytes)."""
    found = [
        limits.finding(
            row.bytes,
            f"{row.name} ({size(row.bytes)}) has no index on {row.columns}, the key {row.constraint}",
            fix=f"CREATE INDEX CONCURRENTLY ON {row.name} ({row.columns});",
            object=row.name,
        )
        for row in rows
        if limits.grade(row.bytes) is not Grade.OK
    ]
    return found or Finding(Grade.OK, "all foreign keys of large tables have an index")


@check_of(
    """SELECT format('%I.%I', s.schemaname, s.sequencename) AS name, d.refobjid::regclass::text AS owner,
              quote_ident(a.attname) AS "column", s.last_value::float / least(s.max_value, CASE a.atttypid
                  WHEN 'int2'::regtype THEN 32767 WHEN 'int4'::regtype THEN 2147483647
                  ELSE 9223372036854775807 END) AS used
         FROM pg_sequences s
         JOIN pg_depend d ON d.objid = format('%I.%I', s.schemaname, s.sequencename)::regclass
              AND d.classid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
         JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
        WHERE s.last_value IS NOT NULL AND s.increment_by > 0 AND NOT s.cycle
        ORDER BY used DESC LIMIT 10""",
    scope="database",
    warn=0.75,
    fail=0.95,
)
def sequences(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Sequences near the end of their column's type: then inserts fail (limits as a share)."""
    found = [
        limits.finding(
            row.used,
            f"{row.owner}.{row.column} has used {row.used:.0%} of its numbers",
            fix=f"ALTER TABLE {row.owner} ALTER COLUMN {row.column} TYPE bigint;  -- rewrites the table: plan for it",
            object=row.name,
        )
        for row in rows
        if limits.grade(row.used) is not Grade.OK
    ]
    return found or limits.finding(rows[0].used if rows else 0.0, "no sequence is near its end")
