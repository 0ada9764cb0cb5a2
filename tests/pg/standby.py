"""A standby of a project's server."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg

from pgcohesion.context import Context
from pgcohesion.opening import open_context
from pgcohesion.runner.local import become
from pgcohesion.setup import setup
from tests.support import end_server, project


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Standby:
    """A streaming standby of a project's server, on a port of its own."""

    def __init__(self, ctx: Context) -> None:
        self.ctx, self.port = ctx, free_port()
        self.home = ctx.root / "standby"
        self.data = self.home / "data"
        self.home.mkdir()
        if ctx.server.user:
            shutil.chown(self.home, ctx.server.user)
        where = ctx.server.parameters()
        source = f"host={where['host']} port={where['port']} user=postgres password={where['password']}"
        flags = ["-R", "-c", "fast", "--no-sync", "-d", source]
        self._tool("pg_basebackup", "-D", str(self.data), *flags)
        self.start()

    def _tool(self, name: str, *words: str) -> None:
        argv = become([self.ctx.server.tool(name), *words], self.ctx.server.user)
        with (self.ctx.root / f"{name}.log").open("w") as out:  # pg_ctl's child keeps what it inherits
            subprocess.run(argv, check=True, stdout=out, stderr=out, cwd="/", timeout=60)

    def control(self, *words: str) -> None:
        self._tool("pg_ctl", "-D", str(self.data), "-w", *words)

    def start(self) -> None:
        self.control("-o", f"-p {self.port} -k {self.home}", "-l", str(self.home / "log"), "start")

    def execute(self, query: str) -> list[tuple[Any, ...]]:
        password = self.ctx.server.parameters()["password"]
        with psycopg.connect(
            host=str(self.home), port=self.port, user="postgres", password=password, dbname="chanuka", autocommit=True
        ) as connection:
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

    @property
    def name(self) -> str:
        return f"127.0.0.1:{self.port}"


@contextmanager
def following(*settings: str) -> Iterator[Standby]:
    """Make a project of its own, its server (with *settings*, ``name = value``), and a standby that follows it."""
    with project() as made:
        path = made.root / "environments" / "test.toml"
        path.write_text(path.read_text() + '\n[[hba]]\ntype = "local"\ndatabase = "replication"\n')
        with closing(open_context("test", root=made.root)) as ctx:
            setup(ctx)
            for setting in settings:
                ctx.db.execute(f"ALTER SYSTEM SET {setting}")
            if settings:
                ctx.db.forget()
                ctx.server.restart()
            running = Standby(ctx)
            try:
                yield running
            finally:
                end_server(running.data)
