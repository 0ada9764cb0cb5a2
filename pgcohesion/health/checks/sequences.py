"""Sequences near the end of what their column can hold."""

from __future__ import annotations

from typing import Any

from ...view import Grade
from ..registry import Finding, Limits, check_of, most


@check_of(
    """SELECT s.seqrelid::regclass::text AS name, o.relation::regclass::text AS owner,
              quote_ident(a.attname) AS "column", a.atttypid::regtype::text AS type, q.last_value IS NULL AS unread,
              has_sequence_privilege(s.seqrelid, 'SELECT, USAGE') AS allowed,
              (q.last_value - least(s.seqstart, s.seqmin))::float
                  / (m.most - least(s.seqstart, s.seqmin)) AS used, m.most < s.seqmax AS narrow
         FROM pg_sequence s
         JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_sequences q ON q.schemaname = n.nspname AND q.sequencename = c.relname
         LEFT JOIN LATERAL (
              SELECT refobjid AS relation, refobjsubid AS attribute FROM pg_depend
               WHERE classid = 'pg_class'::regclass AND objid = s.seqrelid AND refclassid = 'pg_class'::regclass
                 AND refobjsubid > 0 AND deptype IN ('a', 'i')
               UNION ALL
              SELECT d.adrelid, d.adnum FROM pg_depend p JOIN pg_attrdef d ON d.oid = p.objid
               WHERE p.classid = 'pg_attrdef'::regclass AND p.refclassid = 'pg_class'::regclass
                 AND p.refobjid = s.seqrelid
               LIMIT 1) o ON true
         LEFT JOIN pg_attribute a ON a.attrelid = o.relation AND a.attnum = o.attribute
        CROSS JOIN LATERAL (SELECT least(s.seqmax, CASE a.atttypid WHEN 'int2'::regtype THEN 32767
              WHEN 'int4'::regtype THEN 2147483647 ELSE 9223372036854775807 END)::float AS most) m
        WHERE s.seqincrement > 0 AND NOT s.seqcycle AND m.most > least(s.seqstart, s.seqmin)
        ORDER BY used DESC NULLS LAST LIMIT 50""",
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
    bad = [one for one in found if one.grade is not Grade.OK]
    closed = sum(row.used is None and not row.allowed for row in rows)
    if bad or not closed:
        return most(bad) or (found[0] if found else Finding(Grade.OK, "no sequence is near its end"))
    grant = "GRANT SELECT ON ALL SEQUENCES IN SCHEMA ... TO role; or GRANT pg_read_all_data TO role;"
    return Finding(Grade.UNKNOWN, f"{closed} sequences cannot be read: {grant}")


def _wider(row: Any) -> str:
    lines = ["SET lock_timeout = '2s';"]
    if row.type in ("smallint", "integer"):
        lines.insert(0, "-- rewrites the table under a lock: a new column, filled in steps and swapped in, does not")
        lines.append(f"ALTER TABLE {row.owner} ALTER COLUMN {row.column} TYPE bigint;")
    lines.append(f"ALTER SEQUENCE {row.name} AS bigint MAXVALUE 9223372036854775807;")
    return "\n".join(lines)
