"""Tables, constraints and triggers that are not what one would think."""

from __future__ import annotations

from typing import Any

from ...view import Grade, count, size, span
from ..catalogue import MEMBERS, THEIRS
from ..registry import Finding, Limits, check_of, most

DAY = 86400.0
NEWEST = 100
"""Of each table, the partitions that were made last: to read a bound costs what opening a table does."""
LOCK = "SET lock_timeout = '2s';\n"
# Of a table c: an index that names each row, and could be its key.
NAMING = """i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL
    AND i.indexprs IS NULL AND c.relkind = 'r'
    AND NOT EXISTS (SELECT FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
                      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
                     WHERE k.place <= i.indnkeyatts AND NOT a.attnotnull)"""

# A constraint takes over an index that is sorted as it would sort itself.
PLAIN = """coalesce(to_jsonb(i) ->> 'indnullsnotdistinct', 'false') = 'false'
    AND NOT EXISTS (SELECT FROM unnest(i.indkey::int2[], i.indclass::oid[], i.indcollation::oid[], i.indoption::int2[])
                                AS k (attnum, class, sorted, options)
                      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
                      JOIN pg_opclass o ON o.oid = k.class
                     WHERE k.options <> 0 OR k.sorted <> a.attcollation OR NOT o.opcdefault)"""


