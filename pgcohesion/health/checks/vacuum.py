"""Whether dead rows are removed: vacuum and what keeps it from its work."""

from __future__ import annotations

from typing import Any

from ...view import Grade, count, span
from ..altering import alter_system
from ..catalogue import COUNTED, named, part
from ..registry import Finding, Limits, check_of, most
from ..sessions import NEEDS, SEES_ALL

LEAST_DEAD = 10_000
GIB = 1024**3
LEAST_UPDATES = 10_000
SPACED = 90
"""A fillfactor that leaves room for updates; pages that were written before it was set have none yet."""
MOST_COST = 10_000
"""The highest vacuum_cost_limit there is."""
PACE = """current_setting(CASE current_setting('autovacuum_vacuum_cost_limit') WHEN '-1' THEN 'vacuum_cost_limit'
                                   ELSE 'autovacuum_vacuum_cost_limit' END)::int AS cost_limit,
              current_setting(CASE current_setting('autovacuum_vacuum_cost_delay') WHEN '-1' THEN 'vacuum_cost_delay'
                                   ELSE 'autovacuum_vacuum_cost_delay' END) <> '0' AS paced"""
# Of users: what initdb makes has a lower oid. The functions spare the joins of pg_stat_user_tables.
TABLES = "c.relkind IN ('r', 'm') AND c.oid >= 16384 AND c.relpersistence <> 't'"
HOLDERS = """SELECT 'process ' || a.pid AS who, greatest(age(a.backend_xid), age(a.backend_xmin)) AS age,
                    a.xact_start AS since, false AS idle,
                    CASE WHEN a.backend_type <> 'walsender' THEN a.datname END AS database
               FROM pg_stat_activity a
              WHERE coalesce(a.backend_xid, a.backend_xmin) IS NOT NULL AND a.pid <> pg_backend_pid()
                AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum p WHERE p.pid = a.pid)
              UNION ALL
             SELECT 'prepared transaction ' || gid, age(transaction), prepared, true, database FROM pg_prepared_xacts
              UNION ALL
             SELECT 'slot ' || slot_name, age(xmin), NULL, NOT active, NULL FROM pg_replication_slots
              WHERE xmin IS NOT NULL AND coalesce(wal_status, '') <> 'lost'"""
# A younger horizon is that of ordinary work. A slot's catalog_xmin holds no row of a user's table.
HOLDER = f"""(SELECT who, age, extract(epoch FROM clock_timestamp() - since)::float AS seconds FROM ({HOLDERS}) a
               WHERE coalesce(database, current_database()) = current_database()
                 AND (idle OR age >= 1000 OR since < clock_timestamp() - interval '2 s')
               ORDER BY age DESC, since LIMIT 1)"""  # noqa: S608  (constants)

# Autovacuum was there a moment ago and comes again: what died since is the ordinary work of a queue.
SOON = """(current_setting('autovacuum')::bool
    AND pg_stat_get_last_autovacuum_time(c.oid) > now() - 2 * current_setting('autovacuum_naptime')::interval
    AND NOT EXISTS (SELECT FROM pg_options_to_table(c.reloptions)
                     WHERE NOT CASE option_name WHEN 'autovacuum_enabled' THEN option_value::bool ELSE true END))"""


@check_of(
    """SELECT name FROM pg_settings WHERE name IN ('autovacuum', 'track_counts') AND setting = 'off' ORDER BY name""",
    cost="quick",
)
def autovacuum_off(rows: list[Any], limits: Limits) -> Finding:
    """Autovacuum that is switched off, or blind because nothing is counted.

    Tables grow, plans go wrong, and at last the server stops taking writes to protect itself from wraparound.
    """
    if not rows:
        return Finding(Grade.OK, "autovacuum is on")
    names = ", ".join(row.name for row in rows)
    fix = alter_system(*(f"{row.name} = on" for row in rows))
    return Finding(Grade.FAIL, f"off: {names}", fix, names)


