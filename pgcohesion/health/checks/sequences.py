"""Sequences near the end of what their column can hold, or behind what it holds already."""

from __future__ import annotations

from typing import Any

from ...view import Grade, count
from ..catalogue import THEIRS
from ..registry import Finding, Limits, check_of, most

LEAST = 0.1
"""The share below which nobody wants to know."""
GRANT = "GRANT pg_read_all_data TO <role>; (or SELECT on these sequences alone)"
READS = "GRANT pg_read_all_data TO <role>; (or SELECT on these tables and their sequences alone)"
# To read a sequence is to wait for who alters it, and the view pg_sequences reads them all: those are left out. Only
# those that are far on are looked at closely: 3276 is a tenth of a smallint.
NEAR = f"""WITH read AS MATERIALIZED (
        SELECT s.*, a.allowed, a.held, CASE WHEN a.allowed AND NOT a.held
                        THEN pg_sequence_last_value(s.seqrelid)::float END AS last,
               CASE WHEN s.seqincrement > 0 THEN least(s.seqstart, s.seqmin)
                    ELSE greatest(s.seqstart, s.seqmax) END::float AS first,
               CASE WHEN s.seqincrement > 0 THEN s.seqmax ELSE s.seqmin END::float AS "end"
          FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid
         CROSS JOIN LATERAL (
               SELECT has_sequence_privilege(s.seqrelid, 'SELECT, USAGE') AS allowed, s.seqrelid = ANY (ARRAY(
                      SELECT k.relation FROM pg_locks k WHERE k.locktype = 'relation' AND k.mode IN (
                             'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'))) AS held) a
         WHERE NOT s.seqcycle AND c.relpersistence <> 't' AND NOT (c.relpersistence = 'u' AND pg_is_in_recovery())),
    near AS MATERIALIZED (
        SELECT * FROM read
         WHERE last IS NULL AND (held OR NOT allowed) OR abs(last) >= 3276
            OR "end" <> first AND (last - first) / ("end" - first) >= {LEAST})"""  # noqa: S608  (a constant)


