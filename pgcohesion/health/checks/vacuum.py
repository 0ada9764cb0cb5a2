"""Whether dead rows are removed: vacuum and what keeps it from its work."""

from __future__ import annotations

from typing import Any

from ...view import Grade, count, span
from ..registry import Finding, Limits, check_of, most

LEAST_DEAD = 10_000
LEAST_UPDATES = 10_000
HELD = 1000  # transactions: a younger horizon is that of ordinary work


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
    fix = "".join(f"ALTER SYSTEM SET {row.name} = on;\n" for row in rows) + "SELECT pg_reload_conf();"
    undo = "".join(f"ALTER SYSTEM SET {row.name} = off;\n" for row in rows) + "SELECT pg_reload_conf();"
    return Finding(Grade.FAIL, f"off: {names}", fix, names, undo=undo)


@check_of(
    """SELECT c.oid::regclass::text AS name, o.toast, c.reltuples::float AS rows
         FROM pg_class c
         JOIN (SELECT coalesce(t.oid, x.oid) AS oid, t.oid IS NOT NULL AS toast
                 FROM (SELECT oid FROM pg_class
                        WHERE reloptions IS NOT NULL
                          AND EXISTS (SELECT FROM pg_options_to_table(reloptions)
                                       WHERE option_name = 'autovacuum_enabled'
                                         AND lower(option_value) IN ('off', 'false', 'no', '0', 'f', 'n', 'of'))) x
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
            )
        )
    return most(found) or Finding(Grade.OK, "autovacuum sees every table")


HORIZON = """(SELECT coalesce(max(age(backend_xmin)), 0) FROM pg_stat_activity
     WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid()),
    (SELECT coalesce(max(greatest(age(xmin), age(catalog_xmin))), 0) FROM pg_replication_slots),
    (SELECT coalesce(max(age(transaction)), 0) FROM pg_prepared_xacts)"""


@check_of(
    f"""SELECT s.relid::regclass::text AS name, s.n_dead_tup AS dead,
              s.n_dead_tup::float / greatest(s.n_live_tup + s.n_dead_tup, 1) AS share,
              greatest({HORIZON}) AS held
         FROM pg_stat_user_tables s WHERE s.n_dead_tup >= {LEAST_DEAD}
        ORDER BY s.n_dead_tup DESC""",  # noqa: S608  (constants)
    scope="database",
    warn=0.20,
    fail=0.60,
)
def dead_rows(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Dead rows that vacuum has not removed, in tables with 10,000 or more (limits as a share of the rows).

    Every scan reads them, and the table grows; what is large stays so after vacuum.
    """
    found = []
    for row in rows:
        text, fix = f"{row.name} has {row.dead:,} dead rows ({row.share:.0%})", f"VACUUM (ANALYZE) {row.name};"
        if row.held >= HELD:
            text += f"; an old transaction, slot or standby holds {row.held:,} transactions back"
            fix = f"-- first end what holds vacuum back: inv health.check --only xmin_horizon; then\n{fix}"
        found.append(limits.finding(row.share, text, fix=fix, object=row.name))
    return most([one for one in found if one.grade is not Grade.OK]) or Finding(Grade.OK, "autovacuum keeps up")


@check_of(
    """SELECT s.relid::regclass::text AS name, s.n_dead_tup AS dead, due.rows AS due, s.n_dead_tup / due.rows AS ratio,
              extract(epoch FROM now() - greatest(s.last_vacuum, s.last_autovacuum))::float AS age
         FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
        CROSS JOIN LATERAL (
              SELECT greatest(1, coalesce(max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_threshold'),
                         current_setting('autovacuum_vacuum_threshold'))::float
                     + coalesce(max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_scale_factor'),
                         current_setting('autovacuum_vacuum_scale_factor'))::float * greatest(c.reltuples, 0)) AS rows
                FROM pg_options_to_table(c.reloptions)) due
        WHERE s.n_dead_tup >= 1000 AND s.n_dead_tup >= due.rows
        ORDER BY ratio DESC""",
    scope="database",
    warn=3,
)
def overdue_vacuums(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Tables far beyond the point at which autovacuum should have come (limit as a multiple of that point).

    It is off for them, too slow for what is written, or something holds it back.
    """
    found = []
    for row in rows:
        last = "never" if row.age is None else f"{span(row.age)} ago"
        text = f"{row.name} has {row.dead:,} dead rows, is due at {row.due:,.0f}, and was vacuumed {last}"
        found.append(limits.finding(row.ratio, text, fix=f"VACUUM (ANALYZE) {row.name};", object=row.name))
    return most([one for one in found if one.grade is not Grade.OK]) or Finding(Grade.OK, "no vacuum is overdue")


@check_of(
    """SELECT count(*)::int AS busy, current_setting('autovacuum_max_workers')::int AS workers,
              coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float AS age,
              (array_agg(query ORDER BY xact_start))[1] AS longest
         FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'""",
    warn=3600,
    fail=12 * 3600,
    cost="quick",
)
def busy_vacuum_workers(rows: list[Any], limits: Limits) -> Finding:
    """Autovacuum with no worker to spare for long (limits in seconds of the longest run).

    The tables that wait grow meanwhile. More workers share the same cost limit: raise that with them.
    """
    (row,) = rows
    if row.busy < row.workers:
        return Finding(Grade.OK, f"{row.busy} of {count(row.workers, 'worker')} of autovacuum at work")
    fix = "ALTER SYSTEM SET autovacuum_vacuum_cost_limit = 2000;\nSELECT pg_reload_conf();"
    undo = "ALTER SYSTEM RESET autovacuum_vacuum_cost_limit;\nSELECT pg_reload_conf();"
    text = f"all {row.workers} workers are busy, the longest for {span(row.age)}: {row.longest}"
    return limits.finding(row.age, text, fix=fix, undo=undo)


@check_of(
    f"""SELECT s.relid::regclass::text AS name, s.n_tup_upd::float AS updates, s.n_tup_hot_upd::float AS hot,
              coalesce((SELECT option_value::int FROM pg_options_to_table(c.reloptions)
                         WHERE option_name = 'fillfactor'), 100) AS fillfactor,
              extract(epoch FROM now() - (SELECT coalesce(stats_reset, pg_postmaster_start_time())
                                            FROM pg_stat_database WHERE datname = current_database()))::float AS age
         FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
        WHERE s.n_tup_upd >= {LEAST_UPDATES}""",  # noqa: S608  (a constant)
    scope="database",
    warn=0.7,
    counters=("updates", "hot"),
    key="name",
)
def hot_updates(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Updates that also write to every index because a page has no room (limit as a share of the updates).

    With free space in each page an update that touches no indexed column stays in its page and needs no vacuum.
    """
    found = []
    for row in rows:
        if row.updates < LEAST_UPDATES or row.fillfactor < 100:
            continue
        share = 1 - row.hot / row.updates
        text = f"{share:.0%} of {row.updates:,.0f} updates of {row.name} in {span(row.seconds)} were not HOT"
        fix = (
            f"SET lock_timeout = '2s';\nALTER TABLE {row.name} SET (fillfactor = 85);"
            "  -- for pages written from now on; an index on a column that changes prevents HOT, too"
        )
        undo = f"ALTER TABLE {row.name} RESET (fillfactor);"
        found.append(limits.finding(share, text, fix=fix, object=row.name, undo=undo))
    return most([one for one in found if one.grade is not Grade.OK]) or Finding(Grade.OK, "updates stay in their pages")
