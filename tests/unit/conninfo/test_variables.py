"""Conventions of variables: which of them is meant, and what it says."""

# ruff: noqa: E501  (a case is a line)

from __future__ import annotations

from pathlib import Path

import pytest

from pgcohesion.conninfo import Found, find, resolve
from pgcohesion.errors import ConfigError
from pgcohesion.redact import Secret

URL = "postgresql://u:pw@h:5433/db"
AT = {"host": "h", "port": "5433", "dbname": "db", "user": "u"}
PARTS = {"HOST": "h", "PORT": "5433", "USER": "u", "PASSWORD": "pw"}
Case = tuple[dict[str, str], dict[str, str], str]


def members(prefix: str, **more: str) -> dict[str, str]:
    return {prefix + name: value for name, value in {**PARTS, **more}.items()}


URLS = """DATABASE_URL POSTGRES_URL POSTGRESQL_URL PG_URL POSTGRES_PRISMA_URL PRIMARY_DATABASE_URL DATABASE_URI POSTGRES_URI
SQLALCHEMY_DATABASE_URI SQLALCHEMY_DATABASE_URL DB_URL DB_URI DATABASE_DSN PG_DSN DATABASE_CONNECTION_STRING
POSTGRES_URL_NON_POOLING DATABASE_URL_UNPOOLED DIRECT_URL SUPABASE_DB_URL NEON_DATABASE_URL PGRST_DB_URI TYPEORM_URL
HEROKU_POSTGRESQL_COPPER_URL"""
CASES: list[Case] = [
    *(({name: URL}, AT, "pw") for name in URLS.split()),
    # URLs with things beside them
    ({"JDBC_DATABASE_URL": "jdbc:postgresql://h:5433/db?user=u&password=pw"}, AT, "pw"),
    ({"SPRING_DATASOURCE_URL": "jdbc:postgresql://h:5433/db", "SPRING_DATASOURCE_USERNAME": "u", "SPRING_DATASOURCE_PASSWORD": "pw"}, AT, "pw"),
    ({"SPRING_R2DBC_URL": "r2dbc:postgresql://h:5433/db", "SPRING_R2DBC_USERNAME": "u", "SPRING_R2DBC_PASSWORD": "pw"}, AT, "pw"),
    ({"QUARKUS_DATASOURCE_JDBC_URL": "jdbc:postgresql://h:5433/db", "QUARKUS_DATASOURCE_USERNAME": "u", "QUARKUS_DATASOURCE_PASSWORD": "pw"}, AT, "pw"),
    ({"DB_URL": "jdbc:postgresql://h:5433/db", "DB_USER": "u", "DB_PASSWORD": "pw"}, AT, "pw"),
    ({"DATABASE_URL": "postgresql://u@h:5433/db", "DATABASE_PASSWORD": "pw"}, AT, "pw"),
    ({"DATABASE_URL": "postgresql://u@h:5433/db", "DATABASE_USER": "other", "DATABASE_PASSWORD": "pw"}, AT, ""),
    ({"DATABASE_URL": URL, "DATABASE_PASSWORD": "older"}, AT, "pw"),
    ({"ConnectionStrings__Default": "Host=h;Port=5433;Database=db;Username=u;Password=pw"}, AT, "pw"),
    ({"ConnectionStrings__DefaultConnection": "host=h;port=5433;database=db;username=u;password=pw"}, AT, "pw"),
    ({"ConnectionStrings__Shop": "Host=h;Port=5433;Database=db;Username=u;Password=pw"}, AT, "pw"),
    ({"POSTGRESQLCONNSTR_main": "Server=h;Port=5433;Database=db;User Id=u;Password=pw"}, AT, "pw"),
    ({"DATABASE_URL": f'"{URL}"'}, AT, "pw"),
    ({"DATABASE_URL": f"'{URL}'"}, AT, "pw"),
    ({"DATABASE_URL": f" {URL}\n"}, AT, "pw"),
    ({"DATABASE_URL": "host=h port=5433 dbname=db user=u password='p w'"}, AT, "p w"),
    # libpq's own
    ({"PGHOST": "h", "PGPORT": "5433", "PGDATABASE": "db", "PGUSER": "u", "PGPASSWORD": "pw"}, AT, "pw"),
    ({"PGHOST": "h1,h2", "PGPORT": "1,2", "PGTARGETSESSIONATTRS": "primary"}, {"host": "h1,h2", "port": "1,2", "target_session_attrs": "primary"}, ""),
    ({"PGHOST": "/tmp", "PGDATABASE": "db"}, {"host": "/tmp", "dbname": "db"}, ""),
    ({"PGHOSTADDR": "10.0.0.1"}, {"hostaddr": "10.0.0.1"}, ""),
    ({"PGHOST": "h", "PGSSLMODE": "verify-full", "PGSSLROOTCERT": "system"}, {"host": "h", "sslmode": "verify-full", "sslrootcert": "system"}, ""),
    ({"PGHOST": "h", "PGOPTIONS": "-c x.y=1", "PGAPPNAME": "a", "PGCONNECT_TIMEOUT": "3"}, {"host": "h", "options": "-c x.y=1", "application_name": "a", "connect_timeout": "3"}, ""),
    ({"PGSERVICE": "mine"}, {"service": "mine"}, ""),
    ({"PGHOST": "h", "PGPASSFILE": "/etc/pgpass"}, {"host": "h", "passfile": "/etc/pgpass"}, ""),
    ({"PGHOST": "h", "PGPASSWORD": '"pw"'}, {"host": "h"}, '"pw"'),
    # families
    (members("POSTGRES_", DB="db"), AT, "pw"),
    (members("POSTGRES_", DATABASE="db"), AT, "pw"),
    (members("POSTGRESQL_", DATABASE="db"), AT, "pw"),
    (members("PG_", DATABASE="db"), AT, "pw"),
    (members("DB_", NAME="db"), AT, "pw"),
    (members("DB_", DATABASE="db", CONNECTION="pgsql"), AT, "pw"),
    (members("DB_", NAME="db", ENGINE="django.db.backends.postgresql"), AT, "pw"),
    (members("DATABASE_", NAME="db", CLIENT="postgres"), AT, "pw"),
    (members("SQL_", DATABASE="db", ENGINE="django.contrib.gis.db.backends.postgis"), AT, "pw"),
    (members("TYPEORM_", DATABASE="db", CONNECTION="postgres"), AT, "pw"),
    ({"RDS_HOSTNAME": "h", "RDS_PORT": "5433", "RDS_DB_NAME": "db", "RDS_USERNAME": "u", "RDS_PASSWORD": "pw"}, AT, "pw"),
    ({"DB_HOST": "h", "DB_PORT": "5433", "DB_DATABASE": "db", "DB_USERNAME": "u", "DB_PASS": "pw"}, AT, "pw"),
    ({"DB_SERVER": "h", "DB_PORT": "5433", "DB_DBNAME": "db", "DB_USER": "u", "DB_PWD": "pw"}, AT, "pw"),
    ({"POSTGRES_USER": "u", "POSTGRES_PASSWORD": "pw", "POSTGRES_DB": "db"}, {"user": "u", "dbname": "db"}, "pw"),
    ({"DB_HOST": "h:5433", "DB_NAME": "db"}, {"host": "h", "port": "5433", "dbname": "db"}, ""),
    ({"DB_HOST": "::1", "DB_PORT": "5433"}, {"host": "::1", "port": "5433"}, ""),
    ({"DB_HOST": "[::1]:5433"}, {"host": "::1", "port": "5433"}, ""),
    ({"DB_HOST": "h1,h2", "DB_PORT": "5433"}, {"host": "h1,h2", "port": "5433"}, ""),
    ({"DB_HOST": "/cloudsql/project:region:db", "DB_NAME": "db"}, {"host": "/cloudsql/project:region:db", "dbname": "db"}, ""),
    ({"DB_HOST": "h", "DB_SSL": "true"}, {"host": "h", "sslmode": "require"}, ""),
    ({"DB_HOST": "h", "DB_SSL": "false"}, {"host": "h"}, ""),
    ({"DB_HOST": "h", "DB_SSLMODE": "verify-full", "DB_SSLROOTCERT": "/ca"}, {"host": "h", "sslmode": "verify-full", "sslrootcert": "/ca"}, ""),
    ({"DATABASE_HOST": "h", "DATABASE_SCHEMA": "app"}, {"host": "h", "options": "-csearch_path=app"}, ""),
    # traps
    ({"POSTGRES_PORT": "tcp://10.0.0.1:5432", "POSTGRES_USER": "u", "POSTGRES_HOST": "h"}, {"host": "h", "user": "u"}, ""),
    ({"POSTGRES_PORT": "tcp://10.0.0.1:5432", "POSTGRES_SERVICE_HOST": "10.0.0.1", "POSTGRES_SERVICE_PORT": "5432", "POSTGRES_USER": "u"}, {"host": "10.0.0.1", "port": "5432", "user": "u"}, ""),
    ({"DB_PORT": "tcp://172.17.0.5:5432", "DB_PORT_5432_TCP_ADDR": "172.17.0.5", "DB_PORT_5432_TCP_PORT": "5432", "DB_NAME": "db"}, {"host": "172.17.0.5", "port": "5432", "dbname": "db"}, ""),
    ({"DB_HOST": '"h"', "DB_PORT": '"5433"', "DB_NAME": '"db"', "DB_USER": '"u"', "DB_PASSWORD": '"pw"'}, AT, "pw"),
    ({"DB_HOST": "'h'", "DB_PASSWORD": "'pw'"}, {"host": "h"}, "pw"),
    ({"DB_HOST": "h", "DB_PASSWORD": '"quoted"'}, {"host": "h"}, '"quoted"'),
    ({"DB_HOST": "h ", "DB_PASSWORD": " pw "}, {"host": "h"}, " pw "),
    ({"DB_HOST": "h", "DB_PASSWORD": "a#b$c\\n%41+"}, {"host": "h"}, "a#b$c\\n%41+"),
    ({"DB_HOST": "h", "DB_PORT": "", "DB_PASSWORD": ""}, {"host": "h"}, ""),
    # another database's are passed over
    ({"DATABASE_URL": "mysql://u@m/db", "POSTGRES_URL": URL}, AT, "pw"),
    ({"DATABASE_URL": "file:./dev.db", "PGHOST": "h"}, {"host": "h"}, ""),
    ({"DATABASE_URL": "prisma+postgres://accelerate.prisma-data.net/?api_key=k", "DIRECT_URL": URL}, AT, "pw"),
    ({"ConnectionStrings__Default": "Server=m;Initial Catalog=x;Integrated Security=true", "ConnectionStrings__Pg": "Host=h"}, {"host": "h"}, ""),
    ({"DB_CONNECTION": "mysql", "DB_HOST": "m", "DATABASE_HOST": "h"}, {"host": "h"}, ""),
    # which of two
    ({"DATABASE_URL": URL, "PGHOST": "other", "DB_HOST": "another"}, AT, "pw"),
    ({"DB_URL": "postgresql://other", "POSTGRES_URL": URL}, AT, "pw"),
    ({"DB_HOST": "other", "PGHOST": "h"}, {"host": "h"}, ""),
    ({"DB_HOST": "other", "POSTGRES_HOST": "h"}, {"host": "h"}, ""),
    ({"DATABASE_URL": "", "PGHOST": "h"}, {"host": "h"}, ""),
]  # fmt: skip


