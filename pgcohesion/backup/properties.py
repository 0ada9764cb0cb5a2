"""A database's own properties as statements: what pg_dump knows and a restore under another name leaves out."""

from __future__ import annotations

import re
from collections.abc import Iterator

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from .manifest import Setting, Source
from .source import Server

# GUC_LIST_QUOTE (PostgreSQL's own list in variable_is_guc_list_quote, dumputils.c): their items are quoted one by one.
LISTS = frozenset(
    {
        "local_preload_libraries",
        "search_path",
        "session_preload_libraries",
        "shared_preload_libraries",
        "temp_tablespaces",
        "unix_socket_directories",
    }
)
ITEM = re.compile(r'"((?:[^"]|"")*)"|([^,\s"]+)')
PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin"}
PRIVILEGES = ("CONNECT", "CREATE", "TEMPORARY")


def create(name: str, source: Source, server: Server) -> Composed:
    """Return CREATE DATABASE with the owner, encoding and locale of the old one."""
    options = [
        ("OWNER", Identifier(source.owner)),
        ("TEMPLATE", Identifier("template0")),
        ("ENCODING", Literal(source.encoding)),
        *_locale(source, server),
        ("CONNECTION LIMIT", Literal(source.connection_limit)),
    ]
    if source.tablespace in server.tablespaces:
        options.append(("TABLESPACE", Identifier(source.tablespace)))
    words = SQL(" ").join(SQL(key) + SQL(" ") + value for key, value in options)
    return SQL("CREATE DATABASE {} ").format(Identifier(name)) + words


def _locale(source: Source, server: Server) -> Iterator[tuple[str, Composable]]:
    yield "LC_COLLATE", Literal(source.collate)
    yield "LC_CTYPE", Literal(source.ctype)
    if server.major < 15:
        return
    provider = PROVIDERS[source.provider or "c"]
    yield "LOCALE_PROVIDER", SQL(provider)
    if source.locale and provider != "libc":
        yield f"{'ICU' if provider == 'icu' else 'BUILTIN'}_LOCALE", Literal(source.locale)
    if source.icu_rules:
        yield "ICU_RULES", Literal(source.icu_rules)


def settings(name: str, source: Source) -> Iterator[Composed]:
    """Yield ``ALTER DATABASE ... SET`` and ``ALTER ROLE ... IN DATABASE ... SET``."""
    for setting in source.settings:
        target = SQL("DATABASE {}").format(Identifier(name))
        if setting.role:
            target = SQL("ROLE {} IN DATABASE {}").format(Identifier(setting.role), Identifier(name))
        key = SQL(".").join(Identifier(part) for part in setting.name.split("."))
        yield SQL("ALTER {} SET {} TO {}").format(target, key, value(setting))


def value(setting: Setting) -> Composable:
    """Return a setting's value as SET takes it."""
    if setting.name not in LISTS:
        return Literal(setting.value)
    items = [
        match[1].replace('""', '"') if match[1] is not None else match[2] for match in ITEM.finditer(setting.value)
    ]
    return SQL(", ").join(Literal(item) for item in items) if items else Literal("")


def grants(name: str, source: Source) -> Iterator[Composed]:
    """Yield what gives the database the privileges of the old one, and no others."""
    database = Identifier(name)
    yield SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC, {}").format(database, Identifier(source.owner))
    for grant in source.grants:
        if grant.privilege not in PRIVILEGES:
            continue
        yield SQL("GRANT {} ON DATABASE {} TO {}{}").format(
            SQL(grant.privilege),
            database,
            Identifier(grant.role) if grant.role else SQL("PUBLIC"),
            SQL(" WITH GRANT OPTION") if grant.grantable else SQL(""),
        )
    if source.comment is not None:
        yield SQL("COMMENT ON DATABASE {} IS {}").format(database, Literal(source.comment))


def closed(name: str) -> Composed:
    """Return the statement that keeps others out until the restore has ended."""
    return SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(Identifier(name))
