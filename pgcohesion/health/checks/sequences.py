"""Sequences near the end of what their column can hold."""

from __future__ import annotations

from typing import Any

from ...view import Grade, count
from ..registry import Finding, Limits, check_of, most

LEAST = 0.1
"""The share below which nobody wants to know."""
GRANT = "GRANT SELECT ON ALL SEQUENCES IN SCHEMA ... TO role; or GRANT pg_read_all_data TO role;"
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
