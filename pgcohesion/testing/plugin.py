"""pytest fixtures: ``pytest_plugins = ["pgcohesion.testing.plugin"]`` in a conftest.py.

The environment is ``test``, or what the option ``--pgcohesion-env`` says.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .databases import Databases, Throwaway


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--pgcohesion-env``."""
    parser.addoption("--pgcohesion-env", default="test", help="the environment whose databases tests clone")


@pytest.fixture(scope="session")
def databases(request: pytest.FixtureRequest) -> Iterator[Databases]:
    """The template of this session, for tests that want several databases."""
    made = Databases(request.config.getoption("--pgcohesion-env"))
    yield made
    made.close()


@pytest.fixture
def database(databases: Databases) -> Iterator[Throwaway]:
    """A real database of one's own with schema and data; it is gone after the test."""
    made = databases.get()
    yield made
    databases.give_back(made)