@pytest.mark.parametrize(("variables", "expected", "password"), CASES, ids=[" ".join(case[0]) for case in CASES])
def test_convention(variables: dict[str, str], expected: dict[str, str], password: str) -> None:
    found = find(variables)
    assert found is not None
    assert found.parameters == expected
    assert found.password == (Secret(password) if password else None)
    assert set(found.source) <= set(variables)
    if "service" not in expected:
        assert resolve(found.parameters, found.password)


ENVIRONMENTS: list[tuple[str, dict[str, str], str]] = [
    ("production", {"DATABASE_URL": "postgresql://plain", "PRODUCTION_DATABASE_URL": URL}, "PRODUCTION_DATABASE_URL"),
    ("production", {"DATABASE_URL": "postgresql://plain", "DATABASE_URL_PRODUCTION": URL}, "DATABASE_URL_PRODUCTION"),
    ("production", {"DATABASE_URL": "postgresql://plain", "PROD_DATABASE_URL": URL}, "PROD_DATABASE_URL"),
    ("staging", {"DATABASE_URL": URL, "PRODUCTION_DATABASE_URL": "postgresql://other"}, "DATABASE_URL"),
    ("staging", {"DATABASE_URL": "postgresql://plain", **members("STAGING_DB_", NAME="db")}, "STAGING_DB_HOST"),
    ("staging", {"DATABASE_URL": "postgresql://plain", **members("STAGING_PG", DATABASE="db")}, "STAGING_PGUSER"),
    ("test", {**members("DB_", NAME="dev"), "DB_NAME_TEST": "db"}, "DB_HOST"),
    ("eu-west", {"EU_WEST_DATABASE_URL": URL}, "EU_WEST_DATABASE_URL"),
    ("", {"DATABASE_URL": URL, "PRODUCTION_DATABASE_URL": "postgresql://other"}, "DATABASE_URL"),
]