TIMID: dict[str, tuple[float, str, str]] = {
    "autovacuum_naptime": (3600, "'1min'", "autovacuum looks at a database once in {}"),
    "autovacuum_vacuum_scale_factor": (1, "0.2", "a table is vacuumed when {:.0%} of its rows are dead"),
    "autovacuum_analyze_scale_factor": (1, "0.1", "a table is analyzed when {:.0%} of its rows have changed"),
    "autovacuum_vacuum_threshold": (1_000_000, "50", "no table with less than {:,.0f} dead rows is vacuumed"),
    "autovacuum_analyze_threshold": (1_000_000, "50", "no table with less than {:,.0f} changed rows is analyzed"),
    "autovacuum_vacuum_cost_delay": (50, "'2ms'", "autovacuum sleeps for {:g} ms after each little work"),
    "autovacuum_freeze_max_age": (1.5e9, "200000000", "nothing is frozen before {:.0%} of all ids are used"),
    "autovacuum_multixact_freeze_max_age": (1.5e9, "400000000", "multixacts wait until {:.0%} of the ids are used"),
}
"""Settings with which autovacuum is on and does not come: from which value on, what is usual, what it means."""
IDS = 2**31
USUAL_COST, LEAST_COST = 200, 20
"""Work after which vacuum sleeps: as it comes, and so little that it never gets done."""