@check_of(
    f"""SELECT c.oid::regclass::text AS name, greatest(c.reltuples, pg_stat_get_live_tuples(c.oid), 0)::float AS rows,
              (SELECT quote_ident(x.relname) FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
                WHERE {NAMING} AND {PLAIN} AND NOT EXISTS (SELECT FROM pg_constraint o WHERE o.conindid = i.indexrelid)
                ORDER BY i.indnatts LIMIT 1) AS candidate,
              (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
                 FROM pg_partitioned_table t JOIN pg_attribute a ON a.attrelid = t.partrelid
                      AND a.attnum = ANY (t.partattrs::int2[]) WHERE t.partrelid = c.oid) AS partitioned_by,
              EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'id') AS taken
         FROM pg_class c
        WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
          AND c.relnamespace NOT IN {THEIRS} AND c.oid NOT IN {MEMBERS}
          AND c.oid NOT IN (SELECT i.indrelid FROM pg_index i WHERE i.indisprimary)
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
        fix, undo = _key(row)
        one = limits.finding(row.rows, text, fix=fix, object=row.name, undo=undo)
        found.append(one if one.grade is not Grade.OK else Finding(Grade.INFO, f"{text} (it is empty)", fix, row.name))
    found.sort(key=lambda one: one.grade is Grade.INFO)
    return most(found) or Finding(Grade.OK, "every table has a primary key")


def _key(row: Any) -> tuple[str, str]:
    """Return the lines that give a table a primary key, and those that take it away."""
    if row.candidate:
        return f"{LOCK}ALTER TABLE {row.name} ADD PRIMARY KEY USING INDEX {row.candidate};", ""
    if row.partitioned_by:
        return (
            f"-- with the columns that name a row: ALTER TABLE {row.name} ADD PRIMARY KEY ({row.partitioned_by});",
            "",
        )
    if row.taken:
        fix = "-- if it names each row; reads the table under a lock\n"
        return f"{fix}{LOCK}ALTER TABLE {row.name} ADD PRIMARY KEY (id);", ""
    fix = "-- or, where columns name a row: ADD PRIMARY KEY (columns). This rewrites the table under a lock:\n"
    fix += f"{LOCK}ALTER TABLE {row.name} ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;"
    return fix, f"{LOCK}ALTER TABLE {row.name} DROP COLUMN id;"


@check_of(
    f"""SELECT CASE WHEN o.conrelid <> 0 THEN o.conrelid::regclass::text ELSE o.contypid::regtype::text END AS name,
              quote_ident(o.conname) AS "constraint", CASE WHEN o.conrelid <> 0 THEN 'TABLE' ELSE 'DOMAIN' END AS kind,
              coalesce(to_jsonb(o) ->> 'conenforced' = 'false', false) AS off
         FROM pg_constraint o
        WHERE NOT o.convalidated AND o.conparentid = 0 AND (o.conislocal OR o.coninhcount = 0)
          AND o.connamespace NOT IN {THEIRS}
        ORDER BY 1, 2""",  # noqa: S608  (a constant)
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
        fix = f"{LOCK}ALTER {row.kind} {row.name} VALIDATE CONSTRAINT {row.constraint};"
        found.append(Finding(Grade.WARN, f"constraint {row.constraint} of {row.name} is not validated", fix, name))
    return most(found) or Finding(Grade.OK, "all constraints are validated")


# A partition's trigger goes with that of its parent, unless it was switched off by itself.
@check_of(
    f"""SELECT coalesce(o.conrelid, g.tgrelid)::regclass::text AS name,
              coalesce((SELECT k.contype::text FROM pg_constraint k WHERE k.oid = o.oid), 'trigger') AS kind,
              quote_ident(coalesce(o.conname, g.tgname)) AS part,
              string_agg(format('ALTER TABLE %s ENABLE TRIGGER %I;', g.tgrelid::regclass, g.tgname), E'\\n'
                         ORDER BY g.tgname) AS "on",
              string_agg(format('ALTER TABLE %s DISABLE TRIGGER %I;', g.tgrelid::regclass, g.tgname), E'\\n'
                         ORDER BY g.tgname) AS off
         FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid
         LEFT JOIN pg_constraint o ON o.oid = g.tgconstraint AND g.tgisinternal
        WHERE g.tgenabled = 'D' AND c.relnamespace NOT IN {THEIRS} AND g.tgrelid NOT IN {MEMBERS}
          AND NOT EXISTS (SELECT FROM pg_trigger p WHERE p.oid = g.tgparentid AND p.tgenabled = 'D')
        GROUP BY 1, 2, 3, CASE WHEN o.oid IS NULL THEN g.oid ELSE o.oid END
        UNION ALL
       SELECT c.oid::regclass::text, 'rule', quote_ident(r.rulename),
              format('ALTER TABLE %s ENABLE RULE %I;', c.oid::regclass, r.rulename),
              format('ALTER TABLE %s DISABLE RULE %I;', c.oid::regclass, r.rulename)
         FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
        WHERE r.ev_enabled = 'D' AND c.relnamespace NOT IN {THEIRS} AND c.oid NOT IN {MEMBERS}
        UNION ALL
       SELECT NULL, 'event', quote_ident(evtname), format('ALTER EVENT TRIGGER %I ENABLE;', evtname),
              format('ALTER EVENT TRIGGER %I DISABLE;', evtname)
         FROM pg_event_trigger WHERE evtenabled = 'D'
        ORDER BY 1, 3""",  # noqa: S608  (constants)
    scope="database",
)
def disabled_triggers(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Triggers and rules that are switched off, also those that hold foreign keys, and event triggers.

    What they should do or refuse has not happened since; switching them on again does not make up for it.
    """
    found = []
    for row in rows:
        name = f"{row.name}.{row.part}" if row.name else row.part
        text = {
            "f": f"the foreign key {row.part} of {row.name} is not checked: its triggers are disabled",
            "trigger": f"trigger {row.part} of {row.name} is disabled",
            "rule": f"rule {row.part} of {row.name} is disabled",
            "event": f"event trigger {row.part} is disabled",
        }.get(row.kind, f"the constraint {row.part} of {row.name} is not checked: its triggers are disabled")
        found.append(Finding(Grade.WARN, text, LOCK + row.on, name, undo=LOCK + row.off))
    return most(found) or Finding(Grade.OK, "all triggers are enabled")


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
    f"""SELECT c.oid::regclass::text AS name FROM pg_class c
        WHERE c.relkind = 'm' AND NOT c.relispopulated AND c.relnamespace NOT IN {THEIRS}
          AND c.oid <> ALL (ARRAY(SELECT k.relation FROM pg_locks k  -- who fills it has it
                                   WHERE k.locktype = 'relation' AND k.mode = 'AccessExclusiveLock'))
        ORDER BY 1""",  # noqa: S608  (a constant)
    scope="database",
)
def unpopulated_views(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Materialized views that were never filled, or emptied: each query of one fails.

    It was made WITH NO DATA, or restored by somebody who left out the end.
    """
    found = []
    for row in rows:
        fix, undo = (f"REFRESH MATERIALIZED VIEW {row.name}{words};" for words in ("", " WITH NO DATA"))
        found.append(Finding(Grade.WARN, f"{row.name} has not been populated: queries fail", fix, row.name, undo=undo))
    return most(found) or Finding(Grade.OK, "every materialized view is filled")


@check_of(
    f"""WITH pairs AS MATERIALIZED (
            SELECT o.conrelid, o.confrelid, k.ours, k.theirs,
                   (SELECT a.atttypid FROM pg_attribute a WHERE a.attrelid = o.conrelid AND a.attnum = k.ours) AS type,
                   (SELECT a.atttypid FROM pg_attribute a WHERE a.attrelid = o.confrelid AND a.attnum = k.theirs)
                       AS target_type
              FROM pg_constraint o CROSS JOIN LATERAL unnest(o.conkey, o.confkey) AS k (ours, theirs)
             WHERE o.contype = 'f' AND o.conparentid = 0 AND o.connamespace NOT IN {THEIRS} OFFSET 0),
       different AS MATERIALIZED (
            SELECT * FROM pairs p WHERE p.type <> p.target_type
               AND NOT (p.type IN ('text'::regtype, 'varchar'::regtype)
                        AND p.target_type IN ('text'::regtype, 'varchar'::regtype))
               AND NOT EXISTS (SELECT FROM pg_type d WHERE d.oid IN (p.type, p.target_type) AND d.typtype = 'd'))
       SELECT p.conrelid::regclass::text AS name, quote_ident(a.attname) AS "column",
              format_type(a.atttypid, a.atttypmod) AS type, format_type(b.atttypid, b.atttypmod) AS target_type,
              p.confrelid::regclass::text AS target, quote_ident(b.attname) AS target_column
         FROM different p
        CROSS JOIN LATERAL (SELECT * FROM pg_attribute
                             WHERE attrelid = p.conrelid AND attnum = p.ours OFFSET 0) a
        CROSS JOIN LATERAL (SELECT * FROM pg_attribute
                             WHERE attrelid = p.confrelid AND attnum = p.theirs OFFSET 0) b
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
        undo = f"{LOCK}ALTER TABLE {row.name} ALTER COLUMN {row.column} TYPE {row.type};"
        found.append(Finding(Grade.WARN, text, fix, f"{row.name}.{row.column}", undo=undo))
    return most(found) or Finding(Grade.OK, "foreign keys have the type of their target")


PUBLISHED = """WITH RECURSIVE published(oid) AS (
            SELECT p.oid FROM ({whole}) p
             UNION
            SELECT h.inhrelid FROM published p JOIN pg_inherits h ON h.inhparent = p.oid)"""
NAMED = """SELECT r.prrelid AS oid FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
                     WHERE p.pubupdate OR p.pubdelete"""
ALL = """SELECT t.oid FROM pg_class t WHERE t.relkind = 'r' AND t.relpersistence = 'p' AND EXISTS (
                    SELECT FROM pg_publication p WHERE p.puballtables AND (p.pubupdate OR p.pubdelete))"""
SCHEMAS = """SELECT t.oid FROM pg_class t JOIN pg_publication_namespace s ON s.pnnspid = t.relnamespace
                      JOIN pg_publication p ON p.oid = s.pnpubid
                     WHERE t.relkind = 'r' AND t.relpersistence = 'p' AND (p.pubupdate OR p.pubdelete)"""
NAMELESS = f"""
       SELECT c.oid::regclass::text AS name, c.relreplident::text AS identity,
              (SELECT quote_ident(x.relname) FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
                WHERE {NAMING} ORDER BY NOT i.indisprimary, i.indnatts LIMIT 1) AS candidate
         FROM published u JOIN pg_class c ON c.oid = u.oid
        WHERE c.relnamespace NOT IN {THEIRS} AND c.relkind = 'r' AND c.relreplident <> 'f'
          AND (c.relreplident = 'n' OR NOT EXISTS (
               SELECT FROM pg_index i WHERE i.indrelid = c.oid
                  AND CASE c.relreplident WHEN 'd' THEN i.indisprimary ELSE i.indisreplident END))
        ORDER BY 1"""  # noqa: S608  (constants)


@check_of(
    PUBLISHED.format(whole=f"{NAMED} UNION {ALL} UNION {SCHEMAS}") + NAMELESS,
    before=(15, PUBLISHED.format(whole=f"{NAMED} UNION {ALL}") + NAMELESS),
    scope="database",
)
def replica_identity(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Published tables whose rows cannot be named to a subscriber.

    UPDATE and DELETE on them fail: the application gets the error.
    """
    found = []
    for row in rows:
        fix = "-- better: a primary key. At once, at the price of more WAL:\n"
        fix += f"{LOCK}ALTER TABLE {row.name} REPLICA IDENTITY FULL;"
        if row.candidate:
            fix = f"{LOCK}ALTER TABLE {row.name} REPLICA IDENTITY USING INDEX {row.candidate};"
        undo = f"{LOCK}ALTER TABLE {row.name} REPLICA IDENTITY {'NOTHING' if row.identity == 'n' else 'DEFAULT'};"
        text = f"{row.name} is published and has no replica identity"
        found.append(Finding(Grade.FAIL, text, fix, row.name, undo=undo))
    return most(found) or Finding(Grade.OK, "published rows can be named")


# While DETACH ... CONCURRENTLY is at work, it waits for transactions and holds no lock that would tell.
@check_of(
    """SELECT c.oid::regclass::text AS name, p.oid::regclass::text AS parent,
              greatest(c.reltuples, pg_stat_get_live_tuples(c.oid), 0)::float AS rows
         FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid JOIN pg_class p ON p.oid = h.inhparent
        WHERE h.inhdetachpending
          AND NOT EXISTS (SELECT FROM pg_stat_activity a
                           WHERE a.datname = current_database() AND a.state = 'active' AND a.pid <> pg_backend_pid()
                             AND a.query ~* '\\mdetach\\M.*\\mconcurrently\\M')
        ORDER BY 1""",
    scope="database",
)
def half_detached(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Partitions whose DETACH ... CONCURRENTLY was interrupted.

    Queries of the table do not see their rows any more, and no other partition can be detached until this is finished.
    """
    found = []
    for row in rows:
        text = f"{row.name} ({row.rows:,.0f} rows) was half detached from {row.parent}"
        fix = f"-- it stays as a table of its own; ATTACH PARTITION brings its rows back\n{LOCK}"
        fix += f"ALTER TABLE {row.parent} DETACH PARTITION {row.name} FINALIZE;"
        found.append(Finding(Grade.WARN, text, fix, row.name, row.rows))
    return most(found) or Finding(Grade.OK, "no partition is half detached")


@check_of(
    f"""SELECT c.oid::regclass::text AS name, p.oid::regclass::text AS parent,
              coalesce(l.rows, greatest(c.reltuples, pg_stat_get_live_tuples(c.oid)))::float AS rows
         FROM pg_partitioned_table t JOIN pg_class c ON c.oid = t.partdefid JOIN pg_class p ON p.oid = t.partrelid
         LEFT JOIN LATERAL (
              WITH RECURSIVE parts(oid) AS (
                   SELECT inhrelid FROM pg_inherits WHERE inhparent = c.oid
                   UNION SELECT h.inhrelid FROM parts x JOIN pg_inherits h ON h.inhparent = x.oid)
              SELECT sum(greatest(k.reltuples, pg_stat_get_live_tuples(k.oid), 0)) AS rows
                FROM parts x JOIN pg_class k ON k.oid = x.oid) l ON c.relkind = 'p'
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
    f"""WITH parted AS MATERIALIZED (
            SELECT t.partrelid AS oid, t.partdefid AS spare
              FROM pg_partitioned_table t JOIN pg_class p ON p.oid = t.partrelid
              JOIN pg_attribute a ON a.attrelid = p.oid AND a.attnum = t.partattrs[0]
             WHERE t.partstrat = 'r' AND p.relnamespace NOT IN {THEIRS}
               AND a.atttypid IN ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype)
               AND p.oid <> ALL (ARRAY(SELECT k.relation FROM pg_locks k
                                        WHERE k.locktype = 'relation' AND k.mode = 'AccessExclusiveLock'))),
       newest AS MATERIALIZED (
            SELECT p.oid AS parent, p.spare, h.inhrelid AS oid,
                   row_number() OVER (PARTITION BY p.oid ORDER BY h.inhrelid DESC) AS n
              FROM parted p JOIN pg_inherits h ON h.inhparent = p.oid
             WHERE h.inhrelid <> p.spare AND h.inhrelid <> ALL (ARRAY(SELECT k.relation FROM pg_locks k
                                        WHERE k.locktype = 'relation' AND k.mode = 'AccessExclusiveLock'))),
       parts AS MATERIALIZED (
            SELECT p.parent, p.spare, c.oid, pg_stat_get_tuples_inserted(c.oid) AS inserted,
                   regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \\(([^,)]*).* TO \\(([^,)]*)') AS bounds
              FROM newest p JOIN pg_class c ON c.oid = p.oid WHERE p.n <= {NEWEST}),
       dated AS MATERIALIZED (
            SELECT *, CASE WHEN bounds[1] LIKE $$'%$$ THEN trim(bounds[1], $$'$$)::timestamptz END AS begins,
                   CASE WHEN bounds[2] LIKE $$'%$$ THEN trim(bounds[2], $$'$$)::timestamptz
                        WHEN bounds[2] = 'MAXVALUE' THEN 'infinity' END AS ends FROM parts)
       SELECT DISTINCT ON (d.parent) d.parent::regclass::text AS name, d.oid::regclass::text AS last,
              d.inserted > 0 AS written, d.spare <> 0 AS spare,
              CASE WHEN isfinite(d.ends) THEN extract(epoch FROM now() - d.ends)::float / {DAY} END AS past,
              CASE WHEN isfinite(d.ends) AND isfinite(d.begins)
                   THEN extract(epoch FROM d.ends - d.begins)::float / {DAY} END AS days
         FROM dated d
        ORDER BY d.parent, d.ends DESC NULLS LAST""",  # noqa: S608  (constants)
    scope="database",
    warn=-1,
)
def future_partitions(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Tables partitioned by time whose last partition ends (limits in days after its end: -1 warns a day before).

    From then on inserts fail, or fill the default partition. Where nothing was written to the last one it is a note.
    In the first half of its time whoever makes the next one has not come yet.
    """
    found = []
    for row in (row for row in rows if row.past is not None):
        if row.days is not None and row.past < -row.days / 2:
            continue
        when = f"ends in {span(-row.past * DAY)}" if row.past < 0 else f"ended {span(row.past * DAY)} ago"
        then = "the default partition takes what comes then" if row.spare else "what comes then is refused"
        text = f"the last partition of {row.name}, {row.last}, {when}: {then}"
        fix = f"-- the next one: CREATE TABLE ... PARTITION OF {row.name} FOR VALUES FROM (...) TO (...);"
        one = limits.finding(row.past, text, fix=fix, object=row.name)
        if one.grade is not Grade.OK:
            found.append(one if row.written else Finding(Grade.INFO, text, fix, row.name, row.past))
    return most(found) or Finding(Grade.OK, "tables partitioned by time have a partition for tomorrow")


