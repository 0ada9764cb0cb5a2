"""Whether the data can be believed: checksums, collations, extensions."""

from __future__ import annotations

from typing import Any

from ...view import Grade, count
from ..registry import Finding, Limits, check_of, most

MIB = 1024**2
MOST = 1024 * MIB
"""Bytes that are read in search of damage, the smallest relations first."""
WITHOUT = "needs the extension amcheck: CREATE EXTENSION amcheck;"
ALLOWED = """NOT EXISTS (SELECT FROM pg_extension e JOIN pg_depend d ON d.refobjid = e.oid AND d.deptype = 'e'
                          JOIN pg_proc p ON p.oid = d.objid
                         WHERE e.extname = 'amcheck' AND NOT has_function_privilege(p.oid, 'EXECUTE'))"""
CHOSEN = """SELECT c.oid, c.relkind, sum(c.relpages * p.page) OVER (ORDER BY c.relpages, c.oid) AS until
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           CROSS JOIN (SELECT current_setting('block_size')::float AS page) p
            LEFT JOIN pg_index i ON i.indexrelid = c.oid LEFT JOIN pg_am m ON m.oid = c.relam
           WHERE c.relpersistence <> 't' AND {kinds} AND NOT EXISTS (
                 SELECT FROM pg_locks l WHERE l.relation IN (c.oid, i.indrelid) AND l.mode = 'AccessExclusiveLock'
                    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))"""
INDEXES = CHOSEN.format(kinds="c.relkind = 'i' AND i.indisvalid AND i.indisready AND m.amname = 'btree'")
TABLES = CHOSEN.format(kinds="c.relkind IN ('r', 'm', 't') AND NOT n.nspname IN ('pg_catalog', 'information_schema')")


@check_of(
    """SELECT current_setting('data_checksums') = 'on' AS checked, current_setting('data_directory') AS folder""",
    cost="quick",
)
def checksums_off(rows: list[Any], limits: Limits) -> Finding:
    """Data checksums that are off.

    A page that the disk or the memory has changed is then read as if it were right, and copied into every backup.
    """
    (row,) = rows
    if row.checked:
        return Finding(Grade.OK, "data checksums are on")
    fix = f"-- with the server stopped, as its user:\n-- pg_checksums --enable --progress -D '{row.folder}'"
    return Finding(Grade.INFO, "data checksums are off: a damaged page is not noticed", fix)


@check_of(
    """SELECT datname AS name, quote_ident(datname) AS ident, datcollversion AS then,
              pg_database_collation_actual_version(oid) AS now
         FROM pg_database
        WHERE datname = current_database() AND datcollversion <> pg_database_collation_actual_version(oid)""",
    scope="database",
    min_version=15,
    cost="quick",
)
def database_collation(rows: list[Any], limits: Limits) -> Finding:
    """A database whose collation has changed under it: the C library or ICU was updated.

    Text indexes are sorted by the old order: rows are not found and unique indexes take duplicates, without an error.
    """
    if not rows:
        return Finding(Grade.OK, "the collation is the one that the database was made with")
    (row,) = rows
    return Finding(
        Grade.FAIL,
        f"{row.name} was made with version {row.then} of its collation and now runs with {row.now}",
        f"REINDEX (CONCURRENTLY) DATABASE {row.ident};\nALTER DATABASE {row.ident} REFRESH COLLATION VERSION;",
        row.name,
    )


