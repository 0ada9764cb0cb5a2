"""What is exported in any form is found again as what it was, whatever stands in a password."""

# ruff: noqa: E501  (lists of cases)

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from psycopg import pq

from pgcohesion.conninfo import FORMATS, export, find, parse, shell_lines
from pgcohesion.conninfo.families import URLS
from pgcohesion.errors import UsageError
from pgcohesion.redact import MASK, Secret, redact
from tests.support import REPO

PASSWORDS = [
    "", "simple", "p@ss", "p@ss@h", "a/b", "//", "a:b", ":", "a?b", "a#b", "#", "100%", "%41", "%zz", "a+b", "a b", " ab ", "a&b=c",
    "a;b", ";Host=evil", "a=b", "a,b", "'", "''", '"', '"quoted"', "'quoted'", "a'b\"c", '""', "\\", "a\\'b", "$HOME", "`id`",
    "${x}", "!", "*", "[x]", "{x}", "<>|", "~", "é", "пароль", "密码", "😀", "a\tb", "a\nb", "a\n", "\r\n", "\x7f", "***",
    "jdbc:postgresql://x", "postgresql://u:p@h/d", "a" * 300, "p%C3%A9", "null", "true", "-x", "--", "@", "tcp://10.0.0.1:5432", "/etc/passwd",
]  # fmt: skip
PLACES: dict[str, dict[str, str]] = {
    "one host": {"host": "db.example.com", "port": "5433"},
    "default port": {"host": "localhost"},
    "an address": {"host": "10.0.0.1", "port": "5432"},
    "IPv6": {"host": "::1", "port": "5433"},
    "IPv6 with a zone": {"host": "fe80::1%eth0", "port": "5433"},
    "hosts": {"host": "h1,h2,h3", "port": "1,2,3"},
    "hosts with a port": {"host": "h1,h2", "port": "5433"},
    "IPv6 hosts": {"host": "::1,::2", "port": "1,2"},
    "a socket": {"host": "/var/run/postgresql", "port": "5433"},
    "a socket with a space": {"host": "/tmp/a b&c", "port": "5433"},
}
NAMES = [
    ("app", "db"),
    ("us er@x:/", "d/b?c#"),
    ("ü'\"", "%41+"),
    ("a;b=c", "x;y=z"),
    ("a,b", "m@y:d,$b!(*)"),
    ("a\\b", "'q\""),
]
WHOLE = {  # of the forms that have a URL; what they say reaches libpq unharmed
    "host": "h1,h2",
    "port": "1,2",
    "user": "u",
    "dbname": "db",
    "sslmode": "verify-full",
    "sslrootcert": "/a b/ca.pem",
    "options": r"-csearch_path=a\ b -c x.y='&=?#%41+'",
    "application_name": "my app+1",
    "target_session_attrs": "prefer-standby",
    "connect_timeout": "3",
    "channel_binding": "require",
    "keepalives_idle": "30",
    "load_balance_hosts": "random",
}
WITH_URL = ("url", "django", "laravel", "prisma", "rails", "spring", "sqlalchemy", "typeorm", "all")
PARTLY = {"libpq": {"keepalives_idle"}, "npgsql": {"channel_binding", "keepalives_idle", "load_balance_hosts"}}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("password", PASSWORDS, ids=range(len(PASSWORDS)))
def test_every_password_survives_every_form(form: str, password: str) -> None:
    parameters = {"host": "db.example.com", "port": "5433", "dbname": "db", "user": "app"}
    found = find(export(parameters, Secret(password) if password else None, form))
    assert found
    assert found.parameters == parameters
    assert (found.password.reveal() if found.password else "") == password


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("place", PLACES)
def test_every_place_survives_every_form(form: str, place: str) -> None:
    parameters = {**PLACES[place], "dbname": "db", "user": "app", "sslmode": "verify-full"}
    found = find(export(parameters, Secret("p@:/?#"), form))
    assert found
    assert found.parameters == parameters
    assert found.password == Secret("p@:/?#")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("user", "dbname"), NAMES)
def test_every_name_survives_every_form(form: str, user: str, dbname: str) -> None:
    parameters = {"host": "h", "port": "5432", "user": user, "dbname": dbname}
    found = find(export(parameters, Secret("pw"), form))
    assert found
    assert found.parameters == parameters


