"""What libpq would connect to, asked of libpq."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from psycopg import pq

from pgcohesion.conninfo import Target, parse, resolve
from pgcohesion.errors import ConfigError
from pgcohesion.redact import Secret


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No PG* of this shell, no ~/.pgpass, no ~/.pg_service.conf."""
    for name in [name for name in os.environ if name.startswith("PG")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pgpass"))
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))


def places(text: str) -> list[tuple[str, int, str]]:
    return [(target.host, target.port, target.hostaddr) for target in resolve(parse(text))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://h/db", [("h", 5432, "")]),
        ("postgresql://h1:1,h2:2/db", [("h1", 1, ""), ("h2", 2, "")]),
        ("postgresql://h1,h2:5433/db", [("h1", 5432, ""), ("h2", 5433, "")]),
        ("postgresql://h1,h2/db?port=7", [("h1", 7, ""), ("h2", 7, "")]),
        ("postgresql:///db?host=/tmp&port=5433", [("/tmp", 5433, "")]),
        ("postgresql://[::1],/db", [("::1", 5432, ""), ("SOCKET", 5432, "")]),
        ("host=a,b hostaddr=10.0.0.1,10.0.0.2 port=1,2", [("a", 1, "10.0.0.1"), ("b", 2, "10.0.0.2")]),
        ("hostaddr=10.0.0.1,10.0.0.2", [("10.0.0.1", 5432, "10.0.0.1"), ("10.0.0.2", 5432, "10.0.0.2")]),
        ("host=@abstract", [("@abstract", 5432, "")]),
        ("", [("SOCKET", 5432, "")]),
    ],
)
def test_a_target_a_host(text: str, expected: list[tuple[str, int, str]]) -> None:
    (default,) = places("")
    assert places(text) == [
        (default[0] if host == "SOCKET" else host, port, address) for host, port, address in expected
    ]


def test_the_environment_fills_in_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PGHOST": "a,b", "PGPORT": "1,2", "PGDATABASE": "d", "PGUSER": "u", "PGPASSWORD": "pw"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PGTARGETSESSIONATTRS", "read-write")
    monkeypatch.setenv("PGLOADBALANCEHOSTS", "random")
    first, second = resolve({"dbname": "mine"})
    assert (first.host, first.port, first.dbname, first.user, first.password) == ("a", 1, "mine", "u", Secret("pw"))
    assert (second.host, second.port) == ("b", 2)
    assert first.parameters["target_session_attrs"] == "read-write"
    assert first.parameters["load_balance_hosts"] == "random"
    assert "password" not in first.parameters


def test_the_service_file_stands_between(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "services").write_text("[mine]\nhost=from-service\nport=5433\nuser=su\ndbname=sd\n")
    monkeypatch.setenv("PGHOST", "from-environment")
    monkeypatch.setenv("PGAPPNAME", "kept")
    (target,) = resolve({"service": "mine", "dbname": "explicit"})
    assert (target.host, target.port, target.user, target.dbname) == ("from-service", 5433, "su", "explicit")
    assert target.parameters["application_name"] == "kept"
    assert "service" not in target.parameters
    monkeypatch.setenv("PGSERVICE", "mine")
    assert resolve({})[0].host == "from-service"


def test_each_host_has_its_password_from_the_passfile(tmp_path: Path) -> None:
    passfile = tmp_path / "pgpass"
    passfile.write_text("a:1:*:u:for-a\nb:*:d:u:for\\:b\n")
    passfile.chmod(0o600)
    parameters = {"host": "a,b,c", "port": "1,2,3", "user": "u", "dbname": "d"}
    assert [target.password for target in resolve(parameters)] == [Secret("for-a"), Secret("for:b"), None]
    assert {target.password for target in resolve(parameters, Secret("given"))} == {Secret("given")}
    assert "for-a" not in repr(resolve(parameters))


def test_a_target_no_longer_depends_on_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSSLMODE", "disable")
    (target,) = resolve({"host": "h"})
    monkeypatch.setenv("PGSSLMODE", "require")
    monkeypatch.setenv("PGHOST", "other")
    assert resolve(target.parameters) == [target]


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ({"service": "none"}, 'definition of service "none" not found'),
        ({"host": "a", "port": "1,2"}, "could not match 2 port numbers to 1 hosts"),
        ({"host": "a,b", "hostaddr": "10.0.0.1"}, "could not match 2 host names to 1 hostaddr values"),
        ({"sslmode": "sometimes"}, "`sslmode` cannot be `sometimes`"),
        ({"target_session_attrs": "best"}, "`target_session_attrs` cannot be `best`"),
        ({"host": "h", "port": "0"}, "1 to 65535"),
        ({"host": "h", "port": "geheim"}, "1 to 65535"),
        ({"host": "heim@h"}, "`@;=`"),
    ],
)
def test_what_libpq_refuses_is_an_error_with_its_reason(parameters: dict[str, str], why: str, tmp_path: Path) -> None:
    (tmp_path / "services").touch()
    with pytest.raises(ConfigError) as caught:
        resolve(parameters, Secret("geheim"))
    assert why in caught.value.why
    assert "geheim" not in f"{caught.value.what}{caught.value.why}{caught.value.fix}"


def test_nothing_is_connected_to_and_no_name_is_looked_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        started = time.monotonic()
        resolve({"host": "127.0.0.1,no-such-host.invalid", "port": f"{server.getsockname()[1]},5432"})
        assert time.monotonic() - started < 1
        with pytest.raises(TimeoutError):
            server.accept()


def test_the_targets_are_what_a_connection_says_of_itself() -> None:
    connection = pq.PGconn.connect_start(b"host=/nowhere port=5433 user=u dbname=d")
    (target,) = resolve({"host": "/nowhere", "port": "5433", "user": "u", "dbname": "d"})
    said = {o.keyword.decode(): o.val.decode() for o in connection.info if o.val}
    assert target.parameters == said
    assert isinstance(target, Target)


def test_importing_it_does_not_load_psycopg() -> None:
    code = "import sys, pgcohesion.conninfo; print('psycopg' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert done.stdout == "False\n"
