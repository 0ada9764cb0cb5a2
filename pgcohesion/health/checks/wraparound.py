"""Transaction ids: when they run out, the server takes no writes."""

from __future__ import annotations

from typing import Any

from ...view import Grade
from ..catalogue import named, part
from ..registry import Finding, Limits, check_of, most
from .vacuum import HOLDERS

IDS = 2**31
# A slot's catalog_xmin keeps the catalogue from being frozen, and with it the whole database.
HOLDER = f"""(SELECT who, age::float FROM ({HOLDERS}
              UNION ALL
             SELECT 'slot ' || slot_name, age(catalog_xmin), NULL, NOT active, NULL FROM pg_replication_slots
              WHERE catalog_xmin IS NOT NULL AND coalesce(wal_status, '') <> 'lost') a
             ORDER BY age DESC, since LIMIT 1)"""  # noqa: S608  (constants)


def _held(row: Any, age: float) -> str:
    """Return who keeps most of *age* transactions from being frozen."""
    return f"; {row.who} holds back {row.held:,.0f} of them" if row.held and row.held >= age / 2 else ""


@check_of(
    f"""SELECT datname AS name, quote_ident(datname) AS ident, age(datfrozenxid)::float / {IDS - 1} AS xid,
              mxid_age(datminmxid)::float / {IDS - 1} AS mxid, datallowconn AS open, h.who, h.age AS held
         FROM pg_database LEFT JOIN {HOLDER} h ON true
        ORDER BY greatest(age(datfrozenxid), mxid_age(datminmxid)) DESC LIMIT 5""",  # noqa: S608  (constants)
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
        fix = f"\\connect {row.ident}\nVACUUM (FREEZE);"
        if not row.open:
            door = f"ALTER DATABASE {row.ident} ALLOW_CONNECTIONS"
            fix = f"{door} true;\n{fix}\n\\connect postgres\n{door} false;"
        fix = f"-- after what inv health.check --only xmin_horizon names\n{fix}"
        text = f"database {row.name} has used {share:.1%} of its {kind} ids{_held(row, row.xid * IDS)}"
        found.append(limits.finding(share, text, fix=fix, object=row.name))
    bad = [one for one in found if one.grade is not Grade.OK]
    return bad or found[:1]


def _point(setting: str) -> str:
    """Return the age at which autovacuum freezes table r: a storage parameter can only make it come sooner."""
    return f"""CASE WHEN r.reloptions IS NULL THEN current_setting('{setting}')::float
                    ELSE least(current_setting('{setting}')::float,
                               (SELECT max(option_value)::float FROM pg_options_to_table(r.reloptions)
                                 WHERE option_name = '{setting}')) END"""  # noqa: S608  (constants)


@check_of(
    f"""WITH tables AS (
           SELECT r.oid, r.relpersistence, age(r.relfrozenxid)::float AS age, mxid_age(r.relminmxid)::float AS mage,
                  age(r.relfrozenxid) / {_point("autovacuum_freeze_max_age")} AS xid,
                  mxid_age(r.relminmxid) / {_point("autovacuum_multixact_freeze_max_age")} AS mxid
             FROM pg_class r WHERE r.relkind IN ('r', 'm', 't')),
       worst AS (SELECT * FROM tables ORDER BY greatest(xid, mxid) DESC LIMIT 20)
       SELECT coalesce(t.oid, c.oid)::regclass::text AS name, t.oid IS NOT NULL AS toast, c.xid, c.mxid, c.age, c.mage,
              c.relpersistence = 't' AS temporary, h.who, h.age AS held
         FROM worst c LEFT JOIN pg_class t ON t.reltoastrelid = c.oid LEFT JOIN {HOLDER} h ON true
        ORDER BY greatest(c.xid, c.mxid) DESC""",  # noqa: S608  (constants)
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
        ratio, age, kind = max((row.xid, row.age, "transaction"), (row.mxid, row.mage, "multixact"))
        text = (
            f"{named(row)} has rows of {age:,.0f} {kind}s ago "
            f"({age / IDS:.1%} of all ids): {ratio:.1f} times what autovacuum should allow"
        )
        if kind == "transaction":
            text += _held(row, age)
        fix = f"VACUUM (FREEZE, VERBOSE) {row.name};"
        if row.temporary:
            fix = "-- a temporary table: only the session that made it can vacuum or drop it; end that session"
        found.append(limits.finding(ratio, text, fix=fix, object=row.name, part=part(row)))
    return most([one for one in found if one.grade is not Grade.OK]) or Finding(Grade.OK, "tables are frozen in time")
