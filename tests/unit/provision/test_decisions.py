"""Provisioning decides from values: (declared, there) -> SQL. No server is asked."""

from __future__ import annotations

from types import SimpleNamespace as Row
from typing import Any

import msgspec
import pytest

from pgcohesion.config.model import Config
from pgcohesion.plan import Change, Plan, Sql
from pgcohesion.provision import databases, roles, scram, values
from pgcohesion.provision.facts import DatabaseFacts, Facts
from pgcohesion.provision.host import HostFacts
from pgcohesion.redact import Secret
from pgcohesion.render import quote_hba, quote_setting
from pgcohesion.server import State

pytestmark = pytest.mark.unit
ROLE: dict[str, Any] = {
    **dict.fromkeys(("login", "superuser", "createdb", "createrole", "replication", "bypassrls"), False),
    "inherit": True,
    "connection_limit": -1,
    "password": None,
    "member_of": [],
    "settings": [],
}


def config(**tables: Any) -> Config:
    return msgspec.convert(tables, Config)


def facts(**parts: Any) -> Facts:
    return Facts(HostFacts(State.RUNNING), **parts)


def sql(changes: Any) -> list[str]:
    return [change.action.text for change in changes if isinstance(change.action, Sql)]


@pytest.mark.parametrize(
    ("wanted", "now", "statements"),
    [
        ({}, None, ['CREATE ROLE "r" WITH INHERIT']),
        ({"login": True, "connection_limit": 3}, None, ['CREATE ROLE "r" WITH LOGIN INHERIT CONNECTION LIMIT 3']),
        ({}, ROLE, []),
        ({"login": True}, ROLE, ['ALTER ROLE "r" WITH LOGIN']),
        ({}, {**ROLE, "superuser": True}, ['ALTER ROLE "r" WITH NOSUPERUSER']),
        ({"connection_limit": 5}, ROLE, ['ALTER ROLE "r" WITH CONNECTION LIMIT 5']),
        ({"member_of": ["pg_monitor"]}, ROLE, ['GRANT "pg_monitor" TO "r"']),
        ({"member_of": ["pg_monitor"]}, {**ROLE, "member_of": ["pg_monitor"]}, []),
        ({"settings": {"work_mem": "1MB"}}, ROLE, ['ALTER ROLE "r" SET "work_mem" TO \'1MB\'']),
        ({"settings": {"search_path": "a, b"}}, ROLE, ["ALTER ROLE \"r\" SET \"search_path\" TO 'a', 'b'"]),
        ({"settings": {"search_path": "a, b"}}, {**ROLE, "settings": ["search_path=a, b"]}, []),
        ({"settings": {"a.b": True}}, {**ROLE, "settings": ["a.b=off"]}, ['ALTER ROLE "r" SET "a"."b" TO \'on\'']),
    ],
)
def test_roles(wanted: dict[str, Any], now: dict[str, Any] | None, statements: list[str]) -> None:
    there = facts(roles={"r": Row(name="r", **now)} if now else {})
    assert sql(roles.changes(config(roles={"r": wanted}), there, {})) == statements


def test_groups_are_made_before_those_who_log_in() -> None:
    made = roles.changes(config(roles={"app": {"login": True, "member_of": ["group"]}, "group": {}}), facts(), {})
    assert [change.what for change in made] == ["role group", "role app", "role app"]


def test_a_password_is_sent_as_a_verifier_and_only_when_it_differs() -> None:
    wanted = config(roles={"r": {"login": True, "password": {"env": "X"}}})
    (statement,) = sql(
        roles.changes(wanted, facts(roles={"r": Row(name="r", **{**ROLE, "login": True})}), {"r": Secret("päss'wörd")})
    )
    assert statement.startswith('ALTER ROLE "r" PASSWORD \'SCRAM-SHA-256$4096:')
    assert "wörd" not in statement
    stored = statement.split("'")[1]
    assert not sql(
        roles.changes(
            wanted,
            facts(roles={"r": Row(name="r", **{**ROLE, "login": True, "password": stored})}),
            {"r": Secret("päss'wörd")},
        )
    )
    assert sql(
        roles.changes(
            wanted,
            facts(roles={"r": Row(name="r", **{**ROLE, "login": True, "password": stored})}),
            {"r": Secret("another")},
        )
    )


DATABASE = {"owner": "o", "connection_limit": -1, "public_connect": False, "connect": ["app"], "settings": []}
GRANT = {"role": "app", "schema": "s", "tables": ["SELECT"]}
WANTED = {
    "roles": {"o": {}, "app": {}},
    "databases": {"d": {"owner": "o", "extensions": ["x"], "schemas": {"s": {}}, "grants": [GRANT]}},
}
WHOLE = DatabaseFacts(
    frozenset({"x"}), {"s": "o"}, {("s", "app"): frozenset({"USAGE"})}, {("s", "tables", "app", "SELECT"): 3},
    {("s", "tables"): 3}, {("s", "o", "tables", "app"): frozenset({"SELECT"})},
)  # fmt: skip


def test_a_new_database_gets_all_in_order() -> None:
    assert sql(databases.changes(config(**WANTED), facts())) == [
        'CREATE DATABASE "d" OWNER "o" ENCODING \'UTF8\' TEMPLATE template0',
        'REVOKE ALL ON DATABASE "d" FROM PUBLIC',
        'GRANT CONNECT, TEMPORARY ON DATABASE "d" TO "app"',
        'CREATE EXTENSION IF NOT EXISTS "x" CASCADE',
        'CREATE SCHEMA "s" AUTHORIZATION "o"',
        'GRANT USAGE ON SCHEMA "s" TO "app"',
        'ALTER DEFAULT PRIVILEGES FOR ROLE "o" IN SCHEMA "s" GRANT SELECT ON TABLES TO "app"',
    ]


