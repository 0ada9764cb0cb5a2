"""What a database is when it is dumped: its own properties, and its rows, in the dump's snapshot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from psycopg.sql import SQL, Composable, Identifier

from ..errors import UsageError, suggestion
from .manifest import Grant, Rows, Setting, Source, Table

if TYPE_CHECKING:
    from ..context import Context

SERVER = """
SELECT current_setting('server_version_num')::int AS version_num,
       split_part(current_setting('server_version'), ' ', 1) AS version,
       (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
       (SELECT json_object_agg(datname, datallowconn) FROM pg_database) AS databases,
       (SELECT array_agg(rolname::text) FROM pg_roles) AS roles,
       (SELECT array_agg(spcname::text) FROM pg_tablespace) AS tablespaces
"""

SIZE = "SELECT pg_database_size(%(database)s) AS bytes"

DATABASE = """
SELECT to_jsonb(d) AS row, pg_get_userbyid(d.datdba)::text AS owner, pg_encoding_to_char(d.encoding)::text AS encoding,
       t.spcname::text AS tablespace, shobj_description(d.oid, 'pg_database') AS comment,
       pg_database_size(d.oid) AS bytes
  FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace
 WHERE d.datname = current_database()
"""

GRANTS = """
SELECT coalesce(r.rolname::text, '') AS role, a.privilege_type AS privilege, a.is_grantable AS grantable
  FROM pg_database d
 CROSS JOIN LATERAL aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
  LEFT JOIN pg_roles r ON r.oid = a.grantee
 WHERE d.datname = current_database() AND (a.grantee = 0 OR r.oid IS NOT NULL)
 ORDER BY 1, 2
"""

SETTINGS = """
SELECT coalesce(r.rolname::text, '') AS role, c.setting
  FROM pg_db_role_setting s
  JOIN pg_database d ON d.oid = s.setdatabase AND d.datname = current_database()
  LEFT JOIN pg_roles r ON r.oid = s.setrole
 CROSS JOIN LATERAL unnest(s.setconfig) WITH ORDINALITY c (setting, position)
 WHERE s.setrole = 0 OR r.oid IS NOT NULL
 ORDER BY 1, c.position
"""

# Every role that owns something in the database or is named by a grant, a policy or a default privilege in it.
ROLES = """
SELECT DISTINCT r.rolname::text AS name
  FROM pg_shdepend s
  JOIN pg_database d ON d.datname = current_database()
  JOIN pg_roles r ON r.oid = s.refobjid
 WHERE s.refclassid = 'pg_authid'::regclass
   AND (s.dbid = d.oid OR (s.classid = 'pg_database'::regclass AND s.objid = d.oid))
 ORDER BY 1
"""

# The tables whose rows a dump has: extensions make their own.
TABLES = """
SELECT n.nspname::text AS schema, c.relname::text AS name
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND NOT EXISTS (SELECT FROM pg_depend e
                    WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')
 ORDER BY 1, 2
"""

LARGE_OBJECTS: Table = ("pg_catalog", "pg_largeobject_metadata")
BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
PATIENT = """
SELECT set_config(name, '0', false) FROM pg_settings
 WHERE name IN ('lock_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout')
"""
UNDISTURBED = ("SET statement_timeout TO 0", "SET ROLE NONE", PATIENT)
EXPORT = "SELECT pg_export_snapshot() AS id"
LOCKED_AT_ONCE = 500


class Server(Struct, frozen=True):
    """A server, as restoring sees it; *databases* says of each whether it can be connected to."""

    version_num: int
    version: str
    system_identifier: str
    databases: dict[str, bool]
    roles: frozenset[str]
    tablespaces: frozenset[str]

    @property
    def major(self) -> int:
        """The major version."""
        return self.version_num // 10000


class Snapshot(Struct, frozen=True):
    """A database at one moment: the exported snapshot's *id*, and what it has then."""

    id: str
    source: Source
    bytes: int
    tables: tuple[Table, ...]


def server(ctx: Context) -> Server:
    """Ask the server what it is and has."""
    (row,) = ctx.db.execute(SERVER, database="postgres")
    return Server(
        row.version_num,
        row.version,
        row.system_identifier,
        row.databases,
        frozenset(row.roles),
        frozenset(row.tablespaces),
    )


def size_of(ctx: Context, found: Server, database: str) -> int:
    """Return the bytes of a database. Raises UsageError when there is none of this name, or nobody may connect."""
    if database not in found.databases:
        raise UsageError(
            f"no database `{database}`", fix=suggestion(database, [n for n, open_ in found.databases.items() if open_])
        )
    if not found.databases[database]:
        raise UsageError(f"the database `{database}` takes no connections", why="pg_database.datallowconn is false")
    (row,) = ctx.db.execute(SIZE, {"database": database}, database="postgres")
    return int(row.bytes)


def undisturbed(ctx: Context, database: str) -> None:
    """Begin a session that the database's settings do not disturb: timeouts, or a role that would not see all rows."""
    ctx.db.forget(database)
    for statement in UNDISTURBED:
        ctx.db.execute(statement, database=database)


@contextmanager
def snapshot(ctx: Context, database: str) -> Iterator[Snapshot]:
    """Hold a snapshot that pg_dump can use. Its tables are locked against being changed or dropped, as pg_dump does."""
    undisturbed(ctx, database)
    try:
        ctx.db.execute(BEGIN, database=database)
        (exported,) = ctx.db.execute(EXPORT, database=database)
        yield _described(ctx, database, exported.id)
    finally:
        ctx.db.forget(database)


def _described(ctx: Context, database: str, identity: str) -> Snapshot:
    rows = ctx.db.read(
        {"database": DATABASE, "grants": GRANTS, "settings": SETTINGS, "roles": ROLES, "tables": TABLES},
        database=database,
    )
    (row,) = rows["database"]
    tables = tuple((table.schema, table.name) for table in rows["tables"])
    for start in range(0, len(tables), LOCKED_AT_ONCE):
        ctx.db.execute(lock(tables[start : start + LOCKED_AT_ONCE]), database=database)
    return Snapshot(identity, described(row, rows["grants"], rows["settings"], rows["roles"]), row.bytes, tables)


def described(row: Any, grants: Sequence[Any], settings: Sequence[Any], roles: Sequence[Any]) -> Source:
    """Return a database's properties, from the catalog of any version."""
    catalog = row.row
    pairs = [(setting.role, *setting.setting.partition("=")[::2]) for setting in settings]
    named = {role.name for role in roles} | {row.owner} | {role for role, _, _ in pairs} | {g.role for g in grants}
    return Source(
        owner=row.owner,
        encoding=row.encoding,
        collate=catalog["datcollate"],
        ctype=catalog["datctype"],
        provider=catalog.get("datlocprovider", ""),
        locale=catalog.get("datlocale", catalog.get("daticulocale")),
        icu_rules=catalog.get("daticurules"),
        tablespace=row.tablespace,
        connection_limit=catalog["datconnlimit"],
        comment=row.comment,
        grants=tuple(Grant(grant.role, grant.privilege, grant.grantable) for grant in grants),
        settings=tuple(Setting(*pair) for pair in pairs),
        roles=tuple(sorted(named - {""})),
    )


def lock(tables: Sequence[Table]) -> Composable:
    """Return the statement that keeps tables as they are for as long as the snapshot lives."""
    return SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(
        SQL(", ").join(SQL("ONLY {}").format(Identifier(*table)) for table in tables)
    )


def count_rows(ctx: Context, database: str, tables: Sequence[Table]) -> Rows:
    """Count the rows of *tables*, and the large objects, as the session sees them. A superuser sees all rows."""
    wanted = (*tables, LARGE_OBJECTS)
    queries = {
        str(position): SQL("SELECT count(*) AS n FROM ONLY {}").format(Identifier(*table)).as_string(None)
        for position, table in enumerate(wanted)
    }
    found = ctx.db.read(queries, database=database)
    return {table: found[str(position)][0].n for position, table in enumerate(wanted)}


def tables_of(ctx: Context, database: str) -> tuple[Table, ...]:
    """Return the tables of a database whose rows are compared."""
    return tuple((row.schema, row.name) for row in ctx.db.execute(TABLES, database=database))
