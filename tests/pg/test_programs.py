"""Programs that know nothing of pgcohesion find the database: under db.run, and with a role of the worst name."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier, Literal

from pgcohesion import conninfo
from pgcohesion.context import Context
from pgcohesion.redact import Secret
from pgcohesion.server.binaries import wheel
from tests.support import CI, Project

pytestmark = pytest.mark.pg
ENV = "--env=test"
NPM = ("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", "pg@8.23.1")

SHELL = """#!/bin/sh
set -eu
psql -XAtc 'SELECT current_user, count(*) > 50 FROM bills'
psql -XAt "$DATABASE_URL" -c 'SELECT current_user, count(*) > 50 FROM bills'
pg_dump --schema-only --table=bills | grep -c '^CREATE TABLE'
pg_dump --schema-only --table=bills "$DATABASE_URL" | grep -c '^CREATE TABLE'
psql -XAtq -h "$POSTGRES_HOST" -p "$POSTGRES_PORT" -U "$POSTGRES_USER" "$POSTGRES_DB" <<'SQL'
SELECT current_database();
SQL
"""
SQLALCHEMY = """
import os
from sqlalchemy import create_engine, text

for name in ("DATABASE_URL", "SQLALCHEMY_DATABASE_URI"):
    with create_engine(os.environ[name]).connect() as connection:
        print(*connection.execute(text("SELECT current_user, count(*) > 50 FROM bills")).one(), sep="|")
"""
DJANGO = """
import os
import django
from django.conf import settings

def database(prefix, name):
    keys = {"ENGINE": "ENGINE", "NAME": name, "USER": "USER", "PASSWORD": "PASSWORD", "HOST": "HOST", "PORT": "PORT"}
    return {key: os.environ[f"{prefix}_{variable}"] for key, variable in keys.items()}

settings.configure(
    DATABASES={
        "default": database("DATABASE", "NAME"),
        "db": database("DB", "NAME"),
        "sql": database("SQL", "DATABASE"),
    }
)
django.setup()
from django.db import connections, models

class Bill(models.Model):
    bill_id = models.BigAutoField(primary_key=True)
    title = models.TextField()

    class Meta:
        app_label = "chanuka"
        db_table = "bills"
        managed = False

for alias in settings.DATABASES:
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT current_user")
        (user,) = cursor.fetchone()
    assert Bill.objects.using(alias).order_by("bill_id").first().title
    print(user, Bill.objects.using(alias).exclude(title="").count() > 50, sep="|")
"""
NODE = """
const { Client } = require('pg')
async function main() {
  for (const options of [undefined, { connectionString: process.env.DATABASE_URL }]) {
    const client = new Client(options)
    await client.connect()
    const { rows } = await client.query('SELECT current_user AS me, count(*) > $1 AS many FROM bills', [50])
    console.log(`${rows[0].me}|${rows[0].many}`)
    await client.end()
  }
}
main().catch(error => { console.error(error); process.exit(1) })
"""


def need(part: str, *, here: object) -> None:
    """Skip for a person whose machine lacks a part; fail in CI."""
    if not here:
        reason = f"it needs {part}"
        pytest.fail(reason) if CI else pytest.skip(reason)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with Node's `pg`."""
    need("node and npm", here=shutil.which("node") and shutil.which("npm"))
    folder = tmp_path_factory.mktemp("node")
    (folder / "package.json").write_text("{}")
    done = subprocess.run(NPM, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    need(f"npm's registry, which said: {done.stderr[-300:]}", here=done.returncode == 0)
    (folder / "program.js").write_text(NODE)
    return folder


@pytest.fixture
def worst(ctx: Context) -> Iterator[dict[str, str]]:
    """The variables of a role whose name and password have everything that is special anywhere."""
    name, password = "o'd/r@le:#?", "p@ss:w/rd?#%41 +&=;,'\"\\$HOME`x`é[]{}"
    ctx.db.execute(SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(Identifier(name), Literal(password)))
    ctx.db.execute(SQL("ALTER ROLE {} SET search_path = chanuka, public").format(Identifier(name)))
    ctx.db.execute(SQL("GRANT chanuka_readonly TO {}").format(Identifier(name)))
    host, port = ctx.server.address()
    parameters = {"host": host, "port": str(port), "dbname": "chanuka", "user": name}
    yield conninfo.export(parameters, Secret(password), "all")
    ctx.db.execute(SQL("DROP ROLE {}").format(Identifier(name)))


def check(shared: Project, worst: dict[str, str], command: list[str], expected: str, **more: str) -> None:
    """Run a program under db.run and with the worst role: it prints *expected*, `{me}` for the user's name."""
    done = shared.inv("db.run", ENV, "--", *command, env=more)
    assert (done.stdout, done.returncode) == (expected.replace("{me}", "chanuka_app"), 0), done.stderr
    environment = shared.environment(**more, **worst)
    alone = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (alone.stdout, alone.returncode) == (expected.replace("{me}", worst["PGUSER"]), 0), alone.stderr


def test_a_shell_script_with_psql_and_pg_dump(shared: Project, worst: dict[str, str], tmp_path: Path) -> None:
    folder = wheel()
    need("the embedded extra, for psql", here=folder)
    (tmp_path / "script.sh").write_text(SHELL)
    expected = "{me}|t\n{me}|t\n1\n1\nchanuka\n"
    check(shared, worst, ["sh", str(tmp_path / "script.sh")], expected, PATH=f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize(("package", "program", "times"), [("sqlalchemy", SQLALCHEMY, 2), ("django", DJANGO, 3)])
def test_a_python_program(
    shared: Project, worst: dict[str, str], tmp_path: Path, package: str, program: str, times: int
) -> None:
    need(f"{package}, of the dev lock", here=find_spec(package))
    (tmp_path / "program.py").write_text(program)
    check(shared, worst, [sys.executable, str(tmp_path / "program.py")], "{me}|True\n" * times)


def test_a_node_program(shared: Project, worst: dict[str, str], node: Path) -> None:
    check(shared, worst, ["node", str(node / "program.js")], "{me}|true\n" * 2)


def test_the_printed_variables_are_what_a_shell_needs(shared: Project) -> None:
    folder = wheel()
    need("the embedded extra, for psql", here=folder)
    lines = shared.inv("env.show", ENV, "--format=libpq", "--reveal").stdout
    script = f"set -a\n{lines}\npsql -XAtc 'SELECT current_user'\n"
    environment = shared.environment(PATH=f"{folder}:{os.environ['PATH']}")
    done = subprocess.run(
        ["sh"], input=script, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout == "chanuka_app\n", done.stderr
    password = (shared.root / ".pgcohesion/test/chanuka_app.password").read_text().strip()
    assert password in lines
    assert shared.json("env.show", ENV, "--format=libpq", "--reveal")["result"]["variables"]["PGPASSWORD"] == password
    for form in ("all", *conninfo.FORMATS):
        assert password not in shared.inv("env.show", ENV, f"--format={form}").stdout


def test_a_target_connects(shared: Project, worst: dict[str, str]) -> None:
    by_passfile = conninfo.parse(shared.inv("db.url", ENV).stdout.strip())
    found = conninfo.find(worst)
    assert found
    for parameters, password in ((by_passfile, None), (found.parameters, found.password)):
        (target,) = conninfo.resolve(parameters, password)
        assert target.password
        text = make_conninfo("", **{**target.parameters, "password": target.password.reveal()})
        with psycopg.connect(text) as connection:
            assert connection.info.user == target.user
