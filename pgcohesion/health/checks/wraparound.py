"""Transaction ids: when they run out, the server takes no writes."""

from __future__ import annotations

from typing import Any

from ...view import Grade
from ..registry import Finding, Limits, check_of, most


@check_of(
    """SELECT datname AS name, quote_ident(datname) AS ident, age(datfrozenxid)::float / 2147483647 AS xid,
              mxid_age(datminmxid)::float / 2147483647 AS mxid, datallowconn AS open
         FROM pg_database ORDER BY greatest(age(datfrozenxid), mxid_age(datminmxid)) DESC LIMIT 5""",
    warn=0.25,
    fail=0.60,
    full=1.0,
    cost="quick",
)
def wraparound(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Databases whose oldest transaction or multixact id is old (limits as a share of the 2 billion that there are).

    At 3 million before the end PostgreSQL refuses every write until the tables are frozen. Something keeps vacuum back:
    an old transaction, a slot, a prepared transaction.
    """
    found = []
    for row in rows:
        kind = "transaction" if row.xid >= row.mxid else "multixact"
        share = max(row.xid, row.mxid)
        lock = "" if row.open else f"ALTER DATABASE {row.ident} ALLOW_CONNECTIONS true;\n"
        fix = f"-- after what inv health.check --only xmin_horizon names\n{lock}\\connect {row.ident}\nVACUUM (FREEZE);"
        text = f"database {row.name} has used {share:.1%} of its {kind} ids"
        found.append(limits.finding(share, text, fix=fix, object=row.name))
    bad = [one for one in found if one.grade is not Grade.OK]
    return bad or found[:1]


@check_of(
    """SELECT coalesce(t.oid, c.oid)::regclass::text AS name, t.oid IS NOT NULL AS toast, c.xid, c.mxid
         FROM (SELECT r.oid, age(r.relfrozenxid)::float / least(s.xid, o.xid) AS xid,
                      mxid_age(r.relminmxid)::float / least(s.mxid, o.mxid) AS mxid
                 FROM pg_class r
                CROSS JOIN (SELECT current_setting('autovacuum_freeze_max_age')::float AS xid,
                                   current_setting('autovacuum_multixact_freeze_max_age')::float AS mxid) s
                 LEFT JOIN LATERAL (
                      SELECT max(option_value) FILTER (WHERE option_name = 'autovacuum_freeze_max_age')::float AS xid,
                             max(option_value) FILTER (
                                 WHERE option_name = 'autovacuum_multixact_freeze_max_age')::float AS mxid
                        FROM pg_options_to_table(r.reloptions)) o ON r.reloptions IS NOT NULL
                WHERE r.relkind IN ('r', 'm', 't')) c
         LEFT JOIN pg_class t ON t.reltoastrelid = c.oid
        ORDER BY greatest(c.xid, c.mxid) DESC LIMIT 20""",
    scope="database",
    warn=1.25,
    fail=3,
)
def unfrozen_tables(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Tables that autovacuum should have frozen long ago (limits as a multiple of autovacuum_freeze_max_age).

    It has tried and could not finish: a lock that conflicts, an old transaction, a damaged page, too little time.
    """
    found = []
    for row in rows:
        what, ratio = ("transaction", row.xid) if row.xid >= row.mxid else ("multixact", row.mxid)
        text = f"{row.name}{' (its TOAST table)' if row.toast else ''} is {ratio:.1f} times past its {what} limit"
        found.append(limits.finding(ratio, text, fix=f"VACUUM (FREEZE, VERBOSE) {row.name};", object=row.name))
    return most([one for one in found if one.grade is not Grade.OK]) or Finding(Grade.OK, "tables are frozen in time")