def test_a_database_as_declared_gets_nothing() -> None:
    assert (
        sql(databases.changes(config(**WANTED), facts(databases={"d": Row(name="d", **DATABASE)}, inside={"d": WHOLE})))
        == []
    )


@pytest.mark.parametrize(
    ("change", "statement"),
    [
        ({"owner": "x"}, 'ALTER DATABASE "d" OWNER TO "o"'),
        ({"connection_limit": 5}, 'ALTER DATABASE "d" CONNECTION LIMIT  -1'),
        ({"public_connect": True}, 'REVOKE ALL ON DATABASE "d" FROM PUBLIC'),
        ({"connect": []}, 'GRANT CONNECT, TEMPORARY ON DATABASE "d" TO "app"'),
    ],
)
def test_a_database_that_drifted(change: dict[str, Any], statement: str) -> None:
    there = facts(databases={"d": Row(name="d", **{**DATABASE, **change})}, inside={"d": WHOLE})
    assert sql(databases.changes(config(**WANTED), there)) == [statement]


def test_a_table_that_lacks_a_grant_gets_all_granted() -> None:
    inside = msgspec.structs.replace(WHOLE, object_grants={("s", "tables", "app", "SELECT"): 2})
    there = facts(databases={"d": Row(name="d", **DATABASE)}, inside={"d": inside})
    assert sql(databases.changes(config(**WANTED), there)) == ['GRANT SELECT ON ALL TABLES IN SCHEMA "s" TO "app"']


def test_hostile_names_are_quoted() -> None:
    name = "a\"b'; DROP TABLE x; --"
    (statement, *_) = sql(databases.changes(config(databases={name: {}}), facts()))
    assert statement.startswith('CREATE DATABASE "a""b\'; DROP TABLE x; --" ENCODING')


def test_scram_of_rfc_7677() -> None:
    import base64

    stored = scram.verifier("pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="))
    assert stored == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
        ":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )
    assert scram.matches("pencil", stored)
    assert not scram.matches("Pencil", stored)
    assert not scram.matches("pencil", "md5" + "0" * 32)
    assert not scram.matches("pencil", None)


@pytest.mark.parametrize(
    ("password", "prepared"),
    [("I\u00adX", "IX"), ("ª", "a"), ("\u2168", "IX"), ("a\u00a0b", "a b"), ("a\u0007ü", "a\u0007ü"), ("user", "user")],
)
def test_saslprep_of_rfc_4013(password: str, prepared: str) -> None:
    assert scram.saslprep(password) == prepared.encode()


SETTING = {"name": "x", "unit": None, "vartype": "string"}


@pytest.mark.parametrize(
    ("wanted", "row", "same"),
    [
        ("16MB", {"vartype": "integer", "unit": "kB", "setting": "16384"}, True),
        ("128MB", {"vartype": "integer", "unit": "8kB", "setting": "16384"}, True),
        ("1GB", {"vartype": "integer", "unit": "8kB", "setting": "131071"}, False),
        (100, {"vartype": "integer", "setting": "100"}, True),
        ("500ms", {"vartype": "integer", "unit": "ms", "setting": "500"}, True),
        ("10min", {"vartype": "integer", "unit": "ms", "setting": "600000"}, True),
        ("1.5h", {"vartype": "integer", "unit": "s", "setting": "5400"}, True),
        (1.1, {"vartype": "real", "setting": "1.1"}, True),
        (True, {"vartype": "bool", "setting": "on"}, True),
        ("yes", {"vartype": "bool", "setting": "on"}, True),
        (False, {"vartype": "bool", "setting": "on"}, False),
        (True, {"vartype": "enum", "setting": "on"}, True),
        ("LOCAL", {"vartype": "enum", "setting": "local"}, True),
        (True, {"vartype": "enum", "setting": "local"}, False),
        ("%m ", {"setting": "%m "}, True),
        ("%m", {"setting": "%m "}, False),
        ("a,b", {"name": "search_path", "setting": 'a, "b"'}, True),
    ],
)
def test_settings_are_compared_as_the_server_does(wanted: object, row: dict[str, Any], same: bool) -> None:
    assert values.same(wanted, Row(**{**SETTING, **row})) is same


@pytest.mark.parametrize(
    ("value", "text"), [(True, "on"), (5, "5"), (1.5, "1.5"), ("a'b\\c", "'a''b\\\\c'"), ("", "''"), ("%m ", "'%m '")]
)
def test_settings_are_quoted(value: object, text: str) -> None:
    assert quote_setting(value) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [("all", "all"), ("a,b", "a,b"), ("+group", "+group"), ("a b", '"a b"'), ('a"b', '"a""b"'), ("ü", '"ü"')],
)
def test_hba_names_are_quoted(name: str, text: str) -> None:
    assert quote_hba(name) == text


def test_neighbouring_statements_share_a_transaction() -> None:
    from psycopg.sql import SQL

    def change(what: str, database: str | None = None, *, transaction: bool = True) -> Change:
        return Change("create", what, Sql(SQL("SELECT 1"), database, transaction=transaction))

    plan = Plan(
        "e", (change("a"), change("b"), change("c", transaction=False), change("d"), change("e", "x"), change("f", "x"))
    )
    assert [[change.what for change in group] for group in plan.groups()] == [["a", "b"], ["c"], ["d"], ["e", "f"]]
    assert plan.counts() == {"create": 6, "alter": 0, "drop": 0, "run": 0}
    assert not plan.destroys
