"""Tables, constraints and triggers that are not what one would think."""

from __future__ import annotations

from typing import Any

from ...view import Grade, count, size
from ..registry import Finding, Limits, check_of, most
from .indexes import THEIRS

LOCK = "SET lock_timeout = '2s';\n"
FOREIGN = (
    "EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')"
)
"""Whether a relation belongs to an extension."""


@check_of(
    f"""SELECT c.oid::regclass::text AS name, greatest(c.reltuples, pg_stat_get_live_tuples(c.oid), 0)::float AS rows,
              (SELECT quote_ident(x.relname) FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
                WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL
                  AND i.indexprs IS NULL AND c.relkind = 'r' AND i.indnatts = i.indnkeyatts
                  AND NOT EXISTS (SELECT FROM unnest(i.indkey::int2[]) k JOIN pg_attribute a
                                   ON a.attrelid = c.oid AND a.attnum = k WHERE NOT a.attnotnull)
                  AND NOT EXISTS (SELECT FROM pg_constraint o WHERE o.conindid = i.indexrelid)
                ORDER BY i.indnatts LIMIT 1) AS candidate
         FROM pg_class c
        WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
          AND c.relnamespace NOT IN {THEIRS} AND NOT {FOREIGN}
          AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)
        ORDER BY rows DESC, name""",  # noqa: S608  (constants)
    scope="database",
    warn=1,
)
def no_primary_key(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Tables without a primary key (limit in rows; a note below).

    No row can be named for sure: logical replication cannot change it, duplicates cannot be told apart.
    """
    found = []
    for row in rows:
        text = f"{row.name} has no primary key"
        if row.candidate:
            fix = f"{LOCK}ALTER TABLE {row.name} ADD PRIMARY KEY USING INDEX {row.candidate};"
            undo = ""
        else:
            fix = (
                "-- or, where columns name a row: ADD PRIMARY KEY (columns). This rewrites the table under a lock:\n"
                f"{LOCK}ALTER TABLE {row.name} ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;"
            )
            undo = f"ALTER TABLE {row.name} DROP COLUMN id;"
        one = limits.finding(row.rows, text, fix=fix, object=row.name, undo=undo)
        found.append(one if one.grade is not Grade.OK else Finding(Grade.INFO, f"{text} (it is empty)", fix, row.name))
    found.sort(key=lambda one: one.grade is Grade.INFO)
    return most(found) or Finding(Grade.OK, "every table has a primary key")


@check_of(
    f"""SELECT o.conrelid::regclass::text AS name, quote_ident(o.conname) AS "constraint", o.contype::text AS kind,
              to_jsonb(o) ->> 'conenforced' = 'false' AS off
         FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid
        WHERE NOT o.convalidated AND o.conparentid = 0 AND c.relnamespace NOT IN {THEIRS}
        ORDER BY name, "constraint\"""",  # noqa: S608  (a constant)
    scope="database",
)
def unvalidated_constraints(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Constraints that are NOT VALID: they hold for new rows only.

    Old rows may break them, and the planner does not rely on them. Validating takes no lock that stops writes.
    """
    found = []
    for row in rows:
        name = f"{row.name}.{row.constraint}"
        if row.off:
            found.append(Finding(Grade.INFO, f"constraint {row.constraint} of {row.name} is not enforced", object=name))
            continue
        fix = f"{LOCK}ALTER TABLE {row.name} VALIDATE CONSTRAINT {row.constraint};"
        found.append(Finding(Grade.WARN, f"constraint {row.constraint} of {row.name} is not validated", fix, name))
    return most(found) or Finding(Grade.OK, "all constraints are validated")


@check_of(
    f"""SELECT g.tgrelid::regclass::text AS name, quote_ident(g.tgname) AS "trigger", g.tgisinternal AS internal,
              (SELECT quote_ident(conname) FROM pg_constraint WHERE oid = g.tgconstraint) AS "constraint"
         FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid
        WHERE g.tgenabled = 'D' AND g.tgparentid = 0 AND c.relnamespace NOT IN {THEIRS}
        ORDER BY 1, 2""",  # noqa: S608  (a constant)
    scope="database",
)
def disabled_triggers(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Triggers that are switched off, also those that hold foreign keys.

    What they should do or refuse has not happened since; switching them on again does not make up for it.
    """
    found: dict[str, Finding] = {}
    for row in rows:
        if row.internal:
            text = f"the foreign key {row.constraint} of {row.name} is not checked: its triggers are disabled"
            fix, undo = (
                f"{LOCK}ALTER TABLE {row.name} ENABLE TRIGGER ALL;",
                f"ALTER TABLE {row.name} DISABLE TRIGGER ALL;",
            )
            name = f"{row.name}.{row.constraint}"
        else:
            text = f"trigger {row.trigger} of {row.name} is disabled"
            fix = f"{LOCK}ALTER TABLE {row.name} ENABLE TRIGGER {row.trigger};"
            undo = f"ALTER TABLE {row.name} DISABLE TRIGGER {row.trigger};"
            name = f"{row.name}.{row.trigger}"
        found.setdefault(name, Finding(Grade.WARN, text, fix, name, undo=undo))
    return most(list(found.values())) or Finding(Grade.OK, "all triggers are enabled")


@check_of(
    f"""SELECT c.oid::regclass::text AS name, greatest(c.reltuples, pg_stat_get_live_tuples(c.oid), 0)::float AS rows,
              c.relpages * current_setting('block_size')::float AS bytes
         FROM pg_class c
        WHERE c.relpersistence = 'u' AND c.relkind = 'r' AND c.relnamespace NOT IN {THEIRS}
        ORDER BY rows DESC, name""",  # noqa: S608  (a constant)
    scope="database",
    warn=1,
)
def unlogged_tables(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Unlogged tables with rows (limit in rows).

    A crash empties them, and no standby and no backup of the files has their rows.
    """
    found = []
    for row in rows:
        text = f"{row.name} ({row.rows:,.0f} rows, {size(row.bytes)}) is unlogged"
        fix = f"-- writes it to WAL under a lock; or say that it may be lost: [[health.ignore]]\n{LOCK}"
        fix += f"ALTER TABLE {row.name} SET LOGGED;"
        undo = f"ALTER TABLE {row.name} SET UNLOGGED;"
        found.append(limits.finding(row.rows, text, fix=fix, object=row.name, undo=undo))
    return most([one for one in found if one.grade is not Grade.OK]) or Finding(Grade.OK, "what is stored is logged")


@check_of(
    f"""SELECT f.conrelid::regclass::text AS name, quote_ident(a.attname) AS "column",
              format_type(a.atttypid, a.atttypmod) AS type, format_type(b.atttypid, b.atttypmod) AS target_type,
              f.confrelid::regclass::text AS target, quote_ident(b.attname) AS target_column
         FROM pg_constraint f
        CROSS JOIN LATERAL unnest(f.conkey, f.confkey) AS k (ours, theirs)
         JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.ours
         JOIN pg_attribute b ON b.attrelid = f.confrelid AND b.attnum = k.theirs
        WHERE f.contype = 'f' AND f.conparentid = 0 AND a.atttypid <> b.atttypid
          AND a.atttypid NOT IN (SELECT oid FROM pg_type WHERE typtype = 'd')
          AND b.atttypid NOT IN (SELECT oid FROM pg_type WHERE typtype = 'd')
          AND f.connamespace NOT IN {THEIRS}
        ORDER BY 1, 2""",  # noqa: S608  (a constant)
    scope="database",
)
def foreign_key_types(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Foreign keys whose column has another type than what it points to.

    A narrower one cannot point to every row; others keep indexes from being used.
    """
    found = []
    for row in rows:
        text = f"{row.name}.{row.column} is {row.type}, {row.target}.{row.target_column}, its target, {row.target_type}"
        fix = (
            f"-- rewrites the table under a lock\n{LOCK}"
            f"ALTER TABLE {row.name} ALTER COLUMN {row.column} TYPE {row.target_type};"
        )
        undo = f"ALTER TABLE {row.name} ALTER COLUMN {row.column} TYPE {row.type};"
        found.append(Finding(Grade.WARN, text, fix, f"{row.name}.{row.column}", undo=undo))
    return most(found) or Finding(Grade.OK, "foreign keys have the type of their target")


@check_of(
    f"""SELECT DISTINCT c.oid::regclass::text AS name, c.relreplident::text AS identity
         FROM pg_class c
         JOIN (SELECT prrelid AS oid FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
                WHERE p.pubupdate OR p.pubdelete
                UNION
               SELECT t.oid FROM pg_class t, pg_publication p
                WHERE p.puballtables AND (p.pubupdate OR p.pubdelete) AND t.relkind = 'r' AND t.relpersistence = 'p'
                UNION
               SELECT t.oid FROM pg_class t
                 JOIN (SELECT (to_jsonb(s) ->> 'pnnspid')::oid AS oid
                         FROM pg_publication p, LATERAL (SELECT * FROM pg_publication_namespace
                                                          WHERE pnpubid = p.oid) s
                        WHERE p.pubupdate OR p.pubdelete) n ON n.oid = t.relnamespace
                WHERE t.relkind = 'r' AND t.relpersistence = 'p') u USING (oid)
        WHERE c.relnamespace NOT IN {THEIRS} AND c.relkind = 'r'
          AND (c.relreplident = 'n' OR c.relreplident = 'd' AND NOT EXISTS (
               SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary))
        ORDER BY 1""",  # noqa: S608  (a constant)
    before=(
        15,
        f"""SELECT DISTINCT c.oid::regclass::text AS name, c.relreplident::text AS identity
         FROM pg_class c
         JOIN (SELECT prrelid AS oid FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
                WHERE p.pubupdate OR p.pubdelete
                UNION
               SELECT t.oid FROM pg_class t, pg_publication p
                WHERE p.puballtables AND (p.pubupdate OR p.pubdelete) AND t.relkind = 'r'
                  AND t.relpersistence = 'p') u USING (oid)
        WHERE c.relnamespace NOT IN {THEIRS} AND c.relkind = 'r'
          AND (c.relreplident = 'n' OR c.relreplident = 'd' AND NOT EXISTS (
               SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary))
        ORDER BY 1""",  # noqa: S608  (a constant)
    ),
    scope="database",
)
def replica_identity(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Published tables whose rows cannot be named to a subscriber.

    UPDATE and DELETE on them fail: the application gets the error.
    """
    found = [
        Finding(
            Grade.FAIL,
            f"{row.name} is published and has no replica identity",
            "-- better: a primary key. At once, at the price of more WAL:\n"
            f"{LOCK}ALTER TABLE {row.name} REPLICA IDENTITY FULL;",
            row.name,
            undo=f"ALTER TABLE {row.name} REPLICA IDENTITY {'NOTHING' if row.identity == 'n' else 'DEFAULT'};",
        )
        for row in rows
    ]
    return most(found) or Finding(Grade.OK, "published rows can be named")


@check_of(
    f"""SELECT c.oid::regclass::text AS name, p.oid::regclass::text AS parent,
              greatest(c.reltuples, pg_stat_get_live_tuples(c.oid))::float AS rows
         FROM pg_partitioned_table t JOIN pg_class c ON c.oid = t.partdefid JOIN pg_class p ON p.oid = t.partrelid
        WHERE p.relnamespace NOT IN {THEIRS}""",  # noqa: S608  (a constant)
    scope="database",
    warn=1,
)
def default_partitions(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Default partitions that hold rows (limit in rows).

    A partition for these rows is missing, and making it now must read the whole default partition under a lock.
    """
    found = []
    for row in rows:
        text = f"{row.name}, the default partition of {row.parent}, holds {row.rows:,.0f} rows"
        fix = (
            f"-- move them out, make the partition that they belong to, put them back:\nBEGIN;\n{LOCK}"
            f"ALTER TABLE {row.parent} DETACH PARTITION {row.name};\n"
            f"-- CREATE TABLE ... PARTITION OF {row.parent} FOR VALUES ...;\n"
            f"INSERT INTO {row.parent} TABLE {row.name};\nTRUNCATE {row.name};\n"
            f"ALTER TABLE {row.parent} ATTACH PARTITION {row.name} DEFAULT;\nCOMMIT;"
        )
        found.append(limits.finding(row.rows, text, fix=fix, object=row.name))
    return most([one for one in found if one.grade is not Grade.OK]) or Finding(
        Grade.OK, "default partitions are empty"
    )


@check_of(
    f"""SELECT a.attrelid::regclass::text || '.' || quote_ident(a.attname) AS name,
              format_type(a.atttypid, a.atttypmod) AS type
         FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        WHERE a.atttypid IN ('timestamp'::regtype, 'bpchar'::regtype, 'money'::regtype, 'json'::regtype,
                             'timetz'::regtype)
          AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p') AND NOT c.relispartition
          AND c.relpersistence <> 't' AND c.relnamespace NOT IN {THEIRS}
        ORDER BY 1""",  # noqa: S608  (a constant)
    scope="database",
    cost="deep",
)
def column_types(rows: list[Any], limits: Limits) -> Finding:
    """Columns of types that surprise: timestamp without time zone, char(n), money, json."""
    if not rows:
        return Finding(Grade.OK, "no column has a type that surprises")
    names = ", ".join(f"{row.name} ({row.type})" for row in rows[:10])
    more = f" and {len(rows) - 10} more" if len(rows) > 10 else ""
    fix = "-- better: timestamptz, text, numeric, jsonb. ALTER TABLE ... ALTER COLUMN ... TYPE rewrites the table"
    return Finding(Grade.INFO, f"{count(len(rows), 'column')}: {names}{more}", fix, rows[0].name, len(rows))