@pytest.mark.parametrize(("env", "variables", "source"), ENVIRONMENTS)
def test_names_with_the_environment_win(env: str, variables: dict[str, str], source: str) -> None:
    found = find(variables, env=env)
    assert found
    assert found.parameters == AT
    assert found.source[0] == source


def test_an_environments_own_member_replaces_the_common_one() -> None:
    found = find({**members("DB_", NAME="db"), "PRODUCTION_DB_HOST": "other"}, env="production")
    assert found
    assert found.parameters == {**AT, "host": "other"}
    assert found.source == ("PRODUCTION_DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD")


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"HOME": "/", "PATH": "/bin"},
        {"DATABASE_URL": ""},
        {"DATABASE_URL": "sqlite:///db.sqlite3"},
        {"PGPASSWORD": "x", "PGAPPNAME": "psql", "PGPORT": "5432"},
        {"POSTGRES_PASSWORD": "x"},
        {"POSTGRES_SERVICE_HOST": "10.0.0.1", "POSTGRES_SERVICE_PORT": "5432", "POSTGRES_PORT": "tcp://10.0.0.1:5432"},
        {"DB_CONNECTION": "sqlite", "DB_DATABASE": "db.sqlite"},
        {"PRODUCTION_DATABASE_URL": URL},
    ],
)
def test_nothing_is_found_where_nothing_is_meant(variables: dict[str, str]) -> None:
    assert find(variables) is None


