"""Space that is lost in tables and indexes: estimates from the planner's statistics, without reading a page of them."""

from __future__ import annotations

from typing import Any

from ...view import Grade, size
from ..registry import Finding, Limits, check_of, most

MIB = 1024**2
LEAST = 8 * MIB
"""Bytes that must be lost before anybody looks."""
NEEDS = "GRANT pg_read_all_data TO role; (statistics of a table show only to who may read it)"
TABLES = f"""SELECT c.oid::regclass::text AS name, b.size AS bytes, c.reltuples::float AS rows,
       w.width, coalesce(f.fillfactor, 100) AS fillfactor, b.page
  FROM pg_class c
 CROSS JOIN (SELECT current_setting('block_size')::float AS page) p
 CROSS JOIN LATERAL (SELECT c.relpages * p.page AS size, p.page) b
  LEFT JOIN LATERAL (SELECT option_value::float AS fillfactor FROM pg_options_to_table(c.reloptions)
                      WHERE option_name = 'fillfactor') f ON true
  LEFT JOIN LATERAL (
       SELECT CASE WHEN count(*) FILTER (WHERE s.attname IS NULL) = 0
                   THEN sum((1 - s.null_frac) * s.avg_width) + CASE WHEN bool_or(s.null_frac > 0)
                        THEN 4 + count(*) / 8 ELSE 0 END END AS width
         FROM pg_attribute a
         LEFT JOIN pg_stats s ON s.schemaname = c.relnamespace::regnamespace::text AND s.tablename = c.relname
               AND s.attname = a.attname AND NOT s.inherited
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) w ON true
 WHERE c.relkind IN ('r', 'm') AND c.reltuples >= 0 AND c.relpersistence <> 't' AND b.size >= {LEAST}
   AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)"""  # noqa: S608  (a constant)