@check_of(
    f"""{NEAR}
       SELECT r.seqrelid::regclass::text AS name, o.relation::regclass::text AS owner, o."column", o.type,
              (r.last - r.first) / nullif(m.most - r.first, 0) AS used, r.allowed, r.held,
              CASE WHEN r.seqincrement > 0 THEN 'MAXVALUE 9223372036854775807'
                   ELSE 'MINVALUE -9223372036854775808' END AS further
         FROM near r
         LEFT JOIN LATERAL (
              SELECT u.relation, quote_ident(a.attname) AS "column", coalesce(nullif(t.typbasetype, 0), t.oid) AS kind,
                     format_type(a.atttypid, NULL) AS type
                FROM (SELECT refobjid AS relation, refobjsubid AS attribute FROM pg_depend
                       WHERE classid = 'pg_class'::regclass AND objid = r.seqrelid
                         AND refclassid = 'pg_class'::regclass AND refobjsubid > 0 AND deptype IN ('a', 'i')
                       UNION
                      SELECT d.adrelid, d.adnum FROM pg_depend p JOIN pg_attrdef d ON d.oid = p.objid
                       WHERE p.classid = 'pg_attrdef'::regclass AND p.refclassid = 'pg_class'::regclass
                         AND p.refobjid = r.seqrelid) u
                JOIN pg_attribute a ON a.attrelid = u.relation AND a.attnum = u.attribute
                JOIN pg_type t ON t.oid = a.atttypid
               ORDER BY t.typlen LIMIT 1) o ON r.last IS NOT NULL
        CROSS JOIN LATERAL (
              SELECT CASE o.kind WHEN 'int2'::regtype THEN 32767 WHEN 'int4'::regtype THEN 2147483647
                     ELSE 9223372036854775807 END::float AS most) w
        CROSS JOIN LATERAL (
              SELECT CASE WHEN r.seqincrement > 0 THEN least(r."end", w.most)
                          ELSE greatest(r."end", -w.most - 1) END AS most) m
        ORDER BY used DESC NULLS LAST, 1""",  # noqa: S608  (a constant)
    scope="database",
    warn=0.75,
    fail=0.95,
    full=1.0,
)
def sequences(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Sequences near the end of their own range or of their column's type (limits as a share).

    When it is passed every insert fails. A sequence of bigint does not help a column that is integer.
    """
    found = []
    for row in (row for row in rows if row.used is not None):
        where = f"{row.owner}.{row.column} ({row.type})" if row.owner else row.name
        text = f"{where} has used {row.used:.0%} of its numbers"
        found.append(limits.finding(row.used, text, fix=_wider(row), object=row.name))
    told = most([one for one in found if one.grade is not Grade.OK])
    told += [one for one in found if one.grade is Grade.OK and (one.value or 0) >= LEAST][:20]
    closed = sum(not row.allowed for row in rows if row.used is None)
    held = [row.name for row in rows if row.used is None and row.allowed and row.held]
    if closed:
        told.append(Finding(Grade.SKIPPED, f"needs a GRANT to read {count(closed, 'sequence')}: {GRANT}"))
    if held:
        told.append(Finding(Grade.UNKNOWN, f"somebody alters or drops {', '.join(held[:5])}", object=held[0]))
    return told or Finding(Grade.OK, "no sequence is near its end")


def _wider(row: Any) -> str:
    lines = ["SET lock_timeout = '2s';"]
    if row.type in ("smallint", "integer"):
        lines.insert(0, "-- and each column that refers to it")
        lines.insert(0, "-- rewrites the table under a lock: a new column, filled in steps and swapped in, does not;")
        lines.append(f"ALTER TABLE {row.owner} ALTER COLUMN {row.column} TYPE bigint;")
    lines.append(f"ALTER SEQUENCE {row.name} AS bigint {row.further};")
    return "\n".join(lines)


AHEAD = 1000
"""Numbers ahead in which one that is taken is told, or as many as lie between two of the statistics' bounds."""
LOOKED, READ = 500, 200
"""The largest tables, and of the sequences that gave no number yet those that are read."""
# No table is read: its statistics name numbers that it holds. Where a sequence goes on that gave none yet is known to
# itself only (RESTART, setval), and ts_stat() is the one function of every server that executes a text in a SELECT
# (query_to_xml() needs libxml): its answers are words of a tsvector.
STANDS = "SELECT array_to_tsvector(ARRAY[last_value::text]) FROM %s"


@check_of(
    f"""WITH keys AS MATERIALIZED (
            SELECT DISTINCT i.indrelid AS relation, i.indkey[0] AS attribute,
                   greatest(c.reltuples, pg_stat_get_live_tuples(c.oid)) AS rows
              FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
             WHERE i.indisunique AND i.indisvalid AND i.indnkeyatts = 1 AND i.indpred IS NULL AND i.indkey[0] > 0
               AND c.relkind = 'r' AND NOT c.relispartition AND c.relpersistence <> 't'
               AND greatest(c.reltuples, pg_stat_get_live_tuples(c.oid)) > 0 AND c.relnamespace NOT IN {THEIRS}),
       used AS MATERIALIZED (
            SELECT objid AS sequence, refobjid AS relation, refobjsubid AS attribute FROM pg_depend
             WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass AND deptype IN ('a', 'i')
               AND refobjsubid > 0
             UNION
            SELECT p.refobjid, d.adrelid, d.adnum FROM pg_depend p JOIN pg_attrdef d ON d.oid = p.objid
             WHERE p.classid = 'pg_attrdef'::regclass AND p.refclassid = 'pg_class'::regclass AND p.refobjsubid = 0),
       largest AS MATERIALIZED (
            SELECT u.sequence, k.relation, k.attribute FROM used u JOIN keys k USING (relation, attribute)
             WHERE u.sequence <> ALL (ARRAY(
                   SELECT relation FROM pg_locks WHERE locktype = 'relation' AND mode IN (
                          'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')))
             ORDER BY k.rows DESC LIMIT {LOOKED}),
       near AS MATERIALIZED (
            SELECT s.seqrelid, s.seqincrement AS step, k.relation, a.attname,
                   has_table_privilege(s.seqrelid, 'SELECT')
                       AND has_column_privilege(k.relation, k.attribute, 'SELECT')
                       AND NOT row_security_active(k.relation) AS allowed
              FROM largest k JOIN pg_sequence s ON s.seqrelid = k.sequence
              JOIN pg_attribute a ON a.attrelid = k.relation AND a.attnum = k.attribute
             WHERE a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
               AND s.seqincrement BETWEEN 1 AND 1000 AND NOT s.seqcycle),
       held AS MATERIALIZED (
            SELECT n.seqrelid, n.step, n.relation, n.attname, h.bounds, pg_sequence_last_value(n.seqrelid) AS last
              FROM near n JOIN pg_class c ON c.oid = n.relation JOIN pg_namespace x ON x.oid = c.relnamespace
             CROSS JOIN LATERAL (
                   SELECT histogram_bounds::text::bigint[] AS bounds FROM pg_stats t
                    WHERE t.schemaname = x.nspname AND t.tablename = c.relname AND t.attname = n.attname
                      AND NOT t.inherited
                   OFFSET 0) h
             WHERE n.allowed AND h.bounds IS NOT NULL),
       next AS MATERIALIZED (
            SELECT h.*, coalesce(last + step, CASE WHEN row_number() OVER (ORDER BY last DESC) <= {READ} THEN
                       (SELECT word::bigint FROM ts_stat(format('{STANDS}', seqrelid::regclass))) END) AS next
              FROM held h WHERE last IS NULL OR last < bounds[cardinality(bounds)])
       SELECT n.seqrelid::regclass::text AS name, n.relation::regclass::text AS "table",
              quote_ident(n.attname) AS "column", n.next, t.taken, n.last IS NOT NULL AS called, n.step, 0 AS closed
         FROM next n CROSS JOIN LATERAL (
              SELECT min(one) AS taken FROM unnest(n.bounds) one WHERE one >= n.next AND (one - n.next) % n.step = 0) t
        WHERE t.taken - n.next < greatest({AHEAD} * n.step, (n.bounds[cardinality(n.bounds)] - n.bounds[1])
                                                            / (cardinality(n.bounds) - 1))
        UNION ALL
       SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, count(*)::int FROM near WHERE NOT allowed HAVING count(*) > 0
        ORDER BY 1""",  # noqa: S608  (constants)
    scope="database",
)
def taken_numbers(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Sequences whose next numbers their unique column holds already: rows came with numbers of their own.

    A restore, a COPY or a migration did not set the sequence. Each insert fails as a duplicate until it is past them.
    What a column holds is known from its statistics, so after ANALYZE.
    """
    found = []
    for row in (row for row in rows if row.name):
        when = "the next insert fails" if row.taken == row.next else f"in {row.taken - row.next} numbers inserts fail"
        text = f"{row.name} gives {row.next} next, and {row.table}.{row.column} has {row.taken} already: {when}"
        literal = row.name.replace("'", "''")
        fix = f"SELECT setval('{literal}', (SELECT max({row.column}) FROM ONLY {row.table}));"  # noqa: S608  (quoted names)
        if row.step > 1:  # what lies between is another node's
            steps = f"(max({row.column}) - {row.next}) / {row.step} * {row.step}"
            fix = f"SELECT setval('{literal}', (SELECT {row.next} + {steps} FROM ONLY {row.table}));"  # noqa: S608
        grade = Grade.FAIL if row.called and row.taken == row.next else Grade.WARN
        found.append(Finding(grade, text, fix, row.name, row.taken - row.next))
    told = most(found)
    if closed := sum(row.closed for row in rows):
        told.append(Finding(Grade.SKIPPED, f"needs a GRANT to read {count(closed, 'table')}: {READS}"))
    return told or Finding(Grade.OK, "sequences are ahead of their columns")
