"""Space that is lost in tables and indexes: estimates from the planner's statistics, without reading a page of them."""

from __future__ import annotations

from typing import Any

from ...view import Grade, size
from ..catalogue import named, part
from ..registry import Finding, Limits, check_of, most

MIB = 1024**2
LEAST = 8 * MIB
"""Bytes that must be lost before anybody looks."""
MOST = 4 * 1024 * MIB
"""Bytes that are read in search of empty space."""
ROW, WIDE_ROW = 400, 2100
"""Bytes: more than a row of a catalogue takes; the wide ones keep what is longer in a TOAST table."""
NEEDS = "SELECT on them, as only who may read a table sees its statistics: GRANT pg_read_all_data TO <role>;"
# Of each column: length, alignment, share of nulls, average width. The last two are NULL where they cannot be known.
ALIGN = "CASE a.attalign WHEN 'd' THEN 8 WHEN 'i' THEN 4 WHEN 's' THEN 2 ELSE 1 END"
COLUMN = f"ARRAY[a.attlen, {ALIGN}, s.null_frac, s.avg_width]::float[]"
# A chunk of a TOAST table has at most 2,000 bytes, behind its key.
CHUNK = "'{{4,4,0,4},{4,4,0,4},{-1,4,0,2000}}'::float[]"


