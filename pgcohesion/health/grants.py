"""The least that a role needs to run the checks: no table of the application is readable to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ConfigError
from ..plan import Change, Plan, Planned, Sql, sql
from ..view import Line, View

if TYPE_CHECKING:
    from ..context import Context

HAS = """SELECT r.oid IS NOT NULL AS present,
       coalesce((SELECT pg_has_role(r.oid, 'pg_monitor', 'USAGE')), false) AS monitor,
       has_table_privilege(r.oid, 'pg_catalog.pg_hba_file_rules', 'SELECT')
           AND has_table_privilege(r.oid, 'pg_catalog.pg_file_settings', 'SELECT') AS views,
       has_function_privilege(r.oid, 'pg_hba_file_rules()', 'EXECUTE')
           AND has_function_privilege(r.oid, 'pg_show_all_file_settings()', 'EXECUTE') AS functions,
       coalesce(has_table_privilege(r.oid, v.maps, 'SELECT'), v.maps IS NULL) AS maps,
       coalesce(has_function_privilege(r.oid, v.reading, 'EXECUTE'), v.reading IS NULL) AS reading,
       (SELECT bool_and(has_database_privilege(r.oid, d.oid, 'CONNECT'))
          FROM pg_database d WHERE d.datname = ANY (%(databases)s)) IS NOT FALSE AS connect
  FROM (SELECT to_regclass('pg_catalog.pg_ident_file_mappings') AS maps,
               to_regprocedure('pg_catalog.pg_ident_file_mappings()') AS reading) v  -- since 15
  LEFT JOIN pg_roles r ON r.rolname = %(role)s"""
GRANTS = {
    "monitor": ("pg_monitor", "statistics and settings", "GRANT pg_monitor TO {who:i}"),
    "views": (
        "views of the server's files",
        "what is wrong in the server's files, which pg_monitor does not see",
        "GRANT SELECT ON pg_catalog.pg_hba_file_rules, pg_catalog.pg_file_settings TO {who:i}",
    ),
    "functions": (
        "functions of these views",
        "the same",
        "GRANT EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules(), pg_catalog.pg_show_all_file_settings() TO {who:i}",
    ),
    "maps": (
        "rules of pg_ident.conf",
        "the same",
        "GRANT SELECT ON pg_catalog.pg_ident_file_mappings TO {who:i}",
    ),
    "reading": (
        "functions of pg_ident.conf",
        "the same",
        "GRANT EXECUTE ON FUNCTION pg_catalog.pg_ident_file_mappings() TO {who:i}",
    ),
    "connect": ("connect", "to look into each database", "GRANT CONNECT ON DATABASE {databases:i} TO {who:i}"),
}


class Granted(Planned, frozen=True):
    """The statements of a plan, to paste, or to hand to whoever may run them."""

    def view(self) -> View:
        """Return the statements themselves."""
        lines = [
            Line(f"{change.action.text};  -- {change.detail}")
            for change in self.plan.changes
            if isinstance(change.action, Sql)
        ]
        return View((*lines, *(() if lines else (Line("-- the role has it all"),))))


def plan(ctx: Context, role: str) -> Plan:
    """Return what the role *role* still needs: to exist, to connect, pg_monitor, and the views of the server's files.

    Raises ConfigError for a name that PostgreSQL keeps for itself.
    """
    if role.startswith("pg_"):
        raise ConfigError(f"`{role}` cannot be a role's name", why="pg_ is PostgreSQL's own", fix="--role monitoring")
    db = ctx.watched if ctx.only_looked_at else ctx.db
    databases = list(ctx.config.databases) or [db.default]
    (row,) = db.execute(HAS, {"role": role, "databases": databases})
    has = row._asdict() if row.present else {"maps": row.maps, "reading": row.reading, "connect": not databases}
    # Rights to functions of pg_catalog are each database's own: the one is meant where health asks about the server.
    main = db.default
    changes = [
        Change("alter", f"role {role}: {right}", sql(statement, database=main, who=role, databases=databases), detail)
        for name, (right, detail, statement) in GRANTS.items()
        if not has.get(name)
    ]
    if not row.present:
        made = sql("CREATE ROLE {who:i} LOGIN CONNECTION LIMIT 5", database=main, who=role)
        changes.insert(0, Change("create", f"role {role}", made, "then its password: \\password, or a certificate"))
    return Plan(ctx.env, tuple(changes))