@check_of(TABLES, scope="database", warn=0.5, fail=0.9)
def table_bloat(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Tables that are mostly empty space, 8 MiB of it or more (limits as a share of the table; an estimate).

    Every scan reads the space, and backups carry it. VACUUM keeps it for new rows; only a rewrite gives it back.
    """
    return _bloated(
        rows, limits, "VACUUM (FULL, ANALYZE) {name};  -- locks everyone out while it runs; pg_repack does not"
    )


def _bloated(rows: list[Any], limits: Limits, fix: str) -> Finding | list[Finding]:
    found, unknown = [], 0
    for row in rows:
        if row.width is None:
            unknown += 1
            continue
        lost = row.bytes - _needed(row.rows, row.width, row.fillfactor, row.page)
        if lost >= LEAST:
            text = f"{row.name}: about {size(lost)} of {size(row.bytes)} is empty ({lost / row.bytes:.0%})"
            fix = f"-- locks everyone out while it runs; pg_repack does not\nVACUUM (FULL, ANALYZE) {row.name};"
            found.append(limits.finding(lost / row.bytes, text, fix=fix, object=row.name))
    bad = sorted((one for one in found if one.grade is not Grade.OK), key=lambda one: -(one.value or 0))
    if bad or not unknown:
        return most(bad) or Finding(Grade.OK, "little space is lost")
    return Finding(Grade.UNKNOWN, f"{unknown} large tables have no statistics to tell from: ANALYZE them, or {NEEDS}")


def _needed(rows: float, width: float, fillfactor: float, page: float) -> float:
    """Return the bytes that rows of a width need: a header of 24, 4 for the pointer, all on 8-byte borders."""
    row = 24 + -(-width // 8) * 8 + 4
    per_page = max(1.0, (page - 24) * fillfactor / 100 // row)
    return -(-rows // per_page) * page


@check_of(
    f"""SELECT c.oid::regclass::text AS name, quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS full,
              c.relpages * p.page AS bytes, c.reltuples::float AS rows, p.page, w.width,
              coalesce((SELECT option_value::float FROM pg_options_to_table(c.reloptions)
                         WHERE option_name = 'fillfactor'), 90) AS fillfactor
         FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_class t ON t.oid = i.indrelid
        CROSS JOIN (SELECT current_setting('block_size')::float AS page) p
        CROSS JOIN LATERAL (
              SELECT CASE WHEN count(*) FILTER (WHERE s.avg_width IS NULL) = 0
                          THEN sum((1 - s.null_frac) * s.avg_width) END AS width
                FROM pg_attribute a
                LEFT JOIN pg_attribute o ON o.attrelid = i.indrelid AND i.indkey[a.attnum - 1] > 0
                      AND o.attnum = i.indkey[a.attnum - 1]
                LEFT JOIN pg_stats s ON s.schemaname = n.nspname AND NOT s.inherited
                      AND s.tablename = CASE WHEN o.attname IS NULL THEN c.relname ELSE t.relname END
                      AND s.attname = coalesce(o.attname, a.attname)
               WHERE a.attrelid = i.indexrelid) w
        WHERE c.relkind = 'i' AND c.relam = (SELECT oid FROM pg_am WHERE amname = 'btree') AND i.indisvalid
          AND c.relpages * p.page >= {LEAST} AND c.reltuples >= 0 AND n.nspname NOT IN ('pg_catalog', 'pg_toast')
          AND c.relpersistence <> 't'""",  # noqa: S608  (a constant)
    scope="database",
    warn=0.5,
    fail=0.9,
)
def index_bloat(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """B-tree indexes that are mostly empty space, 8 MiB of it or more (limits as a share of the index; an estimate).

    Pages that deletes have emptied in part are not given back. Reading the index costs more, and so does memory.
    """
    found, unknown = [], 0
    for row in rows:
        if row.width is None:
            unknown += 1
            continue
        entry = 8 + -(-row.width // 8) * 8 + 4
        per_page = max(1.0, (row.page - 40) * row.fillfactor / 100 // entry)
        lost = row.bytes - (-(-row.rows // per_page) + 2) * row.page
        if lost >= LEAST:
            text = f"{row.name}: about {size(lost)} of {size(row.bytes)} is empty ({lost / row.bytes:.0%})"
            fix = f"SET lock_timeout = '2s';\nREINDEX INDEX CONCURRENTLY {row.full};"
            found.append(limits.finding(lost / row.bytes, text, fix=fix, object=row.name))
    bad = sorted((one for one in found if one.grade is not Grade.OK), key=lambda one: -(one.value or 0))
    if bad or not unknown:
        return most(bad) or Finding(Grade.OK, "little space is lost")
    return Finding(Grade.UNKNOWN, f"{unknown} large indexes have no statistics to tell from: ANALYZE, or {NEEDS}")


@check_of(
    """SELECT c.oid::regclass::text AS name, c.relpages * current_setting('block_size')::float AS bytes,
              greatest(s.n_live_tup, c.reltuples, 0)::float AS rows
         FROM pg_class c JOIN pg_stat_sys_tables s ON s.relid = c.oid
        WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind = 'r' AND c.relname <> 'pg_largeobject'
          AND c.relpages > 1000""",
    scope="database",
    warn=64 * MIB,
)
def catalog_bloat(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Tables of the system catalogue that are much larger than their rows (limit in bytes that are lost).

    Temporary tables by the thousand leave dead rows there; planning each query reads them.
    """
    found = []
    for row in rows:
        lost = row.bytes - row.rows * ROW
        text = f"{row.name} has {size(row.bytes)} for {row.rows:,.0f} rows"
        fix = f"VACUUM (FULL, ANALYZE) {row.name};  -- in a window: it locks everyone out for a moment"
        found.append(limits.finding(lost, text, fix=fix, object=row.name))
    return most([one for one in found if one.grade is not Grade.OK]) or Finding(Grade.OK, "the catalogue is compact")


ROW = 400
"""Bytes: more than a row of any catalogue takes, pg_statistic and pg_proc aside on average."""