@check_of(
    f"""SELECT name, setting::float AS value, current_setting(name) AS shown, context = 'postmaster' AS restart
         FROM pg_settings, (SELECT {PACE}) p
        WHERE (name LIKE 'autovacuum%' AND name <> 'autovacuum_vacuum_cost_limit'
               OR p.paced AND name = CASE current_setting('autovacuum_vacuum_cost_limit') WHEN '-1'
                                          THEN 'vacuum_cost_limit' ELSE 'autovacuum_vacuum_cost_limit' END)
          AND vartype IN ('integer', 'real') AND current_setting('autovacuum')::bool ORDER BY name""",  # noqa: S608  (constants)
    cost="quick",
)
def timid_autovacuum(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Autovacuum that is on, and set so that it hardly ever comes.

    It is as good as off, and nothing says so. A freeze_max_age near its end leaves no time before the server stops.
    """
    found = []
    for row in rows:
        if row.name.endswith("vacuum_cost_limit"):
            if row.value < LEAST_COST:
                text = f"{row.name} = {row.shown}: autovacuum does {row.value / USUAL_COST:.1%} of its usual work"
                fix = alter_system(f"{row.name} = {USUAL_COST}")
                found.append(Finding(Grade.WARN, text, fix, row.name, row.value, threshold=LEAST_COST))
            continue
        least, usual, means = TIMID.get(row.name, (None, "", ""))
        if least is None or row.value < least:
            continue
        amount = row.value / IDS if least == 1.5e9 else row.value
        text = f"{row.name} = {row.shown}: {means.format(span(amount) if row.name.endswith('naptime') else amount)}"
        fix = alter_system(f"{row.name} = {usual}")
        if row.restart:
            fix = f"-- the server takes it up when it restarts\nALTER SYSTEM SET {row.name} = {usual};"
        found.append(Finding(Grade.WARN, text, fix, row.name, row.value, threshold=least))
    return found or Finding(Grade.OK, "autovacuum comes in time")


@check_of(
    """SELECT c.oid::regclass::text AS name, o.toast, c.reltuples::float AS rows
         FROM pg_class c
         JOIN (SELECT coalesce(t.oid, x.oid) AS oid, t.oid IS NOT NULL AS toast
                 FROM (SELECT oid FROM pg_class
                        WHERE reloptions IS NOT NULL
                          AND EXISTS (SELECT FROM pg_options_to_table(reloptions)
                                       WHERE NOT CASE option_name WHEN 'autovacuum_enabled' THEN option_value::bool
                                                                  ELSE true END)) x
                 LEFT JOIN pg_class t ON t.reltoastrelid = x.oid) o ON o.oid = c.oid
        WHERE c.relkind IN ('r', 'm') AND c.relnamespace <> 'pg_catalog'::regnamespace AND c.relpersistence <> 't'
        ORDER BY c.reltuples DESC, name""",
    scope="database",
)
def autovacuum_off_tables(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Tables that autovacuum leaves alone because of a storage parameter.

    Somebody switched it off for a bulk load and forgot: dead rows pile up and the statistics grow old.
    """
    found = []
    for row in rows:
        name = "toast.autovacuum_enabled" if row.toast else "autovacuum_enabled"
        found.append(
            Finding(
                Grade.WARN,
                f"{row.name} has {name} = off",
                f"SET lock_timeout = '2s';\nALTER TABLE {row.name} RESET ({name});",
                row.name,
                max(row.rows, 0.0),
                undo=f"ALTER TABLE {row.name} SET ({name} = off);",
                part=part(row),
            )
        )
    return most(found) or Finding(Grade.OK, "autovacuum sees every table")


@check_of(
    """SELECT coalesce(t.oid, c.oid)::regclass::text AS name, t.oid IS NOT NULL AS toast, o.option_name AS option,
              o.option_value AS value, c.reltuples::float AS rows
         FROM pg_class c
        CROSS JOIN LATERAL pg_options_to_table(c.reloptions) o
         LEFT JOIN pg_class t ON t.reltoastrelid = c.oid
        WHERE c.reloptions IS NOT NULL AND c.relkind IN ('r', 'm', 't') AND c.relpersistence <> 't'
          AND CASE WHEN o.option_name ~ '^autovacuum_(vacuum|analyze)_scale_factor$' THEN o.option_value::float >= 1
                   WHEN o.option_name ~ '^autovacuum_(vacuum|analyze)_threshold$'
                   THEN o.option_value::float >= greatest(1e8, 10 * c.reltuples)
                   WHEN o.option_name = 'autovacuum_vacuum_cost_delay' THEN o.option_value::float >= 50
                   ELSE false END
        ORDER BY c.reltuples DESC, name, option""",
    scope="database",
)
def timid_tables(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Tables with storage parameters with which autovacuum hardly ever comes, though it is on.

    They are as good as left alone, and nothing says so: dead rows pile up, or the statistics grow old.
    """
    tables: dict[tuple[str, bool], list[Any]] = {}
    for row in rows:
        tables.setdefault((row.name, row.toast), []).append(row)
    found = []
    for (name, toast), options in tables.items():
        given = {f"{'toast.' if toast else ''}{row.option}": row.value for row in options}
        settings = ", ".join(f"{option} = {value}" for option, value in given.items())
        fix = f"SET lock_timeout = '2s';\nALTER TABLE {name} RESET ({', '.join(given)});"
        undo = f"ALTER TABLE {name} SET ({settings});"
        text = f"{name} has {settings}: autovacuum hardly comes"
        rows_of, its = max(options[0].rows, 0.0), part(options[0])
        found.append(Finding(Grade.WARN, text, fix, name, rows_of, undo=undo, part=its))
    return most(found) or Finding(Grade.OK, "no table keeps autovacuum away")


def _held(row: Any) -> str:
    """Return who keeps vacuum from removing rows, and for how long."""
    if row.held_for is None:
        return f"{row.who} holds rows of {row.held:,} transactions back"
    return f"{row.who} has held rows back for {span(row.held_for)}"


def _vacuum(row: Any) -> tuple[str, str]:
    """Return what to add to the text, and the fix: what is held must be let go first."""
    fix = f"VACUUM (ANALYZE) {row.name};"
    if not row.who:
        return "", fix
    first = "-- what died since that began stays until it ends: inv health.check --only xmin_horizon; then"
    return f"; {_held(row)}", f"{first}\n{fix}"


@check_of(
    f"""SELECT CASE c.relkind WHEN 't' THEN (SELECT o.oid FROM pg_class o WHERE o.reltoastrelid = c.oid)
                   ELSE c.oid END::regclass::text AS name, c.relkind = 't' AS toast,
              s.dead, s.dead::float / greatest(s.live + s.dead, 1) AS share,
              h.who, h.age AS held, h.seconds AS held_for, {SOON} AS soon
         FROM pg_class c
        CROSS JOIN LATERAL (SELECT pg_stat_get_dead_tuples(c.oid) AS dead, pg_stat_get_live_tuples(c.oid) AS live) s
         LEFT JOIN {HOLDER} h ON true
        WHERE c.relkind IN ('r', 'm', 't') AND c.oid >= 16384 AND c.relpersistence <> 't' AND s.dead >= {LEAST_DEAD}
          AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum p
                           WHERE p.relid = c.oid AND p.datname = current_database())
        ORDER BY s.dead DESC""",  # noqa: S608  (constants)
    scope="database",
    warn=0.20,
    fail=0.60,
)
def dead_rows(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Dead rows that vacuum has not removed, in tables with 10,000 or more (limits as a share of the rows).

    Every scan reads them, and the table grows; what is large stays so after vacuum. Where autovacuum was a moment ago,
    and nothing holds it back, it comes again.
    """
    found = []
    for row in rows:
        if row.soon and not row.who:
            continue
        why, fix = _vacuum(row)
        text = f"{named(row)} has {row.dead:,} dead rows ({row.share:.0%}){why}"
        found.append(limits.finding(row.share, text, fix=fix, object=row.name, part=part(row)))
    return most([one for one in found if one.grade is not Grade.OK]) or Finding(Grade.OK, "autovacuum keeps up")


@check_of(
    f"""SELECT c.oid::regclass::text AS name, s.dead, s.live, due.rows AS due, s.dead / due.rows AS ratio,
              extract(epoch FROM now() - greatest(pg_stat_get_last_vacuum_time(c.oid),
                                                  pg_stat_get_last_autovacuum_time(c.oid)))::float AS age,
              h.who, h.age AS held, h.seconds AS held_for, {SOON} AS soon
         FROM pg_class c
        CROSS JOIN LATERAL (SELECT pg_stat_get_dead_tuples(c.oid) AS dead, pg_stat_get_live_tuples(c.oid) AS live) s
        CROSS JOIN LATERAL (
              SELECT greatest(1, least(o.threshold + o.scale * greatest(c.reltuples, 0),
                                       CASE WHEN o.most >= 0 THEN o.most END)) AS rows
                FROM (SELECT coalesce(max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_threshold'),
                                      current_setting('autovacuum_vacuum_threshold'))::float AS threshold,
                             coalesce(max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_scale_factor'),
                                      current_setting('autovacuum_vacuum_scale_factor'))::float AS scale,
                             coalesce(max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_max_threshold'),
                                      current_setting('autovacuum_vacuum_max_threshold', true))::float AS most
                        FROM pg_options_to_table(c.reloptions)) o) due
         LEFT JOIN {HOLDER} h ON true
        WHERE {TABLES} AND s.dead >= 1000 AND s.dead >= due.rows
          AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum p
                           WHERE p.relid = c.oid AND p.datname = current_database())
        ORDER BY ratio DESC""",  # noqa: S608  (constants)
    scope="database",
    warn=3,
)
def overdue_vacuums(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Tables far beyond the point at which autovacuum should have come (limit as a multiple of that point).

    It is off for them, too slow for what is written, or something holds it back. What dead_rows tells is left out.
    """
    found = []
    for row in rows:
        if (row.dead >= LEAST_DEAD and row.dead >= TOLD * (row.dead + row.live)) or (row.soon and not row.who):
            continue
        why, fix = _vacuum(row)
        last = "never" if row.age is None else f"{span(row.age)} ago"
        text = f"{row.name} has {row.dead:,} dead rows, is due at {row.due:,.0f}, and was vacuumed {last}{why}"
        found.append(limits.finding(row.ratio, text, fix=fix, object=row.name))
    return most([one for one in found if one.grade is not Grade.OK]) or Finding(Grade.OK, "no vacuum is overdue")


TOLD = 0.20


@check_of(
    f"""SELECT count(*)::int AS busy, current_setting('autovacuum_max_workers')::int AS workers, {PACE},
              coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float AS age,
              (array_agg(query ORDER BY xact_start))[1] AS longest
         FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'""",  # noqa: S608  (constants)
    warn=3600,
    fail=12 * 3600,
    cost="quick",
    guard=SEES_ALL,
    needs=NEEDS,
)
def busy_vacuum_workers(rows: list[Any], limits: Limits) -> Finding:
    """Autovacuum with no worker to spare for long (limits in seconds of the longest run).

    The tables that wait grow meanwhile. More workers share the same cost limit: raise that with them.
    """
    (row,) = rows
    if row.busy < row.workers:
        return Finding(Grade.OK, f"{row.busy} of {count(row.workers, 'worker')} of autovacuum at work")
    text = f"all {row.workers} workers are busy, the longest for {span(row.age)}: {row.longest}"
    waits = (
        "-- nothing holds them back but this:\nSELECT pid, wait_event_type, wait_event, query FROM pg_stat_activity\n"
    )
    return limits.finding(row.age, text, fix=_faster(row) or f"{waits} WHERE backend_type = 'autovacuum worker';")


def _faster(row: Any) -> str:
    """Return lines that let autovacuum work faster; none where its pace is not what holds it back."""
    if not row.paced or row.cost_limit >= MOST_COST:
        return ""
    return alter_system(f"autovacuum_vacuum_cost_limit = {min(MOST_COST, max(2000, 2 * row.cost_limit))}")


@check_of(
    f"""SELECT p.relid::regclass::text AS name, p.pid, p.phase, p.index_vacuum_count AS passes, {PACE},
              pg_size_bytes(current_setting(CASE current_setting('autovacuum_work_mem') WHEN '-1'
                                            THEN 'maintenance_work_mem' ELSE 'autovacuum_work_mem' END)) AS memory,
              p.heap_blks_scanned::float / greatest(p.heap_blks_total, 1) AS done,
              extract(epoch FROM clock_timestamp() - a.xact_start)::float AS age,
              a.backend_type = 'autovacuum worker' AS auto
         FROM pg_stat_progress_vacuum p JOIN pg_stat_activity a USING (pid)
        WHERE p.datname = current_database() AND a.xact_start IS NOT NULL ORDER BY age DESC""",  # noqa: S608  (constants)
    scope="database",
    warn=6 * 3600,
    fail=24 * 3600,
    cost="quick",
    guard=SEES_ALL,
    needs=NEEDS,
)
def long_vacuums(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Vacuums of one table that run for very long (limits in seconds).

    Rows die faster than they are removed. With too little memory each pass over the table reads all of its indexes.
    """
    found = []
    for row in rows:
        again = f", {row.passes} times through its indexes" if row.passes > 1 else ""
        who = "autovacuum" if row.auto else f"process {row.pid}"
        text = f"{who} has worked on {row.name} for {span(row.age)}: {row.phase}, {row.done:.0%} read{again}"
        found.append(limits.finding(row.age, text, fix=_hurry(row), object=row.name))
    return most([one for one in found if one.grade is not Grade.OK]) or Finding(Grade.OK, "no vacuum runs for long")


def _hurry(row: Any) -> str:
    if row.auto and row.passes > 1 and row.memory < GIB:
        return "-- for its next run\n" + alter_system(f"autovacuum_work_mem = '{min(GIB, 4 * row.memory) // 1024}kB'")
    waits = f"-- what it waits for:\nSELECT wait_event_type, wait_event FROM pg_stat_activity WHERE pid = {row.pid};"
    return (row.auto and _faster(row)) or waits


def _updates(newpage: str) -> str:
    return f"""SELECT c.oid::regclass::text AS name, s.updates, pg_stat_get_tuples_hot_updated(c.oid)::float AS hot,
              {newpage}::float AS moved, {newpage} IS NOT NULL AS told,
              coalesce((SELECT option_value::int FROM pg_options_to_table(c.reloptions)
                         WHERE option_name = 'fillfactor'), 100) AS fillfactor,
              extract(epoch FROM now() - {COUNTED})::float AS age
         FROM pg_class c CROSS JOIN LATERAL (SELECT pg_stat_get_tuples_updated(c.oid)::float AS updates) s
        WHERE {TABLES} AND s.updates >= {LEAST_UPDATES}"""  # noqa: S608  (constants)


@check_of(
    _updates("pg_stat_get_tuples_newpage_updated(c.oid)"),
    before=(16, _updates("NULL")),
    scope="database",
    warn=0.7,
    counters=("updates", "hot", "moved"),
    key="name",
)
def hot_updates(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Updates that write to every index, in tables with 10,000 or more (limit as a share of the updates).

    With free space in each page an update that touches no indexed column stays in its page and needs no vacuum.
    """
    found = []
    for row in rows:
        if row.updates < LEAST_UPDATES:
            continue
        cold = row.updates - row.hot
        indexed = row.told and row.moved < cold / 2
        if row.fillfactor <= SPACED and not indexed:
            continue
        text = (
            f"{cold / row.updates:.0%} of {row.updates:,.0f} updates of {row.name} in {span(row.seconds)} were not HOT"
        )
        found.append(_cold(limits, row, cold / row.updates, text, indexed=indexed))
    return most([one for one in found if one.grade is not Grade.OK]) or Finding(Grade.OK, "updates stay in their pages")


def _cold(limits: Limits, row: Any, share: float, text: str, *, indexed: bool) -> Finding:
    if indexed:
        fix = "-- is each of its indexes needed, and must the column that changes be in it?  inv health.indexes"
        return limits.finding(share, f"{text}: most changed an indexed column", fix=fix, object=row.name)
    fix = (
        f"SET lock_timeout = '2s';\nALTER TABLE {row.name} SET (fillfactor = 85);"
        "  -- for pages written from now on; an index on a column that changes prevents HOT, too"
    )
    before = f"SET (fillfactor = {row.fillfactor})" if row.fillfactor < 100 else "RESET (fillfactor)"
    undo = f"ALTER TABLE {row.name} {before};"
    return limits.finding(share, f"{text}: no room in their pages", fix=fix, object=row.name, undo=undo)
