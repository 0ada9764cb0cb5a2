"""Indexes: broken, missing, superfluous. What is dropped can be brought back by its undo."""

from __future__ import annotations

from typing import Any

from ...view import Grade, count, size, span
from ..registry import YOUNG, Finding, Limits, check_of, most

DAY, MIB = 86400.0, 1024.0**2
THEIRS = "(SELECT oid FROM pg_namespace WHERE nspname LIKE 'pg\\_%' OR nspname = 'information_schema')"
"""Schemas that are not the application's."""
# pg_get_indexdef() would wait for who holds ACCESS EXCLUSIVE.
DEFINITION = """CASE WHEN NOT EXISTS (
    SELECT FROM pg_locks k WHERE k.locktype = 'relation' AND k.mode = 'AccessExclusiveLock'
       AND k.relation IN (i.indrelid, i.indexrelid)) THEN pg_get_indexdef(i.indexrelid) END"""
# A node of a stored expression says where it stood in the statement, which is no difference.
SHAPE = """i.indrelid, c.relam, i.indkey::text, i.indclass::text, i.indcollation::text, i.indoption::text,
    i.indnkeyatts, i.indisunique, coalesce(to_jsonb(i) ->> 'indnullsnotdistinct', 'false'), c.relkind,
    regexp_replace(i.indexprs::text, ':location -?\\d+', '', 'g'),
    regexp_replace(i.indpred::text, ':location -?\\d+', '', 'g')"""
KEPT = """(i.indisprimary OR i.indisexclusion OR i.indisreplident OR i.indisclustered
    OR EXISTS (SELECT FROM pg_constraint o WHERE o.conindid = i.indexrelid))"""
DROP = "SET lock_timeout = '2s';\nDROP INDEX CONCURRENTLY {name};"