@pytest.mark.parametrize(
    ("name", "text", "rest"),
    [
        ("DATABASE_URL_FILE", URL + "\n", {}),
        ("POSTGRES_PASSWORD_FILE", "pw\n", {k: v for k, v in members("POSTGRES_", DB="db").items() if k != "POSTGRES_PASSWORD"}),
        ("DB_PASSWORD_FILE", "pw\r\n", {k: v for k, v in members("DB_", NAME="db").items() if k != "DB_PASSWORD"}),
        ("PGPASSWORD_FILE", "pw", {"PGHOST": "h", "PGPORT": "5433", "PGUSER": "u", "PGDATABASE": "db"}),
        ("POSTGRES_DB_FILE", "db\n", members("POSTGRES_")),
    ],
)  # fmt: skip
def test_a_value_may_stand_in_a_file(tmp_path: Path, name: str, text: str, rest: dict[str, str]) -> None:
    (tmp_path / "secret").write_text(text, newline="")
    found = find({**rest, name: str(tmp_path / "secret")})
    assert found
    assert found.parameters == AT
    assert found.password == Secret("pw")
    assert name in found.source
    with pytest.raises(ConfigError, match=name):
        find({**rest, name: str(tmp_path / "missing")})
    with pytest.raises(ConfigError, match=name) as caught:
        find({**rest, name: "the-secret-itself"})
    assert "the-secret" not in caught.value.why


def test_only_the_last_newline_of_a_file_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(' "p\nw" \n\n', newline="")
    found = find({"DB_HOST": '"h"', "DB_PASSWORD_FILE": str(tmp_path / "secret")})
    assert found
    assert found.password == Secret(' "p\nw" \n')


