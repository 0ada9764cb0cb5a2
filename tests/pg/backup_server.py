"""What the tests of backups share: a folder of their own on the session's server, and ways to look at databases."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from psycopg.sql import SQL, Identifier

from pgcohesion import backup
from pgcohesion.backup import names
from pgcohesion.backup.dumping import Made
from pgcohesion.context import Context, Options
from pgcohesion.opening import open_context
from tests.support import Project

PROPERTIES = """
SELECT pg_get_userbyid(d.datdba), d.encoding, d.datcollate, d.datctype, d.datlocprovider, d.datlocale, d.datconnlimit,
       d.datallowconn, shobj_description(d.oid, 'pg_database'),
       (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(d.datacl) a) AS acl,
       (SELECT array_agg(setrole::text || setconfig::text ORDER BY setrole)
          FROM pg_db_role_setting WHERE setdatabase = d.oid) AS settings
  FROM pg_database d WHERE d.datname = 'NAME'
"""


class Backups:
    """The backups of the environment `test`, in a folder of a test's own."""

    def __init__(self, project: Project, folder: Path) -> None:
        self.project, self.folder = project, folder
        self.set = f"backup.folder={folder}"
        self.ctx = self.context()

    def context(self, **options: Any) -> Context:
        """Return a context that backs up into the folder."""
        return open_context("test", root=self.project.root, options=Options(env="test", set=(self.set,), **options))

    def inv(self, *words: str, env: str = "test") -> subprocess.CompletedProcess[str]:
        """Run a task."""
        return self.project.inv(*words, f"--env={env}", "--set", self.set)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a task."""
        return subprocess.Popen(
            self.project.command(*words, "--env=test", "--set", self.set),
            cwd=self.project.root,
            env=self.project.environment(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def listed(self) -> dict[str, str]:
        """Return the listed backups with what is wrong with them."""
        return {entry.id: entry.reason for entry in backup.list_backups(self.ctx).entries}

    def databases(self) -> set[str]:
        """Return the names of all databases."""
        return {row.name for row in self.ctx.db.execute("SELECT datname AS name FROM pg_database", database="postgres")}

    def sql(self, database: str, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements in a database and return the last one's rows."""
        rows: list[Any] = []
        for statement in statements:
            rows = self.ctx.db.execute(statement, database=database)
        return [tuple(row) for row in rows]

    def drop(self, *databases: str) -> None:
        """Drop databases."""
        for name in databases:
            self.ctx.db.forget(name)
            statement = SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name))
            self.ctx.db.execute(statement, database="postgres")

    def clean(self, before: set[str]) -> None:
        """Drop the databases that a test has left."""
        self.drop(*(self.databases() - before))
        self.ctx.close()

    def content(self, database: str) -> dict[str, object]:
        """Return a digest of all that is in a database: every table's rows, every sequence, the whole schema."""
        tables = self.sql(
            database,
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'",
        )
        digest = "SELECT count(*), sum(hashtextextended(t::text, 0)) FROM ONLY {} t"
        rows: dict[str, object] = {
            ".".join(table): self.sql(database, SQL(digest).format(Identifier(*table)).as_string(None))
            for table in tables
        }
        rows["sequences"] = self.sql(
            database, "SELECT schemaname, sequencename, last_value FROM pg_sequences ORDER BY 1, 2"
        )
        rows["schema"] = self.schema(database)
        return rows

    def schema(self, database: str) -> list[str]:
        """Return the schema as pg_dump writes it, with owners and grants."""
        server = self.ctx.server
        done = subprocess.run(
            [server.tool("pg_dump"), "--schema-only", f"--dbname={names.conninfo(database)}"],
            env={**os.environ, **server.tool_environment()},
            capture_output=True,
            text=True,
            check=True,
        )
        return [line for line in done.stdout.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]

    def properties(self, database: str) -> list[tuple[Any, ...]]:
        """Return what belongs to the database itself."""
        return self.sql("postgres", PROPERTIES.replace("NAME", database))

    def sessions(self) -> int:
        """Return how many sessions of dump and restore programs the server has."""
        (row,) = self.sql(
            "postgres", "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgcohesion backup'"
        )
        return int(row[0])


def made(backups: Backups, database: str) -> str:
    """Make a backup and return its ID."""
    answer = backup.create(backups.ctx, database)
    assert isinstance(answer, Made)
    return answer.manifest.id


def wait_for(reached: Callable[[], object], seconds: float = 20) -> None:
    """Wait until *reached* is true."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def children(pid: int) -> list[int]:
    """Return the processes that a process has started (Linux)."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(word) for word in path.read_text().split()]
    return found