@check_of(
    f"""SELECT coalesce(o.oid, c.oid)::regclass::text AS name, o.oid IS NOT NULL AS toast, c.relpages * p.page AS bytes,
              c.reltuples::float AS rows, p.page, CASE WHEN o.oid IS NULL THEN w.columns ELSE {CHUNK} END AS columns,
              coalesce((SELECT option_value::float FROM pg_options_to_table(c.reloptions)
                         WHERE option_name = 'fillfactor'), 100) AS fillfactor,
              has_table_privilege(c.oid, 'SELECT') AS readable
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        CROSS JOIN (SELECT current_setting('block_size')::float AS page) p
         LEFT JOIN pg_class o ON o.reltoastrelid = c.oid
         LEFT JOIN LATERAL (
              SELECT array_agg({COLUMN} ORDER BY a.attnum) AS columns
                FROM pg_attribute a
                LEFT JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname
                      AND s.attname = a.attname AND NOT s.inherited
               WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) w ON o.oid IS NULL
        WHERE c.relkind IN ('r', 'm', 't') AND c.oid >= 16384 AND c.relpersistence <> 't'
          AND c.reltuples >= 0 AND c.relpages * p.page >= {LEAST}""",  # noqa: S608  (constants)
    scope="database",
    warn=0.5,
    fail=0.9,
)
def table_bloat(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Tables that are mostly empty space, 8 MiB of it or more (limits as a share of the table; an estimate).

    Every scan reads the space, and backups carry it. VACUUM keeps it for new rows; only a rewrite gives it back.
    """
    known = [row for row in rows if _known(row)]
    found = [one for row in known if (one := _lost(limits, row, row.bytes - needed(row), rewriting(row), part(row)))]
    return _worst(found, [row for row in rows if not _known(row)], "tables")


def rewriting(row: Any) -> str:
    """Return the lines that write a table anew."""
    return (
        "-- locks everyone out while it runs, and needs the space of a second copy; pg_repack does not lock\n"
        f"SET lock_timeout = '2s';\nVACUUM (FULL, ANALYZE) {row.name};"
    )


def _known(row: Any) -> bool:
    return row.columns is not None and all(width is not None for *_, width in row.columns)


def _lost(limits: Limits, row: Any, lost: float, fix: str, its: str = "", how: str = "about ") -> Finding | None:
    """Return the finding of so many bytes; None where they are few."""
    if lost < LEAST:
        return None
    share = lost / row.bytes
    text = f"{named(row) if its else row.name}: {how}{size(lost)} of {size(row.bytes)} is empty ({share:.0%})"
    finding = limits.finding(share, text, fix=fix, object=row.name, part=its)
    return None if finding.grade is Grade.OK else finding


def _worst(found: list[Finding], unknown: list[Any], what: str) -> Finding | list[Finding]:
    if found:
        return most(sorted(found, key=lambda one: -(one.value or 0)))
    hidden = [row for row in unknown if not row.readable]
    if hidden:
        return Finding(Grade.SKIPPED, f"{len(hidden)} large {what}: needs {NEEDS}")
    if unknown:
        return Finding(Grade.UNKNOWN, f"{len(unknown)} large {what} have no statistics to tell from", "ANALYZE;")
    return Finding(Grade.OK, "little space is lost")


def width_of(columns: list[list[float]]) -> float:
    """Return the average bytes of values with the gaps that alignment leaves between them; short texts need none."""
    offset = 0.0
    for length, align, nulls, width in columns:
        if nulls < 1 and (length > 0 or width > SHORT):
            offset = -(-offset // align) * align
        offset += (1 - nulls) * width
    return offset


def needed(row: Any) -> float:
    """Return the bytes that a table's rows need: each a header, its values on 8-byte borders, and a pointer of 4."""
    bitmap = len(row.columns) / 8 if any(nulls > 0 for *_, nulls, _ in row.columns) else 0.0
    entry = _border(23 + bitmap) + _border(width_of(row.columns)) + 4
    per_page = max(1.0, (row.page - 24) * row.fillfactor / 100 // entry)
    return float(-(-row.rows // per_page) * row.page)


def _border(size: float) -> float:
    return -(-size // 8) * 8


SHORT = 126
"""Bytes: a value of variable length that has no more needs no alignment."""


# What lies in a TOAST table has an average width of 18 in pg_stats, but may have 2,700 bytes in an index. Its values
# are too wide for a histogram: then nothing can be said. The statistics are asked for in a subquery of their own: only
# so are they found by an index, one by one.
@check_of(
    f"""SELECT c.oid::regclass::text AS name, c.relpages * p.page AS bytes, c.reltuples::float AS rows, p.page,
              coalesce((SELECT option_value::float FROM pg_options_to_table(c.reloptions)
                         WHERE option_name = 'fillfactor'), 90) AS fillfactor, i.indisexclusion AS exclusion,
              has_table_privilege(i.indrelid, 'SELECT') AS readable,
              (SELECT array_agg(ARRAY[a.attlen, {ALIGN}]::float[] || coalesce((
                          SELECT ARRAY[s.null_frac, CASE WHEN a.attlen > 0 OR s.null_frac = 1 OR s.most_common_vals
                                         IS NOT NULL OR s.histogram_bounds IS NOT NULL THEN s.avg_width END]
                            FROM pg_stats s
                           WHERE s.schemaname = n.nspname AND NOT s.inherited
                             AND s.attname = coalesce(o.attname, a.attname)
                             AND s.tablename = CASE WHEN o.attname IS NULL THEN c.relname ELSE t.relname END),
                          '{{NULL,NULL}}') ORDER BY a.attnum)
                 FROM pg_attribute a
                 LEFT JOIN pg_attribute o ON o.attrelid = i.indrelid AND o.attnum = nullif(i.indkey[a.attnum - 1], 0)
                WHERE a.attrelid = c.oid) AS columns
         FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid JOIN pg_class t ON t.oid = i.indrelid
         JOIN pg_namespace n ON n.oid = c.relnamespace
        CROSS JOIN (SELECT current_setting('block_size')::float AS page) p
        WHERE c.relkind = 'i' AND c.oid >= 16384 AND c.relam = (SELECT oid FROM pg_am WHERE amname = 'btree')
          AND c.relpersistence <> 't' AND c.reltuples >= 0 AND c.relpages * p.page >= {LEAST}
          AND i.indisvalid AND t.relkind <> 't'""",  # noqa: S608  (constants)
    scope="database",
    warn=0.5,
    fail=0.9,
)
def index_bloat(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """B-tree indexes that are mostly empty space, 8 MiB of it or more (limits as a share of the index; an estimate).

    Pages that deletes have emptied in part are not given back. Reading the index costs more, and so does memory.
    """
    known = [row for row in rows if _known(row)]
    found = [one for row in known if (one := _lost(limits, row, row.bytes - needed_by_index(row), rebuilding(row)))]
    return _worst(found, [row for row in rows if not _known(row)], "indexes")


def rebuilding(row: Any) -> str:
    """Return the line that builds an index anew; without a lock_timeout, which would leave it half done."""
    if row.exclusion:
        return f"-- stops writes while it runs: it serves an exclusion constraint\nREINDEX INDEX {row.name};"
    return f"REINDEX INDEX CONCURRENTLY {row.name};"


def needed_by_index(row: Any) -> float:
    """Return the bytes that the entries of a B-tree need at most: equal keys share one entry."""
    header = 16 if any(nulls > 0 for *_, nulls, _ in row.columns) else 8
    entry = header + _border(width_of(row.columns)) + 4
    per_page = max(1.0, (row.page - 40) * row.fillfactor / 100 // entry)
    return float((-(-row.rows // per_page) + 2) * row.page)


@check_of(
    "SELECT NULL AS name",
    extended=(
        "pgstattuple",
        f"""WITH large AS (
           SELECT c.oid, c.relkind, c.relpages * p.page AS bytes
             FROM pg_class c CROSS JOIN (SELECT current_setting('block_size')::float AS page) p
            WHERE (c.relkind IN ('r', 'm', 't') OR c.relkind = 'i' AND EXISTS (
                      SELECT FROM pg_index i JOIN pg_am m ON m.oid = c.relam
                       WHERE i.indexrelid = c.oid AND i.indisvalid AND m.amname = 'btree'))
              AND c.oid >= 16384 AND c.relpersistence <> 't' AND c.relpages * p.page >= {LEAST}
            ORDER BY c.relpages DESC LIMIT 200),
       bounded AS (SELECT *, sum(bytes) OVER (ORDER BY bytes, oid) AS until FROM large)
       SELECT coalesce(o.oid, b.oid)::regclass::text AS name, b.relkind = 'i' AS index, o.oid IS NOT NULL AS toast,
              b.bytes, false AS exclusion,
              CASE WHEN b.relkind = 'i' THEN (SELECT 1 - avg_leaf_density / 100 FROM {{schema}}.pgstatindex(b.oid))
                   ELSE (SELECT (approx_free_percent + dead_tuple_percent) / 100
                           FROM {{schema}}.pgstattuple_approx(b.oid)) END AS share
         FROM bounded b LEFT JOIN pg_class o ON o.reltoastrelid = b.oid WHERE b.until <= {MOST}""",  # noqa: S608  (constants)
    ),
    scope="database",
    warn=0.5,
    fail=0.9,
    cost="deep",
)
def measured_bloat(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Tables and B-tree indexes that pgstattuple finds mostly empty, 8 MiB or more (limits as a share of them).

    It is read, not estimated, so only what fits in 4 GiB is looked at, the smallest first.
    """
    if any(row.name is None for row in rows):
        return Finding(Grade.SKIPPED, "needs the extension pgstattuple: CREATE EXTENSION pgstattuple;")
    found = []
    for row in rows:
        fix = rebuilding(row) if row.index else rewriting(row)
        found.append(_lost(limits, row, row.bytes * (row.share or 0.0), fix, part(row), ""))
    return _worst([one for one in found if one], [], "relations")


@check_of(
    f"""SELECT c.oid::regclass::text AS name, c.relpages * current_setting('block_size')::float AS bytes,
              greatest(pg_stat_get_live_tuples(c.oid), c.reltuples, 0)::float AS rows,
              CASE WHEN c.reltoastrelid = 0 THEN {ROW} ELSE {WIDE_ROW} END::float AS width
         FROM pg_class c
        WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind = 'r' AND c.relname <> 'pg_largeobject'
          AND c.relpages > 1000""",  # noqa: S608  (constants)
    scope="database",
    warn=64 * MIB,
)
def catalog_bloat(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Tables of the system catalogue that are much larger than their rows (limit in bytes that are lost).

    Temporary tables by the thousand leave dead rows there; planning each query reads them.
    """
    found = []
    for row in rows:
        text = f"{row.name} has {size(row.bytes)} for {row.rows:,.0f} rows"
        fix = (
            "-- in a window: nobody can plan a query while it runs\n"
            f"SET lock_timeout = '2s';\nVACUUM (FULL, ANALYZE) {row.name};"
        )
        found.append(limits.finding(row.bytes - row.rows * row.width, text, fix=fix, object=row.name))
    return most([one for one in found if one.grade is not Grade.OK]) or Finding(Grade.OK, "the catalogue is compact")
