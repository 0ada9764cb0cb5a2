"""Indexes: broken, missing, superfluous. What is dropped can be brought back by its undo."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from ...view import Grade, count, size, span
from ..agreeing import STANDBYS
from ..catalogue import BEGAN, COUNTED, DEFINITION, MEMBERS, PAGE, THEIRS, create, drop
from ..registry import YOUNG, Finding, Limits, check_of, most

DAY, MIB = 86400.0, 1024.0**2
IDLE = 180 * DAY
"""Seconds without a scan after which an index that was used once counts as unused: twice a quarter's report."""
SCANS, READ = 50, 1_000_000
"""In a window: scans, and rows that they read, below which nobody waits."""
LARGE = 10_000
"""Rows of a table from which an index pays."""
BUSY = 10_000
"""Writes from which it matters what a table's indexes cost."""

# A node of a stored expression says where it stood in the statement, which is no difference.
SAME = """regexp_replace({}::text, ':location -?\\d+', '', 'g')"""
CONDITION, EXPRESSIONS = SAME.format("i.indpred"), SAME.format("i.indexprs")
OPTIONS = """(SELECT array_agg(a.attoptions::text ORDER BY a.attnum)::text FROM pg_attribute a
               WHERE a.attrelid = i.indexrelid)"""
# The options of a BRIN index, and of those of extensions, say what it can do; those of others only its space.
SHAPE = f"""i.indrelid, c.relam, c.relkind, i.indnkeyatts, i.indkey::text, i.indclass::text, i.indcollation::text,
    i.indoption::text, {EXPRESSIONS}, {CONDITION}, {OPTIONS},
    CASE WHEN c.relam NOT IN (SELECT oid FROM pg_am WHERE amname IN ('btree', 'hash', 'gin', 'gist', 'spgist'))
         THEN c.reloptions::text END"""  # noqa: S608  (constants)
BTREE = "c.relam = (SELECT oid FROM pg_am WHERE amname = 'btree')"
CONSTRAINED = "(i.indexrelid IN (SELECT conindid FROM pg_constraint))"
"""Whether a constraint is held by an index, or a foreign key points to it."""
PINNED = """(i.indisreplident OR i.indisclustered OR i.indisexclusion OR c.relispartition)"""
"""Whether an index has another duty, or belongs to that of a partitioned table."""
USABLE = f"""i.indisvalid AND i.indislive AND c.relpersistence <> 't' AND c.relnamespace NOT IN {THEIRS}
    AND i.indrelid NOT IN {MEMBERS}"""


