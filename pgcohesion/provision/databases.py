"""Databases, extensions, schemas, grants and default privileges: pure decisions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from psycopg.sql import SQL, Composable, Identifier, Literal

from ..config import Config, Database, Grant
from ..plan import Change, Sql
from .facts import DatabaseFacts, Facts
from .values import dotted_identifier, literal, setting_changes, text_of

KINDS = ("tables", "sequences", "functions")


def changes(config: Config, facts: Facts) -> Iterator[Change]:
    """Yield what makes the declared databases and what is in them."""
    for name, database in config.databases.items():
        yield from _database(config, name, database, facts.databases.get(name))
    for name, database in config.databases.items():
        inside = facts.inside.get(name, DatabaseFacts())
        yield from _extensions(name, database, inside)
        yield from _schemas(name, database, inside)
        for grant in database.grants:
            yield from _schema_grant(name, grant, inside)
            for kind in KINDS:
                yield from _objects(name, grant, kind, inside)
                yield from _defaults(name, database, grant, kind, inside)


def _database(config: Config, name: str, database: Database, now: Any) -> Iterator[Change]:
    identifier = Identifier(name)
    if now is None:
        owner = SQL(" OWNER {}").format(Identifier(database.owner)) if database.owner else SQL("")
        limit = SQL(f" CONNECTION LIMIT {database.connection_limit}" if database.connection_limit >= 0 else "")
        statement = SQL("CREATE DATABASE {}{} ENCODING 'UTF8' TEMPLATE template0{}").format(identifier, owner, limit)
        yield Change(
            "create", f"database {name}", Sql(statement, transaction=False), f"owner {database.owner or 'postgres'}"
        )
    else:
        if database.owner and database.owner != now.owner:
            yield Change(
                "alter",
                f"database {name}",
                Sql(SQL("ALTER DATABASE {} OWNER TO {}").format(identifier, Identifier(database.owner))),
                f"owner {now.owner} -> {database.owner}",
            )
        if database.connection_limit != now.connection_limit:
            yield Change(
                "alter",
                f"database {name}",
                Sql(
                    SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(identifier, Literal(database.connection_limit))
                ),
                f"connection limit {database.connection_limit}",
            )
    yield from _connect(name, database, now)
    for setting, value in setting_changes(database.settings, now.settings if now else ()):
        yield Change(
            "alter",
            f"database {name} {setting}",
            Sql(
                SQL("ALTER DATABASE {} SET {} TO {}").format(
                    identifier, dotted_identifier(setting), literal(setting, value)
                )
            ),
            text_of(value),
        )


def _connect(name: str, database: Database, now: Any) -> Iterator[Change]:
    public = now is None or now.public_connect
    if public and not database.public_connect:
        yield Change(
            "alter",
            f"database {name}",
            Sql(SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(Identifier(name))),
            "only declared roles connect",
        )
    elif database.public_connect and not public:
        yield Change(
            "alter",
            f"database {name}",
            Sql(SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO PUBLIC").format(Identifier(name))),
            "everybody connects",
        )
    for role in dict.fromkeys(grant.role for grant in database.grants if grant.role != "public"):
        if now is None or role not in now.connect:
            yield Change(
                "alter",
                f"database {name}",
                Sql(SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(Identifier(name), Identifier(role))),
                f"connect for {role}",
            )


def _extensions(name: str, database: Database, inside: DatabaseFacts) -> Iterator[Change]:
    for extension in database.extensions:
        if extension not in inside.extensions:
            yield Change(
                "create",
                f"extension {extension}",
                Sql(SQL("CREATE EXTENSION IF NOT EXISTS {} CASCADE").format(Identifier(extension)), name),
                f"in {name}",
            )


def _schemas(name: str, database: Database, inside: DatabaseFacts) -> Iterator[Change]:
    for schema, wanted in database.schemas.items():
        owner = wanted.owner or database.owner or "postgres"
        now = inside.schemas.get(schema)
        if now is None:
            yield Change(
                "create",
                f"schema {schema}",
                Sql(SQL("CREATE SCHEMA {} AUTHORIZATION {}").format(Identifier(schema), Identifier(owner)), name),
                f"in {name}, owner {owner}",
            )
        elif now != owner:
            yield Change(
                "alter",
                f"schema {schema}",
                Sql(SQL("ALTER SCHEMA {} OWNER TO {}").format(Identifier(schema), Identifier(owner)), name),
                f"owner {now} -> {owner}",
            )


def _schema_grant(name: str, grant: Grant, inside: DatabaseFacts) -> Iterator[Change]:
    wanted = {"USAGE", "CREATE"} if grant.create else {"USAGE"}
    missing = sorted(wanted - inside.schema_grants.get((grant.schema, grant.role), frozenset()))
    if missing:
        yield Change(
            "alter",
            f"schema {grant.schema}",
            Sql(
                SQL("GRANT {} ON SCHEMA {} TO {}").format(
                    _words(missing), Identifier(grant.schema), _grantee(grant.role)
                ),
                name,
            ),
            f"{', '.join(missing).lower()} for {grant.role}",
        )


def _objects(name: str, grant: Grant, kind: str, inside: DatabaseFacts) -> Iterator[Change]:
    total = inside.objects.get((grant.schema, kind), 0)
    missing = [
        privilege
        for privilege in getattr(grant, kind)
        if max(inside.object_grants.get((grant.schema, kind, role, privilege), 0) for role in (grant.role, "public"))
        < total
    ]
    if missing:
        yield Change(
            "alter",
            f"{kind} of schema {grant.schema}",
            Sql(
                SQL("GRANT {} ON ALL {} IN SCHEMA {} TO {}").format(
                    _words(missing), _words([kind.upper()]), Identifier(grant.schema), _grantee(grant.role)
                ),
                name,
            ),
            f"{', '.join(missing).lower()} for {grant.role}",
        )


def _defaults(name: str, database: Database, grant: Grant, kind: str, inside: DatabaseFacts) -> Iterator[Change]:
    schema = database.schemas.get(grant.schema)
    owner = (schema.owner if schema else None) or database.owner or "postgres"
    now = inside.default_grants.get((grant.schema, owner, kind, grant.role), frozenset())
    missing = [privilege for privilege in getattr(grant, kind) if privilege not in now]
    if missing:
        statement = SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} IN SCHEMA {} GRANT {} ON {} TO {}").format(
            Identifier(owner), Identifier(grant.schema), _words(missing), _words([kind.upper()]), _grantee(grant.role)
        )
        yield Change(
            "alter",
            f"new {kind} of schema {grant.schema}",
            Sql(statement, name),
            f"{', '.join(missing).lower()} for {grant.role}",
        )


def _words(privileges: Sequence[str]) -> Composable:
    """Privileges are checked against PostgreSQL's list when the environment is read."""
    return SQL(", ").join(SQL(privilege) for privilege in privileges)


def _grantee(role: str) -> Composable:
    return SQL("PUBLIC") if role == "public" else Identifier(role)


def drops(facts: Facts) -> Iterator[Change]:
    """Yield the removal of the declared databases that exist."""
    for name in facts.inside:
        yield Change(
            "drop",
            f"database {name}",
            Sql(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)), transaction=False),
            "with all its data",
        )