@check_of(
    """SELECT datname AS name, quote_ident(datname) AS ident, datcollversion AS then,
              pg_database_collation_actual_version(oid) AS now
         FROM pg_database
        WHERE datistemplate AND datcollversion <> pg_database_collation_actual_version(oid)
        ORDER BY datname""",
    min_version=15,
)
def template_collations(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Templates whose collation has changed under them: CREATE DATABASE refuses to copy them.

    It is noticed when somebody needs a database at once: for a restore, for tests.
    """
    found = [
        Finding(
            Grade.WARN,
            f"{row.name} has version {row.then} of its collation, the library {row.now}: CREATE DATABASE refuses it",
            f"-- first, in it, if it has tables of yours: REINDEX DATABASE {row.ident};\n"
            f"ALTER DATABASE {row.ident} REFRESH COLLATION VERSION;",
            row.name,
        )
        for row in rows
    ]
    return found or Finding(Grade.OK, "templates can be copied")


@check_of(
    """SELECT format('%I.%I', cn.nspname, o.collname) AS name, o.collversion AS then,
              pg_collation_actual_version(o.oid) AS now, count(DISTINCT i.indexrelid)::int AS indexes,
              string_agg(DISTINCT format(CASE WHEN i.indisexclusion THEN 'REINDEX INDEX %I.%I;'
                                              ELSE 'REINDEX INDEX CONCURRENTLY %I.%I;' END, n.nspname, c.relname),
                         E'\\n') AS lines
         FROM pg_collation o
         JOIN pg_namespace cn ON cn.oid = o.collnamespace
         JOIN pg_index i ON o.oid = ANY (i.indcollation::oid[])
         JOIN pg_class c ON c.oid = i.indexrelid
         JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE o.collprovider <> 'd' AND o.collversion <> pg_collation_actual_version(o.oid)
          AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        GROUP BY o.oid, o.collname, cn.nspname, o.collversion
        ORDER BY indexes DESC, name""",
    scope="database",
)
def collations(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Collations that have changed under indexes which are sorted by them.

    Rows are not found through such an index and a unique one takes duplicates, until it is built again.
    """
    found = [
        Finding(
            Grade.FAIL,
            f"{row.name} was version {row.then} and is now {row.now}: rebuild {count(row.indexes, 'index', 'indexes')}",
            f"{row.lines}\nALTER COLLATION {row.name} REFRESH VERSION;",
            row.name,
        )
        for row in rows
    ]
    return most(found) or Finding(Grade.OK, "every index is sorted by the collation that runs")


@check_of(
    """SELECT e.extname AS name, quote_ident(e.extname) AS ident, e.extversion AS installed,
              a.default_version AS offered
         FROM pg_extension e LEFT JOIN pg_available_extensions a ON a.name = e.extname
        WHERE a.name IS NULL
           OR a.default_version <> e.extversion
              AND EXISTS (SELECT FROM pg_extension_update_paths(e.extname) p
                           WHERE p.source = e.extversion AND p.target = a.default_version AND p.path IS NOT NULL)
        ORDER BY e.extname""",
    scope="database",
)
def extension_updates(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Extensions whose SQL side is older than the library that is installed, or whose files are gone.

    Updating the package is half of it: fixes of its functions and views come with ALTER EXTENSION only. Without its
    files functions fail where they are called first, and no dump of the database can be restored here.
    """
    found = []
    for row in rows:
        text = f"extension {row.name} is at {row.installed}, the server has {row.offered}"
        fix = f"ALTER EXTENSION {row.ident} UPDATE TO '{row.offered}';"
        if row.offered is None:
            text = f"extension {row.name} {row.installed} is in use, and the server has no files of it"
            fix = f"-- install its package on the host; or, where nothing needs it: DROP EXTENSION {row.ident};"
        found.append(Finding(Grade.WARN, text, fix, row.name))
    return most(found) or Finding(Grade.OK, "every extension is at the server's version")


@check_of("SELECT datname AS name, quote_ident(datname) AS ident FROM pg_database WHERE datconnlimit = -2 ORDER BY 1")
def broken_databases(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Databases whose DROP DATABASE was interrupted: nobody can connect, and their files are partly gone.

    They still hold disk space, and back the transaction ids of the whole server.
    """
    found = [
        Finding(Grade.FAIL, f"{row.name} was half dropped", f"DROP DATABASE {row.ident};", row.name) for row in rows
    ]
    return most(found) or Finding(Grade.OK, "no database is half dropped")


@check_of(
    "SELECT NULL AS name",
    extended=(
        "amcheck",
        f"""SELECT count(*)::text AS name, count({{schema}}.bt_index_check(oid)::text) AS checked
              FROM ({INDEXES}) c WHERE until <= {MOST}""",  # noqa: S608  (constants)
    ),
    scope="database",
    cost="deep",
    guard=ALLOWED,
    needs="EXECUTE on amcheck's functions: GRANT EXECUTE ON FUNCTION bt_index_check(regclass) TO <role>;",
)
def damaged_indexes(rows: list[Any], limits: Limits) -> Finding:
    """B-tree indexes whose order amcheck finds broken: rows are there, and are not found.

    They are read, so only what fits in 1 GiB is looked at, the smallest first. The first that is damaged ends it: look
    again when that one is mended.
    """
    (row,) = rows
    if row.name is None:
        return Finding(Grade.SKIPPED, WITHOUT)
    return Finding(Grade.OK, f"amcheck has read {count(int(row.name), 'index', 'indexes')}")


@check_of(
    "SELECT NULL AS name",
    extended=(
        "amcheck",
        f"""SELECT c.oid::regclass::text AS name, v.faults, v.first
              FROM ({TABLES}) c CROSS JOIN LATERAL (
                   SELECT count(*) AS faults, (array_agg(format('block %s: %s', blkno, msg)))[1] AS first
                     FROM {{schema}}.verify_heapam(c.oid, on_error_stop => true)) v
             WHERE c.until <= {MOST} AND v.faults > 0 ORDER BY name""",  # noqa: S608  (constants)
    ),
    scope="database",
    cost="deep",
    guard=ALLOWED,
    needs="EXECUTE on amcheck's functions: GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO <role>;",
)
def damaged_tables(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Tables whose pages amcheck finds damaged: rows are lost, or come back that were deleted.

    They are read, so only what fits in 1 GiB is looked at, the smallest first.
    """
    if any(row.name is None for row in rows):
        return Finding(Grade.SKIPPED, WITHOUT)
    fix = "-- keep a copy of the data folder first; then restore a backup beside it, and compare: inv backup.list"
    found = [Finding(Grade.FAIL, f"{row.name} is damaged: {row.first}", fix, row.name) for row in rows]
    return most(found) or Finding(Grade.OK, "amcheck finds no table damaged")
