"""A real server for the session, and databases cloned from one that is set up."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from psycopg.sql import SQL, Identifier

from pgcohesion.context import Context
from pgcohesion.opening import open_context
from pgcohesion.setup import setup
from tests.support import Project, project

_number = itertools.count(1)


@pytest.fixture(scope="session")
def shared() -> Iterator[Project]:
    """A project whose environment `test` is set up and runs. Do not change its databases."""
    with project() as made:
        ctx = open_context("test", root=made.root)
        setup(ctx)
        ctx.close()
        yield made


@pytest.fixture
def ctx(shared: Project) -> Iterator[Context]:
    """A context on the shared server."""
    context = open_context("test", root=shared.root)
    yield context
    context.close()


@pytest.fixture
def database(ctx: Context) -> Iterator[str]:
    """A database of one's own, cloned from the one that is set up."""
    name = f"clone_{next(_number)}"
    ctx.db.execute(SQL("CREATE DATABASE {} TEMPLATE chanuka").format(Identifier(name)), database="postgres")
    yield name
    ctx.db.forget(name)
    ctx.db.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)), database="postgres")


@pytest.fixture
def fresh() -> Iterator[Project]:
    """A project with nothing set up."""
    with project() as made:
        yield made
