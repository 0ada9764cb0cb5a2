"""What a server and its databases have: one round trip each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from ..server import State
from . import host
from .host import HostFacts

if TYPE_CHECKING:
    from ..context import Context

ROLES = """
SELECT r.rolname AS name, r.rolcanlogin AS login, r.rolsuper AS superuser, r.rolcreatedb AS createdb,
       r.rolcreaterole AS createrole, r.rolreplication AS replication, r.rolbypassrls AS bypassrls,
       r.rolinherit AS inherit, r.rolconnlimit AS connection_limit, r.rolpassword AS password,
       coalesce((SELECT array_agg(g.rolname::text ORDER BY 1)
                   FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
                  WHERE m.member = r.oid), '{}') AS member_of,
       coalesce((SELECT s.setconfig FROM pg_db_role_setting s
                  WHERE s.setrole = r.oid AND s.setdatabase = 0), '{}') AS settings
  FROM pg_authid r
 WHERE r.rolname !~ '^pg_'
"""

DATABASES = """
SELECT d.datname AS name, pg_get_userbyid(d.datdba) AS owner, d.datconnlimit AS connection_limit,
       EXISTS (SELECT FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
                WHERE a.grantee = 0 AND a.privilege_type = 'CONNECT') AS public_connect,
       coalesce((SELECT array_agg(r.rolname::text ORDER BY 1)
                   FROM aclexplode(d.datacl) a JOIN pg_roles r ON r.oid = a.grantee
                  WHERE a.privilege_type = 'CONNECT'), '{}') AS connect,
       coalesce((SELECT s.setconfig FROM pg_db_role_setting s
                  WHERE s.setdatabase = d.oid AND s.setrole = 0), '{}') AS settings
  FROM pg_database d
 WHERE NOT d.datistemplate
"""

SETTINGS = """
SELECT name, setting, unit, vartype, context, source, sourcefile, pending_restart, enumvals
  FROM pg_settings
"""

EXTENSIONS = "SELECT extname AS name FROM pg_extension"

SCHEMAS = """
SELECT n.nspname AS name, pg_get_userbyid(n.nspowner) AS owner
  FROM pg_namespace n
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""

SCHEMA_GRANTS = """
SELECT n.nspname AS schema, coalesce(r.rolname, 'public') AS role, array_agg(a.privilege_type) AS privileges
  FROM pg_namespace n
 CROSS JOIN LATERAL aclexplode(n.nspacl) a
  LEFT JOIN pg_roles r ON r.oid = a.grantee
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
 GROUP BY 1, 2
"""

# How many objects of each kind a schema has, and on how many of them a role holds each privilege.
OBJECT_GRANTS = """
WITH objects AS (
  SELECT c.relnamespace AS nsp, c.oid, CASE WHEN c.relkind = 'S' THEN 'sequences' ELSE 'tables' END AS kind,
         coalesce(c.relacl, acldefault(CASE WHEN c.relkind = 'S' THEN 's' ELSE 'r' END::"char", c.relowner)) AS acl
    FROM pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
  UNION ALL
  SELECT p.pronamespace, p.oid, 'functions', coalesce(p.proacl, acldefault('f', p.proowner))
    FROM pg_proc p WHERE p.prokind IN ('f', 'a', 'w')
), counted AS (
  SELECT nsp, kind, count(*) AS total FROM objects GROUP BY 1, 2
)
SELECT n.nspname AS schema, k.kind, k.total, coalesce(r.rolname, 'public') AS role, a.privilege_type AS privilege,
       count(DISTINCT o.oid) AS granted
  FROM counted k
  JOIN pg_namespace n ON n.oid = k.nsp AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  JOIN objects o ON o.nsp = k.nsp AND o.kind = k.kind
  LEFT JOIN LATERAL aclexplode(o.acl) a ON true
  LEFT JOIN pg_roles r ON r.oid = a.grantee
 GROUP BY 1, 2, 3, 4, 5
"""

DEFAULT_GRANTS = """
SELECT n.nspname AS schema, pg_get_userbyid(d.defaclrole) AS owner,
       CASE d.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions' END AS kind,
       coalesce(r.rolname, 'public') AS role, array_agg(a.privilege_type) AS privileges
  FROM pg_default_acl d
  JOIN pg_namespace n ON n.oid = d.defaclnamespace
 CROSS JOIN LATERAL aclexplode(d.defaclacl) a
  LEFT JOIN pg_roles r ON r.oid = a.grantee
 WHERE d.defaclobjtype IN ('r', 'S', 'f')
 GROUP BY 1, 2, 3, 4
"""

CLUSTER_QUERIES = {"roles": ROLES, "databases": DATABASES, "settings": SETTINGS}
DATABASE_QUERIES = {
    "extensions": EXTENSIONS,
    "schemas": SCHEMAS,
    "schema_grants": SCHEMA_GRANTS,
    "object_grants": OBJECT_GRANTS,
    "default_grants": DEFAULT_GRANTS,
}


class DatabaseFacts(Struct, frozen=True):
    """What is in one database."""

    extensions: frozenset[str] = frozenset()
    schemas: dict[str, str] = {}
    schema_grants: dict[tuple[str, str], frozenset[str]] = {}
    object_grants: dict[tuple[str, str, str, str], int] = {}
    objects: dict[tuple[str, str], int] = {}
    default_grants: dict[tuple[str, str, str, str], frozenset[str]] = {}


class Facts(Struct, frozen=True):
    """What is on the host, in the server and in the declared databases that exist; rows by name."""

    host: HostFacts
    roles: dict[str, Any] = {}
    databases: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    inside: dict[str, DatabaseFacts] = {}


def empty() -> Facts:
    """Return the facts of a machine that has nothing."""
    return Facts(HostFacts(State.ABSENT))


def read(ctx: Context) -> Facts:
    """Read everything that planning needs; only what is there when the server does not run."""
    facts = Facts(host.read(ctx))
    if facts.host.state is not State.RUNNING:
        return facts
    rows = ctx.db.read(CLUSTER_QUERIES, database="postgres")
    named = {kind: {row.name: row for row in found} for kind, found in rows.items()}
    present = [name for name in ctx.config.databases if name in named["databases"]]
    return Facts(
        facts.host,
        named["roles"],
        named["databases"],
        named["settings"],
        {name: _inside(ctx, name) for name in present},
    )


def _inside(ctx: Context, database: str) -> DatabaseFacts:
    rows = ctx.db.read(DATABASE_QUERIES, database=database)
    return DatabaseFacts(
        extensions=frozenset(row.name for row in rows["extensions"]),
        schemas={row.name: row.owner for row in rows["schemas"]},
        schema_grants={(row.schema, row.role): frozenset(row.privileges) for row in rows["schema_grants"]},
        object_grants={
            (row.schema, row.kind, row.role, row.privilege): row.granted
            for row in rows["object_grants"]
            if row.privilege
        },
        objects={(row.schema, row.kind): row.total for row in rows["object_grants"]},
        default_grants={
            (row.schema, row.owner, row.kind, row.role): frozenset(row.privileges) for row in rows["default_grants"]
        },
    )


def without_databases(facts: Facts) -> Facts:
    """Return *facts* as they are after the declared databases were dropped."""
    return Facts(
        facts.host,
        facts.roles,
        {n: row for n, row in facts.databases.items() if n not in facts.inside},
        facts.settings,
        {},
    )