@check_of(
    f"""SELECT a.attrelid::regclass::text || '.' || quote_ident(a.attname) AS name, x.type
         FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        CROSS JOIN LATERAL (
              SELECT format_type(a.atttypid, a.atttypmod) AS type
               WHERE a.atttypid IN ('timestamp'::regtype, 'bpchar'::regtype, 'money'::regtype, 'json'::regtype,
                                    'timetz'::regtype)
               UNION ALL
              SELECT 'serial' WHERE a.atthasdef AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
                AND EXISTS (SELECT FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
                             WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
                               AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum AND d.deptype = 'a')) x
        WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p') AND NOT c.relispartition
          AND c.relpersistence <> 't' AND c.relnamespace NOT IN {THEIRS} AND c.oid NOT IN {MEMBERS}
        ORDER BY 1""",  # noqa: S608  (constants)
    scope="database",
    cost="deep",
)
def column_types(rows: list[Any], limits: Limits) -> Finding:
    """Columns of types that surprise: timestamp without time zone, char(n), money, json, serial.

    One loses what another keeps: the moment, trailing spaces, the currency, an index, the sequence's rights.
    """
    if not rows:
        return Finding(Grade.OK, "no column has a type that surprises")
    names = ", ".join(f"{row.name} ({row.type})" for row in rows[:10])
    more = f" and {len(rows) - 10} more" if len(rows) > 10 else ""
    fix = "-- better: timestamptz, text, numeric, jsonb, GENERATED ALWAYS AS IDENTITY; a new type rewrites the table"
    return Finding(Grade.INFO, f"{count(len(rows), 'column')}: {names}{more}", fix, rows[0].name, len(rows))