@pytest.mark.parametrize("form", WITH_URL)
def test_a_url_carries_everything(form: str) -> None:
    found = find(export(WHOLE, Secret("p w"), form))
    assert found
    assert (found.parameters, found.password) == (WHOLE, Secret("p w"))


@pytest.mark.parametrize("form", PARTLY)
def test_what_a_form_cannot_say_is_left_out(form: str) -> None:
    found = find(export(WHOLE, None, form))
    assert found
    assert found.parameters == {k: v for k, v in WHOLE.items() if k not in PARTLY[form]}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("password", PASSWORDS, ids=range(len(PASSWORDS)))
def test_libpq_itself_reads_the_url(place: str, password: str) -> None:
    parameters = {**PLACES[place], "dbname": "db", "user": "app"}
    url = export(parameters, Secret(password) if password else None, "url")["DATABASE_URL"]
    judged = {o.keyword.decode(): o.val.decode() for o in pq.Conninfo.parse(url.encode()) if o.val is not None}
    assert judged == {**parameters, **({"password": password} if password else {})} == parse(url)


@pytest.mark.parametrize("password", PASSWORDS, ids=range(len(PASSWORDS)))
def test_sqlalchemy_reads_its_url(password: str) -> None:
    from sqlalchemy import make_url

    values = export({"host": "h", "port": "5433", "user": "a@b", "dbname": "db"}, Secret(password), "sqlalchemy")
    url = make_url(values["SQLALCHEMY_DATABASE_URI"])
    assert (url.username, url.password or "", url.host, url.port, url.database) == ("a@b", password, "h", 5433, "db")


def test_the_readme_names_the_formats() -> None:
    listed = re.search(r"Formats: `([^`]+)`", (REPO / "README.md").read_text())
    assert listed
    assert set(listed[1].split()) == FORMATS.keys()


def test_all_agree() -> None:
    """Whatever is left of what `all` exports says the same, one convention after the other."""
    parameters = {"host": "h", "port": "5433", "user": "u", "dbname": "db"}
    left, seen = export(parameters, Secret("p@w"), "all"), []
    while found := find(left):
        assert (found.parameters, found.password) == (parameters, Secret("p@w")), found.source
        seen.append(found.source)
        family = found.source[0].partition("_")[0] + "_" if len(found.source) > 2 else found.source
        left = {name: value for name, value in left.items() if name not in found.source and not name.startswith(family)}
    assert len(seen) > 40


def test_no_url_of_somebodys_shell_is_left_to_lead_elsewhere() -> None:
    assert set(URLS) <= export({"host": "h"}, None, "all").keys()


@pytest.mark.parametrize("form", FORMATS)
def test_the_lines_are_what_a_shell_reads(form: str) -> None:
    values = export({"host": "h", "user": "u", "dbname": "it's $HOME"}, Secret("a'b\"c`id`\\\n!$x"), form)
    program = f"{sys.executable} -c 'import os, sys; print({{n: os.environ[n] for n in sys.argv[1:]}})'"
    lines = [f"export {line}" for line in shell_lines(values)]
    script = "\n".join([*lines, f"{program} {' '.join(values)}"])
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == f"{values}\n"


@pytest.mark.parametrize("form", FORMATS)
def test_the_stars_that_stand_for_a_password_stay_stars(form: str) -> None:
    values = export({"host": "h", "user": "u", "dbname": "db"}, Secret(MASK), form)
    assert any(MASK in value for value in values.values())
    assert "%2A" not in str(values)


@pytest.mark.parametrize("form", [form for form in FORMATS if form not in ("npgsql", "all")])
def test_what_is_exported_is_masked_wherever_it_is_logged(form: str) -> None:
    password = Secret("geheim/ni*s&'x")
    values = export({"host": "h", "user": "u", "dbname": "db"}, password, form)
    assert "geheim" not in redact(str(list(values.values()))).replace("***", "")


def test_a_format_that_does_not_exist() -> None:
    with pytest.raises(UsageError) as caught:
        export({}, None, "djnago")
    assert caught.value.fix.startswith("did you mean `django`?")
