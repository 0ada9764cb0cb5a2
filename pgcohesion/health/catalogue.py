"""Pieces of SQL that several looks at the catalogue share. None of them waits for a lock."""

from __future__ import annotations

from typing import Any

THEIRS = "(SELECT oid FROM pg_namespace WHERE nspname LIKE 'pg\\_%' OR nspname = 'information_schema')"
"""Schemas that are not the application's."""
PAGE = "current_setting('block_size')::float"
MEMBERS = "(SELECT e.objid FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.deptype = 'e')"
"""Relations that belong to an extension: advice about them would be wrong."""
BEGAN = """(SELECT coalesce(stats_reset, pg_postmaster_start_time()) FROM pg_stat_database
             WHERE datname = current_database())"""
"""When this database's counters began, or later."""
COUNTING = "(SELECT least(a.stats_reset, b.stats_reset) FROM pg_stat_archiver a, pg_stat_bgwriter b)"
"""When the server began to count: at its first start, or after a crash. A database notes nothing until it is reset."""
COUNTED = f"""(SELECT coalesce(stats_reset, {COUNTING}) FROM pg_stat_database WHERE datname = current_database())"""  # noqa: S608  (a constant)
"""When this database's counters began, or earlier, where it was made later than the server."""
# pg_get_indexdef() opens the table: it would wait for who holds, or waits for, ACCESS EXCLUSIVE there.
DEFINITION = f"""CASE WHEN f.n <= 50 AND f.indrelid <> ALL (ARRAY(
       SELECT k.relation FROM pg_locks k WHERE k.locktype = 'relation' AND k.mode = 'AccessExclusiveLock'))
       THEN pg_get_indexdef(f.indexrelid) END AS definition,
       quote_literal(obj_description(f.indexrelid, 'pg_class')) AS comment, x.relkind = 'I' AS parent,
       quote_ident(x.relname) AS short, x.relpages * {PAGE} AS bytes,
       f.indexrelid::regclass::text AS name, f.indrelid::regclass::text AS "table",
       (SELECT quote_ident(s.spcname) FROM pg_tablespace s WHERE s.oid = x.reltablespace) AS space"""  # noqa: S608  (a constant)
"""Of the *n*-th index ``f`` of a result, and its pg_class row ``x``: names, size, and what brings it back."""


def part(row: Any) -> str:
    """Return the part of a table that a row is of: nothing where it is the table itself."""
    return "TOAST table" if row.toast else ""


def named(row: Any) -> str:
    """Return the name of a table, with the part of it that a row is of."""
    return f"{row.name} (its {part(row)})" if row.toast else str(row.name)


def drop(row: Any) -> str:
    """Return the lines that drop an index of which a row has the DEFINITION."""
    # A lock_timeout would end CONCURRENTLY halfway, and leave an index that is not valid.
    line = f"SET lock_timeout = '2s';\nDROP INDEX {row.name};" if row.parent else f"DROP INDEX CONCURRENTLY {row.name};"
    if row.definition:
        return line
    literal = row.name.replace("'", "''")
    return f"SELECT pg_get_indexdef('{literal}'::regclass);  -- keep it: it brings the index back\n{line}"


def create(row: Any) -> str:
    """Return the lines that bring back an index of which a row has the DEFINITION; nothing when it has none."""
    if not row.definition:
        return ""
    verb = "CREATE UNIQUE INDEX" if row.definition.startswith("CREATE UNIQUE") else "CREATE INDEX"
    rest = row.definition.removeprefix(verb)
    if row.parent:
        rest = rest.replace(f" {row.short} ON ONLY ", f" {row.short} ON ", 1)
    lines = [f"{verb}{'' if row.parent else ' CONCURRENTLY'}{rest};"]
    if row.space:
        lines = [f"SET default_tablespace = {row.space};", *lines, "RESET default_tablespace;"]
    if row.comment:
        lines.append(f"COMMENT ON INDEX {row.name} IS {row.comment};")
    return "\n".join(lines)
