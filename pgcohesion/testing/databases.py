"""Throwaway databases: clones of one that has all migrations and seeds, made ahead so that no test waits for one."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

from ..connections import ConnectionConfig, ConnectionManager
from ..conninfo import export, resolve
from ..context import Context
from ..errors import Locked
from ..opening import find_root, open_context
from ..redact import Secret
from ..setup import setup

AHEAD = 2  # clones that lie ready
PATIENCE = 120.0  # seconds for another session to set the environment up
PREFIX = "throwaway"


class Throwaway:
    """A database of one's own; it goes with everything in it."""

    def __init__(self, config: ConnectionConfig) -> None:
        self.config = config
        self.name = config.database
        self._manager: ConnectionManager | None = None

    def __repr__(self) -> str:
        return f"<Throwaway {self.name}>"

    @property
    def manager(self) -> ConnectionManager:
        """Connections to it, as an application has them."""
        if self._manager is None:
            self._manager = ConnectionManager(self.config)
        return self._manager

    def execute(self, query: Any, values: Any = None) -> list[Any]:
        """Run one statement and return its rows."""
        return self.manager.execute(query, values)

    def connect(self) -> psycopg.Connection[Any]:
        """Return a plain connection of psycopg."""
        return psycopg.connect(self.url)

    @property
    def url(self) -> str:
        """The libpq URL, with the password: it is a test's."""
        (target,) = self.config.targets
        return export(target.parameters, target.password, "url")["DATABASE_URL"]

    def close(self) -> None:
        """Close the connections."""
        if self._manager is not None:
            self._manager.close(0)


class Databases:
    """The template of an environment, and clones of it; the environment is set up first, if it is not.

    Several processes may do this at once (pytest-xdist): each has its own template.
    """

    def __init__(self, env: str = "test", root: Path | None = None) -> None:
        self.env, self.root = env, root or find_root()
        self._template = f"{PREFIX}_{os.getpid()}_{uuid.uuid4().hex[:8]}"
        self._ready: queue.Queue[str | BaseException] = queue.Queue()
        self._wanted = threading.Semaphore(AHEAD)
        self._stop = threading.Event()
        self._ctx: Context = open_context(env, root=self.root)
        with _alone(self._ctx):
            setup(self._ctx)
            main = self._ctx.config.main_database
            self._ctx.db.forget()
            self._sweep()
            self._clone(main, self._template)
        self._worker = threading.Thread(target=self._make_ahead, name="pgcohesion-databases", daemon=True)
        self._worker.start()

    def _sweep(self) -> None:
        """Drop what processes that are gone have left."""
        for name in self._throwaways():
            pid = name.split("_")[1]
            if pid.isdigit() and not _alive(int(pid)):
                self._drop(name)

    def _throwaways(self) -> list[str]:
        rows = self._ctx.db.execute("SELECT datname FROM pg_database", database="postgres")
        return [row.datname for row in rows if row.datname.startswith(f"{PREFIX}_")]

    def _clone(self, template: str, name: str) -> None:
        statement = SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
        self._ctx.db.execute(statement.format(Identifier(name), Identifier(template)), database="postgres")

    def _drop(self, name: str) -> None:
        statement = SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name))
        self._ctx.db.execute(statement, database="postgres")

    def _make_ahead(self) -> None:
        """Clone and drop in a thread of its own: the connection of the context is this thread's from here on."""
        number = 0
        while not self._stop.is_set():
            self._wanted.acquire()
            if self._stop.is_set():
                return
            number += 1
            name = f"{self._template}_{number}"
            try:
                self._clone(self._template, name)
            except BaseException as error:  # noqa: BLE001  (the test that wants it shall hear of it)
                self._ready.put(error)
                return
            self._ready.put(name)

    def get(self) -> Throwaway:
        """Return a clone; :meth:`give_back` must follow."""
        got = self._ready.get(timeout=60)
        if isinstance(got, BaseException):
            raise got
        self._wanted.release()
        parameters = {**self._ctx.server.parameters(), "dbname": got}
        password = Secret(parameters.pop("password"))
        return Throwaway(ConnectionConfig(tuple(resolve(parameters, password))))

    def give_back(self, database: Throwaway) -> None:
        """Drop a clone, whoever is still connected to it."""
        database.close()
        with psycopg.connect(**self._ctx.server.parameters(), dbname="postgres", autocommit=True) as connection:  # type: ignore[arg-type]
            connection.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(database.name)))

    def close(self) -> None:
        """Drop the template and every clone of it; the server goes on running, for the next time."""
        self._stop.set()
        self._wanted.release()
        self._worker.join()
        for name in self._throwaways():
            if name.startswith(self._template):
                self._drop(name)
        self._ctx.close()


@contextlib.contextmanager
def _alone(ctx: Context) -> Iterator[None]:
    """Hold the environment's lock, waiting for other sessions of tests that set it up."""
    with contextlib.ExitStack() as stack:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                stack.enter_context(ctx.alone())
                break
            except Locked:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        yield


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