@check_of(
    """SELECT i.indexrelid::regclass::text AS name, i.indrelid::regclass::text AS "table", c.relname AS bare,
              quote_ident(c.relname) AS short, i.indisunique AS "unique", c.relkind = 'I' AS parent, l.lacking,
              CASE WHEN l.lacking IS NOT NULL AND NOT EXISTS (
                       SELECT FROM pg_locks k WHERE k.relation = i.indrelid AND k.locktype = 'relation'
                          AND k.mode = 'AccessExclusiveLock') THEN pg_get_indexdef(i.indexrelid) END AS definition
         FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
         LEFT JOIN LATERAL (
              SELECT json_agg(json_build_array(t.oid::regclass::text, quote_ident(n.nspname),
                         quote_ident(left(t.relname, 40) || '_' || i.indexrelid), t.relkind = 'p')
                     ORDER BY t.relname) AS lacking
                FROM pg_inherits h JOIN pg_class t ON t.oid = h.inhrelid JOIN pg_namespace n ON n.oid = t.relnamespace
               WHERE h.inhparent = i.indrelid AND NOT EXISTS (
                     SELECT FROM pg_inherits p JOIN pg_index k ON k.indexrelid = p.inhrelid
                      WHERE p.inhparent = i.indexrelid AND k.indrelid = h.inhrelid)) l ON c.relkind = 'I'
        WHERE NOT i.indisvalid AND c.relpersistence <> 't'
          AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p
                           WHERE p.datname = current_database() AND coalesce(p.relid, i.indrelid) = i.indrelid)
          AND NOT EXISTS (SELECT FROM pg_locks k WHERE k.locktype = 'relation' AND k.relation = i.indexrelid
                             AND k.mode IN ('ShareUpdateExclusiveLock', 'AccessExclusiveLock'))
        ORDER BY 1""",
    scope="database",
)
def invalid_indexes(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Indexes that are not valid, and not being built: what a CREATE INDEX CONCURRENTLY that failed has left.

    Writes pay for them, and they serve no query.
    """
    found = []
    for row in rows:
        text, fix = f"index {row.name} of {row.table} is not valid", f"REINDEX INDEX CONCURRENTLY {row.name};"
        if row.parent:
            fix = _attach(row)
            text += f": {count(len(row.lacking or ()), 'partition')} without it"
        elif row.bare.rstrip("0123456789").endswith(("_ccnew", "_ccold")):
            fix = f"DROP INDEX CONCURRENTLY {row.name};"
            text += ": what a REINDEX CONCURRENTLY that failed has left"
        elif row.unique:
            fix = f"-- fails again while there are equal rows: look for them first\n{fix}"
        found.append(Finding(Grade.WARN, text, fix, row.name))
    return most(found) or Finding(Grade.OK, "all indexes are valid")


def _attach(row: Any) -> str:
    """Return the lines that give each partition its index: with the last of them the parent's is valid."""
    if not row.definition:
        return f"-- make the index of each partition valid, then: ALTER INDEX {row.name} ATTACH PARTITION ...;"
    verb = "CREATE UNIQUE INDEX" if row.unique else "CREATE INDEX"
    how = row.definition.removeprefix(f"{verb} {row.short} ON ONLY {row.table} ")
    lines = []
    for table, schema, index, parted in row.lacking:
        lines.append(f"{verb}{'' if parted else ' CONCURRENTLY'} {index} ON {table} {how};")
        lines.append(f"ALTER INDEX {row.name} ATTACH PARTITION {schema}.{index};")
    return "\n".join(lines)


@check_of(
    f"""WITH all_of AS MATERIALIZED (
            SELECT i.indexrelid, i.indrelid, i.indisunique, i.indimmediate, {PINNED} AS pinned,
                   coalesce(to_jsonb(i) ->> 'indnullsnotdistinct', 'false') AS same_nulls, c.relpages,
                   i.indexrelid IN (SELECT conindid FROM pg_constraint WHERE contype = 'f') AS target,
                   i.indexrelid IN (SELECT conindid FROM pg_constraint WHERE contype <> 'f') AS held, i.indisprimary,
                   row_number() OVER w AS place, first_value(i.indexrelid) OVER w AS first
              FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
             WHERE {USABLE} AND i.indrelid IN (
                   SELECT indrelid FROM pg_index GROUP BY indrelid, indkey::text HAVING count(*) > 1)
            WINDOW w AS (PARTITION BY {SHAPE}
                   ORDER BY i.indisprimary DESC, {PINNED} DESC, {CONSTRAINED} DESC, i.indisunique DESC, i.indexrelid)),
       f AS MATERIALIZED (
            SELECT d.*, k.held AS first_held, row_number() OVER (ORDER BY d.relpages DESC, d.indexrelid) AS n
              FROM all_of d JOIN all_of k ON k.indexrelid = d.first
             WHERE d.place > 1 AND NOT d.pinned AND NOT d.target AND NOT d.indisprimary
               AND (NOT d.indisunique OR k.indisunique AND k.indimmediate = d.indimmediate
                                         AND k.same_nulls = d.same_nulls)
               AND (NOT d.held OR k.held))
       SELECT {DEFINITION}, f.first::regclass::text AS first, quote_ident(o.conname) AS "constraint",
              CASE WHEN o.contype = 'u' THEN pg_get_constraintdef(o.oid) END AS condef
         FROM f JOIN pg_class x ON x.oid = f.indexrelid
         LEFT JOIN pg_constraint o ON o.conindid = f.indexrelid AND o.contype <> 'f' AND f.held
        ORDER BY f.n""",  # noqa: S608  (constants)
    scope="database",
)
def duplicate_indexes(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Indexes that another one equals in everything: columns, order, operator classes, condition.

    Each write pays for both, and no query gains from the second. What holds a constraint is kept.
    """
    found = []
    for row in rows:
        fix, undo = drop(row), create(row)
        if row.constraint:
            fix = f"SET lock_timeout = '2s';\nALTER TABLE {row.table} DROP CONSTRAINT {row.constraint};"
            undo = f"ALTER TABLE {row.table} ADD CONSTRAINT {row.constraint} {row.condef};"
        text = f"index {row.name} ({size(row.bytes)}) is the same as {row.first}"
        found.append(Finding(Grade.WARN, text, fix, row.name, row.bytes, undo=undo))
    return most(found) or Finding(Grade.OK, "no two indexes are the same")


# Of l, the beginning: as many of its key columns as i has.
LEADING = " AND ".join(
    f"(l.{column}::{kind}[])[0:i.indnkeyatts - 1] = (i.{column}::{kind}[])[0:i.indnkeyatts - 1]"
    for column, kind in (("indkey", "int2"), ("indclass", "oid"), ("indcollation", "oid"), ("indoption", "int2"))
)

# What equals another one is told by duplicate_indexes: its fix would drop it twice.
TOLD = """EXISTS (SELECT FROM all_of d
    WHERE d.indrelid = i.indrelid AND d.lead = i.lead AND d.indkey::text = i.indkey::text
      AND d.indnkeyatts = i.indnkeyatts AND d.indclass::text = i.indclass::text
      AND d.indcollation::text = i.indcollation::text AND d.indoption::text = i.indoption::text
      AND d.condition IS NOT DISTINCT FROM i.condition AND d.expressions IS NOT DISTINCT FROM i.expressions
      AND (d.indisunique OR d.pinned OR d.indexrelid < i.indexrelid) AND d.indexrelid <> i.indexrelid)"""


@check_of(
    f"""WITH all_of AS MATERIALIZED (
            SELECT i.*, i.indkey[0] AS lead, {PINNED} AS pinned, {CONDITION} AS condition,
                   {EXPRESSIONS} AS expressions
              FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
             WHERE {USABLE} AND {BTREE}
               AND i.indrelid IN (SELECT indrelid FROM pg_index GROUP BY indrelid, indkey[0] HAVING count(*) > 1)),
       f AS MATERIALIZED (
            SELECT p.*, row_number() OVER (ORDER BY c.relpages DESC, p.indexrelid) AS n
              FROM (SELECT DISTINCT ON (i.indexrelid) i.indexrelid, i.indrelid, l.indexrelid AS longer
                      FROM all_of i
                      JOIN all_of l ON l.indrelid = i.indrelid AND l.lead = i.lead AND l.indexrelid <> i.indexrelid
                           AND l.indnkeyatts >= i.indnkeyatts AND l.indnatts > i.indnatts
                     WHERE NOT i.indisunique AND NOT i.pinned
                       AND l.condition IS NOT DISTINCT FROM i.condition
                       AND l.expressions IS NOT DISTINCT FROM i.expressions
                       AND l.indkey::int2[] @> i.indkey::int2[] AND {LEADING} AND NOT {TOLD}
                     ORDER BY i.indexrelid, l.indnatts, l.indexrelid) p
              JOIN pg_class c ON c.oid = p.indexrelid)
       SELECT {DEFINITION}, f.longer::regclass::text AS longer
         FROM f JOIN pg_class x ON x.oid = f.indexrelid ORDER BY f.n""",  # noqa: S608  (constants)
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
            drop(row),
            row.name,
            row.bytes,
            undo=create(row),
        )
        for row in rows
    ]
    return most(found) or Finding(Grade.OK, "no index is the beginning of another")


# Of two that begin alike the planner uses one: with the other gone as a duplicate, this one is used.
HEIR = """EXISTS (SELECT FROM pg_index y
    WHERE y.indrelid = i.indrelid AND y.indexrelid <> i.indexrelid AND y.indisvalid AND NOT y.indisunique
      AND (i.indkey::int2[])[0:y.indnkeyatts - 1] = (y.indkey::int2[])[0:y.indnkeyatts - 1])"""
UNUSED = f"""WITH f AS MATERIALIZED (
            SELECT i.indexrelid, i.indrelid, {{idle}} AS idle,
                   CASE WHEN current_setting('track_commit_timestamp')::bool THEN extract(epoch FROM
                        now() - pg_xact_commit_timestamp(i.xmin)) END AS lived,
                   row_number() OVER (ORDER BY c.relpages DESC, i.indexrelid) AS n
              FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
             WHERE c.relkind = 'i' AND c.relpages * {PAGE} >= {MIB:.0f} AND NOT i.indisunique AND {USABLE}
               AND (pg_stat_get_numscans(i.indexrelid) = 0 {{rarely}}) AND NOT {PINNED} AND NOT {CONSTRAINED}
               AND NOT {HEIR}
               AND NOT EXISTS (SELECT FROM pg_constraint o WHERE o.contype = 'f' AND o.conrelid = i.indrelid
                                  AND (i.indkey::int2[])[0:cardinality(o.conkey) - 1] @> o.conkey))
       SELECT {DEFINITION}, f.idle::float AS idle, current_setting('track_counts')::bool AS counted,
              (SELECT count(*)::int FROM pg_stat_replication r
                WHERE coalesce(r.state, 'streaming') = 'streaming'
                  AND r.application_name NOT IN ('pg_receivewal', 'pg_basebackup')
                  AND r.pid NOT IN (SELECT s.active_pid FROM pg_replication_slots s
                                     WHERE s.slot_type = 'logical' AND s.active_pid IS NOT NULL)) AS standbys,
              least(f.lived, extract(epoch FROM now() - {BEGAN}))::float AS age
         FROM f JOIN pg_class x ON x.oid = f.indexrelid ORDER BY f.n"""  # noqa: S608  (constants)
LAST = "extract(epoch FROM now() - pg_stat_get_lastscan(i.indexrelid))"


@check_of(
    UNUSED.format(idle=LAST, rarely=f"OR {LAST} > {IDLE:.0f}"),
    before=(16, UNUSED.format(idle="NULL", rarely="")),
    scope="database",
    warn=MIB,
    everywhere=True,
)
def unused_indexes(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Indexes that nothing has used since the counters began, on no node (limit in bytes).

    Each write pays for them. Those that hold a constraint or serve a foreign key are not meant. Think of what is rare:
    a report at the end of the year.
    """
    found = []
    for row in rows:
        if limits.of_object(row.name).grade(row.bytes) is Grade.OK:
            continue
        text = f"index {row.name} ({size(row.bytes)}) of {row.table} was not used in {span(row.idle or row.age)}"
        if not row.counted or row.age < DAY:
            why = "which is too short to tell" if row.counted else "and track_counts is off: nobody knows"
            found.append(Finding(Grade.UNKNOWN, f"{text}, {why}", object=row.name, kind=YOUNG if row.counted else ""))
            continue
        one = limits.finding(row.bytes, text, fix=drop(row), object=row.name, undo=create(row))
        found.append(replace(one, kind=f"{STANDBYS}{row.standbys}" if row.standbys else ""))
    return found or Finding(Grade.OK, "every index is used")


# An index on what is not NULL serves the key's lookups, too.
NOT_NULL = """(i.indpred IS NULL OR i.indpred::text ~ '^.?{NULLTEST :arg {VAR [^{}]*} :nulltesttype 1 [^{}]*}.?$'
    AND substring(i.indpred::text FROM ':varattno (\\d+)')::int2 = ANY (o.conkey))"""


@check_of(
    f"""SELECT o.conrelid::regclass::text AS name, o.conname AS "constraint", o.confrelid::regclass::text AS target,
              t.rows::float AS rows, t.relkind = 'p' AS parent,
              (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.position)
                 FROM unnest(o.conkey) WITH ORDINALITY AS k (attnum, position)
                 JOIN pg_attribute a ON a.attrelid = o.conrelid AND a.attnum = k.attnum) AS columns
         FROM pg_constraint o
         JOIN LATERAL (
              SELECT c.relkind, c.relnamespace, CASE WHEN c.relkind = 'p' THEN (
                     WITH RECURSIVE parts(oid) AS (
                          SELECT inhrelid FROM pg_inherits WHERE inhparent = c.oid
                          UNION SELECT h.inhrelid FROM parts p JOIN pg_inherits h ON h.inhparent = p.oid)
                     SELECT sum(greatest(k.reltuples, pg_stat_get_live_tuples(k.oid), 0))
                       FROM parts p JOIN pg_class k ON k.oid = p.oid)
                     ELSE greatest(c.reltuples, pg_stat_get_live_tuples(c.oid)) END AS rows
                FROM pg_class c WHERE c.oid = o.conrelid) t ON true
        WHERE o.contype = 'f' AND o.conparentid = 0 AND t.relnamespace NOT IN {THEIRS} AND o.conrelid NOT IN {MEMBERS}
          AND NOT EXISTS (
              SELECT FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
               WHERE i.indrelid = o.conrelid AND i.indisvalid AND m.amname NOT IN ('brin', 'gin') AND {NOT_NULL}
                 AND (i.indkey::int2[])[0:cardinality(o.conkey) - 1] @> o.conkey)
        ORDER BY t.rows DESC NULLS LAST""",  # noqa: S608  (constants)
    scope="database",
    warn=LARGE,
)
def unindexed_foreign_keys(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Foreign keys without an index, on large tables (limit in rows).

    Each DELETE or UPDATE of the key in the table that it points to reads the whole of this one, under a lock.
    """
    found = []
    for row in rows:
        rows_ = row.rows or 0.0
        text = f"{row.name} ({rows_:,.0f} rows) has no index on {row.columns}, its key {row.constraint} to {row.target}"
        fix = f"CREATE INDEX CONCURRENTLY ON {row.name} ({row.columns});"
        if row.parent:
            fix = (
                "-- stops writes while it runs; else ON ONLY, then CONCURRENTLY on each partition, and ATTACH\n"
                f"SET lock_timeout = '2s';\nCREATE INDEX ON {row.name} ({row.columns});"
            )
        found.append(limits.finding(rows_, text, fix=fix, object=row.name, note=1000))
    bad = [one for one in found if one.grade is not Grade.OK]
    return most(bad) or Finding(Grade.OK, "all foreign keys of large tables have an index")


@check_of(
    f"""SELECT c.oid::regclass::text AS name, pg_stat_get_numscans(c.oid)::float AS scans,
              pg_stat_get_tuples_returned(c.oid)::float AS "read", pg_stat_get_live_tuples(c.oid)::float AS rows,
              coalesce((SELECT sum(pg_stat_get_numscans(i.indexrelid)) FROM pg_index i
                         WHERE i.indrelid = c.oid), 0)::float AS lookups,
              extract(epoch FROM now() - {COUNTED})::float AS age
         FROM pg_class c
        WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND c.relnamespace NOT IN {THEIRS}
          AND pg_stat_get_live_tuples(c.oid) >= {LARGE} AND pg_stat_get_numscans(c.oid) >= {SCANS}""",  # noqa: S608  (constants)
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


@check_of(
    f"""WITH large AS MATERIALIZED (
            SELECT i.indexrelid, i.indrelid, i.indkey[0] AS attnum, c.relpages
              FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
             WHERE c.relkind = 'i' AND c.relpages * {PAGE} >= {MIB:.0f} AND i.indnatts = 1 AND i.indpred IS NULL
               AND {BTREE} AND NOT i.indisunique AND {USABLE} AND NOT {PINNED} AND NOT {CONSTRAINED}),
       f AS MATERIALIZED (
            SELECT i.indexrelid, i.indrelid, s.null_frac AS share, quote_ident(a.attname) AS "column",
                   row_number() OVER (ORDER BY i.relpages DESC, i.indexrelid) AS n
              FROM large i JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
              JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.attnum
             CROSS JOIN LATERAL (
                   SELECT null_frac FROM pg_stats s WHERE s.schemaname = n.nspname
                      AND s.tablename = t.relname AND s.attname = a.attname AND NOT s.inherited
                    OFFSET 0) s
             WHERE s.null_frac >= 0.5)
       SELECT {DEFINITION}, f.share::float AS share, f."column"
         FROM f JOIN pg_class x ON x.oid = f.indexrelid ORDER BY f.n""",  # noqa: S608  (constants)
    scope="database",
    warn=0.9,
)
def null_indexes(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Indexes of 1 MiB or more that hold mostly NULL (limit as a share; a note at a half).

    Nobody looks for NULL by them as a rule: an index WHERE the column IS NOT NULL is a fraction of the size.
    """
    found = []
    for row in rows:
        text = f"{row.share:.0%} of index {row.name} ({size(row.bytes)}) is NULL"
        better = f"WHERE {row.column} IS NOT NULL"
        fix = f"-- an index {better} instead"
        if row.definition:
            how = row.definition.removeprefix(f"CREATE INDEX {row.short} ")
            fix = f"-- unless queries ask for IS NULL\nCREATE INDEX CONCURRENTLY {how} {better};\n{drop(row)}"
        one = limits.finding(row.share, text, fix=fix, object=row.name, undo=create(row))
        found.append(one if one.grade is not Grade.OK else Finding(Grade.INFO, text, fix, row.name, row.share))
    return most(found) or Finding(Grade.OK, "no large index holds mostly NULL")


@check_of(
    f"""SELECT s.name::regclass::text AS name, s.indexes, s.writes::float AS writes, s.lookups::float AS lookups
         FROM (SELECT i.indrelid AS name, count(*)::int AS indexes, sum(pg_stat_get_numscans(i.indexrelid)) AS lookups,
                      pg_stat_get_tuples_inserted(i.indrelid) + pg_stat_get_tuples_updated(i.indrelid) AS writes
                 FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
                WHERE t.relnamespace NOT IN {THEIRS} AND t.relkind = 'r'
                GROUP BY i.indrelid HAVING count(*) >= 10) s
        WHERE s.writes >= {BUSY} AND s.writes > s.lookups
        ORDER BY s.indexes DESC, 1""",  # noqa: S608  (a constant)
    scope="database",
)
def many_indexes(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Tables with ten indexes or more that are written to more than looked up (limits in indexes; a note without).

    Each insert writes to all of them, each update that is not HOT, too; planning looks at each.
    """
    found = []
    for row in rows:
        text = (
            f"{row.name} has {count(row.indexes, 'index', 'indexes')}, "
            f"{row.writes:,.0f} writes and {row.lookups:,.0f} lookups"
        )
        fix = "-- which are used, and which are double: inv health.indexes"
        one = limits.finding(row.indexes, text, fix=fix, object=row.name)
        found.append(one if one.grade is not Grade.OK else Finding(Grade.INFO, text, fix, row.name, row.indexes))
    return most(found) or Finding(Grade.OK, "no table is written to with very many indexes")