REPLICA = "postgresql://r:pw2@r1:5434/db"
REPLICAS: list[tuple[str, dict[str, str], list[str]]] = [
    *(
        ("", {name: REPLICA}, ["r1"])
        for name in (
            "DATABASE_REPLICA_URL", "REPLICA_DATABASE_URL", "DATABASE_READ_URL", "DATABASE_READONLY_URL", "READ_DATABASE_URL",
            "POSTGRES_REPLICA_URL", "DATABASE_URL_REPLICA", "REPLICA_URL", "DB_READ_URL", "READ_REPLICA_DATABASE_URL",
            "PRIMARY_REPLICA_DATABASE_URL",
        )
    ),
    ("", {"DATABASE_REPLICA_URLS": "postgresql://r1/db,postgresql://r2:1,r3:2/db, postgres://r4"}, ["r1", "r2,r3", "r4"]),
    ("", {f"DATABASE_REPLICA_URL_{n}": f"postgresql://r{n}/db" for n in (10, 2, 1)}, ["r1", "r2", "r10"]),
    ("", {"DATABASE_REPLICA_1_URL": "postgresql://r1", "DATABASE_REPLICA_2_URL": "postgresql://r2"}, ["r1", "r2"]),
    ("", {"DATABASE_REPLICA_URL": "mysql://m"}, []),
    ("", {"REDIS_REPLICA_URL": "redis://m", "STAGING_DATABASE_REPLICA_URL": REPLICA}, []),
    ("staging", {"STAGING_DATABASE_REPLICA_URL": REPLICA, "DATABASE_REPLICA_URL": "postgresql://other"}, ["r1"]),
    ("staging", {"DATABASE_REPLICA_URL_STAGING": REPLICA}, ["r1"]),
    ("", {"PGREPLICAHOST": "r1", "PGREPLICAPORT": "5434"}, ["r1"]),
    ("", {"DB_REPLICA_HOST": "r1,r2:5434"}, ["r1", "r2"]),
    ("", {"DB_READ_HOST": "r1"}, ["r1"]),
    ("", {"DB_HOST_READ": "r1"}, ["r1"]),
    ("", {"POSTGRES_REPLICA_HOSTS": "r1 r2"}, ["r1", "r2"]),
]  # fmt: skip


@pytest.mark.parametrize(("env", "variables", "hosts"), REPLICAS, ids=[" ".join(case[1]) for case in REPLICAS])
def test_replicas(env: str, variables: dict[str, str], hosts: list[str]) -> None:
    found = find({"DATABASE_URL": URL, **variables}, env=env)
    assert found
    assert found.parameters == AT
    assert [replica.parameters["host"] for replica in found.replicas] == hosts
    assert {replica.source[0] for replica in found.replicas} <= variables.keys()


def test_a_replicas_host_has_the_rest_from_the_primary_and_its_url_its_own_password() -> None:
    (replica,) = find({"DATABASE_URL": URL, "DB_REPLICA_HOST": "r1:5434"}).replicas  # type: ignore[union-attr]
    assert (replica.parameters, replica.password) == ({**AT, "host": "r1", "port": "5434"}, Secret("pw"))
    (replica,) = find({"DATABASE_URL": URL, "DATABASE_REPLICA_URL": REPLICA}).replicas  # type: ignore[union-attr]
    assert replica.password == Secret("pw2")


def test_a_replica_is_not_asked_to_be_the_primary() -> None:
    url = "postgresql://u@a:1,b:2/db?target_session_attrs=read-write&sslmode=require"
    (replica,) = find({"DATABASE_URL": url, "DB_REPLICA_HOST": "r1"}).replicas  # type: ignore[union-attr]
    assert replica.parameters == {"host": "r1", "user": "u", "dbname": "db", "sslmode": "require"}
    assert resolve(replica.parameters)


def test_what_is_found_shows_no_password() -> None:
    found = find(
        {"DATABASE_URL": "postgresql://u:geheimnis@h/db", "DATABASE_REPLICA_URL": "postgresql://u:geheimnis@r/db"}
    )
    assert isinstance(found, Found)
    assert "geheimnis" not in repr(found)


def test_an_error_names_the_variable_and_no_secret() -> None:
    with pytest.raises(ConfigError) as caught:
        find({"POSTGRES_URL": "postgresql://u:geheimnis%zz@h/db"})
    assert caught.value.what.startswith("`POSTGRES_URL`: ")
    assert "geheimnis" not in f"{caught.value.what}{caught.value.why}{caught.value.fix}"


def test_bytes_that_are_no_utf8_are_an_error() -> None:
    with pytest.raises(ConfigError, match="`DB_PASSWORD` is no UTF-8 text"):
        find({"DB_HOST": "h", "DB_PASSWORD": "\udce9"})


def test_there_are_enough_conventions() -> None:
    assert len(CASES) + len(ENVIRONMENTS) + len(REPLICAS) >= 62
