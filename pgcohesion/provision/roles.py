"""Roles: pure decisions from what is declared and what is there (manual, chapter 22)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from psycopg import sql
from psycopg.sql import SQL, Identifier, Literal

from ..config import Config, Role
from ..plan import Change, Sql, Step
from ..redact import Secret, remember
from . import scram
from .facts import Facts
from .values import dotted_identifier, literal, setting_changes, text_of

FLAGS = ("login", "superuser", "createdb", "createrole", "replication", "bypassrls", "inherit")


def changes(config: Config, facts: Facts, passwords: Mapping[str, Secret | None]) -> Iterator[Change]:
    """Yield what makes the declared roles; a role's groups come before it."""
    for name in _ordered(config):
        yield from _role(name, config.roles[name], facts.roles.get(name))
    for name, role in config.roles.items():
        now = facts.roles.get(name)
        yield from _password(name, role, now, passwords.get(name))
        yield from _settings(name, role, now)
        yield from _memberships(name, role, now)


def _ordered(config: Config) -> list[str]:
    return sorted(config.roles, key=lambda name: (config.roles[name].login, list(config.roles).index(name)))


def _role(name: str, role: Role, now: Any) -> Iterator[Change]:
    if now is None:
        words = [_flag(flag, getattr(role, flag)) for flag in FLAGS if getattr(role, flag) or flag == "inherit"]
        limit = f" CONNECTION LIMIT {role.connection_limit}" if role.connection_limit >= 0 else ""
        statement = SQL("CREATE ROLE {} WITH {}").format(Identifier(name), SQL(" ".join(words) + limit))
        yield Change("create", f"role {name}", Sql(statement), "login" if role.login else "")
        return
    different = [flag for flag in FLAGS if getattr(role, flag) != getattr(now, flag)]
    words = [_flag(flag, getattr(role, flag)) for flag in different]
    if role.connection_limit != now.connection_limit:
        different.append("connection limit")
        words.append(f"CONNECTION LIMIT {role.connection_limit}")
    if words:
        statement = SQL("ALTER ROLE {} WITH {}").format(Identifier(name), SQL(" ".join(words)))
        yield Change("alter", f"role {name}", Sql(statement), ", ".join(different))


def _flag(flag: str, value: bool) -> str:
    return flag.upper() if value else f"NO{flag.upper()}"


def _password(name: str, role: Role, now: Any, password: Secret | None) -> Iterator[Change]:
    if role.password is None:
        return
    what = f"password of role {name}"
    if password is None:  # its file is made by an earlier change of this plan
        ref, key = role.password, f"roles.{name}.password"
        yield Change("alter", what, Step(lambda ctx: _set_password(ctx, name, ctx.secret(ref, key))))
    elif now is None or not scram.matches(password.reveal(), now.password):
        yield Change("alter", what, Sql(password_statement(name, password)))


def _set_password(ctx: Any, name: str, password: Secret | None) -> None:
    assert password is not None
    ctx.db.execute(password_statement(name, password), database="postgres")


def password_statement(name: str, password: Secret) -> sql.Composed:
    """Return the statement that gives a role a password, as a verifier."""
    verifier = scram.verifier(password.reveal())
    remember(verifier)
    return SQL("ALTER ROLE {} PASSWORD {}").format(Identifier(name), Literal(verifier))


def _settings(name: str, role: Role, now: Any) -> Iterator[Change]:
    for setting, value in setting_changes(role.settings, now.settings if now else ()):
        statement = SQL("ALTER ROLE {} SET {} TO {}").format(
            Identifier(name), dotted_identifier(setting), literal(setting, value)
        )
        yield Change("alter", f"role {name} {setting}", Sql(statement), text_of(value))


def _memberships(name: str, role: Role, now: Any) -> Iterator[Change]:
    for group in role.member_of:
        if now is None or group not in now.member_of:
            yield Change(
                "alter",
                f"role {name}",
                Sql(SQL("GRANT {} TO {}").format(Identifier(group), Identifier(name))),
                f"member of {group}",
            )