@check_of(
    """SELECT i.indexrelid::regclass::text AS name, i.indrelid::regclass::text AS "table", c.relname AS short,
              c.relkind = 'I' AS parent
         FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        WHERE NOT i.indisvalid AND c.relpersistence <> 't'
          AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid
                             OR p.relid = i.indrelid AND p.index_relid IN (0, NULL))
        ORDER BY 1""",
    scope="database",
)
def invalid_indexes(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Indexes that a failed CREATE INDEX CONCURRENTLY left: they cost writes and serve no query."""
    found = []
    for row in rows:
        text, fix = f"index {row.name} of {row.table} is not valid", f"REINDEX INDEX CONCURRENTLY {row.name};"
        if row.parent:
            fix = f"-- attach an index of each partition: ALTER INDEX {row.name} ATTACH PARTITION ...;"
        elif row.short.rstrip("0123456789").endswith(("_ccnew", "_ccold")):
            fix = DROP.format(name=row.name)
            text += ": what a REINDEX CONCURRENTLY that failed has left"
        found.append(Finding(Grade.WARN, text, fix, row.name))
    return most(found) or Finding(Grade.OK, "all indexes are valid")


@check_of(
    f"""WITH all_of AS (
            SELECT i.indexrelid, i.indrelid, c.relpages, {KEPT} AS kept, {DEFINITION} AS definition,
                   row_number() OVER (PARTITION BY {SHAPE} ORDER BY {KEPT} DESC, i.indisvalid DESC, i.indexrelid) AS n,
                   first_value(i.indexrelid) OVER (PARTITION BY {SHAPE}
                       ORDER BY {KEPT} DESC, i.indisvalid DESC, i.indexrelid) AS first
              FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
             WHERE c.relnamespace NOT IN {THEIRS} AND c.relpersistence <> 't' AND NOT c.relispartition
               AND i.indrelid IN (SELECT indrelid FROM pg_index GROUP BY indrelid, indkey::text HAVING count(*) > 1))
       SELECT indexrelid::regclass::text AS name, first::regclass::text AS first, kept, definition,
              indrelid::regclass::text AS "table", relpages * current_setting('block_size')::float AS bytes,
              (SELECT quote_ident(conname) FROM pg_constraint WHERE conindid = indexrelid AND conrelid = indrelid
                LIMIT 1) AS "constraint",
              (SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conindid = indexrelid AND conrelid = indrelid
                LIMIT 1) AS condef
         FROM all_of WHERE n > 1 ORDER BY relpages DESC""",  # noqa: S608  (constants)
    scope="database",
)
def duplicate_indexes(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Indexes that another one equals in everything: columns, order, operator classes, condition.

    Each write pays for both, and no query gains from the second.
    """
    found = []
    for row in rows:
        fix, undo = DROP.format(name=row.name), f"{row.definition};" if row.definition else ""
        if row.constraint:
            fix = f"SET lock_timeout = '2s';\nALTER TABLE {row.table} DROP CONSTRAINT {row.constraint};"
            undo = f"ALTER TABLE {row.table} ADD CONSTRAINT {row.constraint} {row.condef};"
        text = f"index {row.name} ({size(row.bytes)}) is the same as {row.first}"
        found.append(Finding(Grade.WARN, text, fix, row.name, row.bytes, undo=undo))
    return most(found) or Finding(Grade.OK, "no two indexes are the same")


@check_of(
    f"""WITH all_of AS (
            SELECT i.*, c.relam, c.relpages, {KEPT} AS kept,
                   regexp_replace(i.indpred::text, ':location -?\\d+', '', 'g') AS condition
              FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
             WHERE c.relnamespace NOT IN {THEIRS} AND c.relkind = 'i' AND c.relpersistence <> 't'
               AND NOT c.relispartition AND i.indexprs IS NULL
               AND c.relam = (SELECT oid FROM pg_am WHERE amname = 'btree'))
       SELECT DISTINCT ON (i.relpages, i.indexrelid) i.indexrelid::regclass::text AS name,
              l.indexrelid::regclass::text AS longer, {DEFINITION} AS definition,
              i.relpages * current_setting('block_size')::float AS bytes
         FROM all_of i
         JOIN all_of l ON l.indrelid = i.indrelid AND l.indexrelid <> i.indexrelid AND l.indnkeyatts > i.indnkeyatts
              AND l.indisvalid AND l.condition IS NOT DISTINCT FROM i.condition
              AND (l.indkey::int2[])[0:i.indnkeyatts - 1] = (i.indkey::int2[])[0:i.indnkeyatts - 1]
              AND (l.indclass::oid[])[0:i.indnkeyatts - 1] = (i.indclass::oid[])[0:i.indnkeyatts - 1]
              AND (l.indcollation::oid[])[0:i.indnkeyatts - 1] = (i.indcollation::oid[])[0:i.indnkeyatts - 1]
              AND (l.indoption::int2[])[0:i.indnkeyatts - 1] = (i.indoption::int2[])[0:i.indnkeyatts - 1]
              AND l.indkey::int2[] @> i.indkey::int2[]
        WHERE NOT i.kept AND NOT i.indisunique AND i.indisvalid
        ORDER BY i.relpages DESC, i.indexrelid, l.indnkeyatts""",  # noqa: S608  (constants)
    scope="database",
)
def prefix_indexes(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Indexes whose columns another one begins with: it serves the same queries.

    Each write pays for both. The shorter one is a little faster to read: keep it where that has been measured.
    """
    found = [
        Finding(
            Grade.WARN,
            f"index {row.name} ({size(row.bytes)}) is the beginning of {row.longer}",
            DROP.format(name=row.name),
            row.name,
            row.bytes,
            undo=f"{row.definition};" if row.definition else "",
        )
        for row in rows
    ]
    return most(found) or Finding(Grade.OK, "no index is the beginning of another")


@check_of(
    f"""SELECT i.indexrelid::regclass::text AS name, i.indrelid::regclass::text AS "table", {DEFINITION} AS definition,
              c.relpages * current_setting('block_size')::float AS bytes,
              extract(epoch FROM now() - d.began)::float AS age
         FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        CROSS JOIN (SELECT coalesce(stats_reset, pg_postmaster_start_time()) AS began FROM pg_stat_database
                     WHERE datname = current_database()) d
        WHERE c.relpages * current_setting('block_size')::float >= 1048576 AND c.relkind = 'i'
          AND pg_stat_get_numscans(i.indexrelid) = 0
          AND c.relnamespace NOT IN {THEIRS} AND c.relpersistence <> 't' AND NOT c.relispartition
          AND i.indisvalid AND NOT i.indisunique AND NOT {KEPT}
          AND NOT EXISTS (SELECT FROM pg_constraint f WHERE f.contype = 'f' AND f.conrelid = i.indrelid
                             AND (i.indkey::int2[])[0:cardinality(f.conkey) - 1] @> f.conkey)
        ORDER BY c.relpages DESC""",  # noqa: S608  (constants)
    scope="database",
    warn=MIB,
    everywhere=True,
)
def unused_indexes(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Indexes that nothing has used since the counters began, on no node (limit in bytes).

    Each write pays for them. Those that hold a constraint or serve a foreign key are not meant. Think of what is rare:
    a report at the end of the month.
    """
    found = []
    for row in rows:
        if limits.of_object(row.name).grade(row.bytes) is Grade.OK:
            continue
        text = f"index {row.name} ({size(row.bytes)}) of {row.table} was not used in {span(row.age)}"
        if row.age < DAY:
            found.append(Finding(Grade.UNKNOWN, f"{text}, which is too short to tell", object=row.name, kind=YOUNG))
            continue
        undo = f"{row.definition};" if row.definition else ""
        found.append(limits.finding(row.bytes, text, fix=DROP.format(name=row.name), object=row.name, undo=undo))
    return most(found) or Finding(Grade.OK, "every index is used")


@check_of(
    f"""SELECT f.conrelid::regclass::text AS name, f.conname AS "constraint", f.confrelid::regclass::text AS target,
              greatest(t.reltuples, pg_stat_get_live_tuples(t.oid), p.rows)::float AS rows, t.relkind = 'p' AS parent,
              (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.position)
                 FROM unnest(f.conkey) WITH ORDINALITY AS k (attnum, position)
                 JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.attnum) AS columns
         FROM pg_constraint f JOIN pg_class t ON t.oid = f.conrelid
         LEFT JOIN LATERAL (SELECT sum(greatest(k.reltuples, 0)) AS rows FROM pg_inherits h
                              JOIN pg_class k ON k.oid = h.inhrelid WHERE h.inhparent = t.oid) p ON t.relkind = 'p'
        WHERE f.contype = 'f' AND f.conparentid = 0 AND t.relnamespace NOT IN {THEIRS}
          AND NOT EXISTS (
              SELECT FROM pg_index i
               WHERE i.indrelid = f.conrelid AND i.indisvalid AND (i.indpred IS NULL OR i.indpred::text ~ 'NULLTEST')
                 AND (i.indkey::int2[])[0:cardinality(f.conkey) - 1] @> f.conkey)
        ORDER BY rows DESC""",  # noqa: S608  (a constant)
    scope="database",
    warn=10_000,
)
def unindexed_foreign_keys(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Foreign keys without an index, on large tables (limit in rows).

    Each DELETE or UPDATE of the key in the table that it points to reads the whole of this one, under a lock.
    """
    found = []
    for row in rows:
        text = (
            f"{row.name} ({row.rows:,.0f} rows) has no index on {row.columns}, its key {row.constraint} to {row.target}"
        )
        fix = f"SET lock_timeout = '2s';\nCREATE INDEX CONCURRENTLY ON {row.name} ({row.columns});"
        if row.parent:
            fix = f"-- locks out writes while it runs; else ON ONLY, then CONCURRENTLY on each partition\n{fix}"
            fix = fix.replace(" CONCURRENTLY ON", " ON")
        found.append(limits.finding(row.rows, text, fix=fix, object=row.name))
    bad = [one for one in found if one.grade is not Grade.OK]
    return most(bad) or Finding(Grade.OK, "all foreign keys of large tables have an index")


@check_of(
    f"""SELECT s.relid::regclass::text AS name, s.seq_scan::float AS scans, s.seq_tup_read::float AS "read",
              coalesce(s.idx_scan, 0)::float AS lookups, s.n_live_tup::float AS rows,
              extract(epoch FROM now() - (SELECT coalesce(stats_reset, pg_postmaster_start_time())
                                            FROM pg_stat_database WHERE datname = current_database()))::float AS age
         FROM pg_stat_user_tables s
        WHERE s.n_live_tup >= 10000 AND s.schemaname NOT LIKE 'pg\\_%' AND s.seq_scan >= {50}""",  # noqa: S608  (constants)
    scope="database",
    warn=0.5,
    counters=("scans", "read", "lookups"),
    key="name",
)
def missing_indexes(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Large tables that are read from end to end again and again (limit as the share of such scans).

    A condition has no index that serves it. What reads most of a table anyway gains nothing from one.
    """
    found = []
    for row in rows:
        if row.scans < SCANS or row.read < READ:
            continue
        share = row.scans / (row.scans + row.lookups)
        text = (
            f"{row.name} ({row.rows:,.0f} rows) was read from end to end {row.scans:,.0f} times "
            f"in {span(row.seconds)}, {share:.0%} of its scans"
        )
        fix = (
            "-- which condition: inv health.queries --by io, inv health.indexes; then\n"
            f"-- CREATE INDEX CONCURRENTLY ON {row.name} (column);"
        )
        found.append(limits.finding(share, text, fix=fix, object=row.name))
    bad = sorted((one for one in found if one.grade is not Grade.OK), key=lambda one: -(one.value or 0))
    return most(bad) or Finding(Grade.OK, "large tables are read by index")


SCANS, READ = 50, 1_000_000
"""In a window: scans, and rows that they read, below which nobody waits."""


@check_of(
    f"""SELECT i.indexrelid::regclass::text AS name, i.indrelid::regclass::text AS "table", s.null_frac AS share,
              quote_ident(a.attname) AS "column", {DEFINITION} AS definition,
              c.relpages * current_setting('block_size')::float AS bytes
         FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
         JOIN pg_namespace n ON n.oid = t.relnamespace
         JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
         JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = t.relname AND s.attname = a.attname
              AND NOT s.inherited
        WHERE c.relpages * current_setting('block_size')::float >= 1048576 AND i.indnatts = 1 AND i.indpred IS NULL
          AND c.relam = (SELECT oid FROM pg_am WHERE amname = 'btree') AND NOT i.indisunique AND NOT {KEPT}
          AND s.null_frac >= 0.5 AND c.relnamespace NOT IN {THEIRS}
        ORDER BY c.relpages DESC""",  # noqa: S608  (constants)
    scope="database",
    warn=0.9,
)
def null_indexes(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Indexes of 1 MiB or more that hold mostly NULL (limit as a share).

    Nobody looks for NULL by them as a rule: an index WHERE the column IS NOT NULL is a fraction of the size.
    """
    found = []
    for row in rows:
        text = f"{row.share:.0%} of index {row.name} ({size(row.bytes)}) is NULL"
        fix = (
            f"SET lock_timeout = '2s';\n"
            f"CREATE INDEX CONCURRENTLY ON {row.table} ({row.column}) WHERE {row.column} IS NOT NULL;\n"
            f"DROP INDEX CONCURRENTLY {row.name};"
        )
        undo = f"{row.definition};" if row.definition else ""
        one = limits.finding(row.share, text, fix=fix, object=row.name, undo=undo)
        found.append(
            one if one.grade is not Grade.OK else Finding(Grade.INFO, text, fix, row.name, row.share, undo=undo)
        )
    return most(found) or Finding(Grade.OK, "no large index holds mostly NULL")


@check_of(
    f"""SELECT i.indrelid::regclass::text AS name, count(*)::int AS indexes,
              pg_stat_get_tuples_inserted(i.indrelid) + pg_stat_get_tuples_updated(i.indrelid) AS writes
         FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
        WHERE t.relnamespace NOT IN {THEIRS} AND t.relkind = 'r'
        GROUP BY i.indrelid HAVING count(*) >= 10 ORDER BY 2 DESC""",  # noqa: S608  (a constant)
    scope="database",
    warn=16,
)
def many_indexes(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Tables with many indexes (limit in indexes): a note at ten.

    Each insert writes to all of them, each update that is not HOT, too; planning looks at each.
    """
    found = []
    for row in rows:
        text = f"{row.name} has {count(row.indexes, 'index', 'indexes')}"
        fix = "-- which are used, and which are double: inv health.indexes"
        one = limits.finding(row.indexes, text, fix=fix, object=row.name)
        found.append(one if one.grade is not Grade.OK else Finding(Grade.INFO, text, fix, row.name, row.indexes))
    return most(found) or Finding(Grade.OK, "no table has very many indexes")
