"""Fixtures for tests on whole hosts. Everything below this folder carries the marker `lab`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.hosts import Host, Lab, missing

_HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder."""
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker("lab")


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The lab of this machine for the whole run; a skip for a person whose machine can't, a failure in CI."""
    if lacks := missing():
        reason = f"the lab needs {', '.join(lacks)}"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    with Lab() as taken:
        yield taken


@pytest.fixture(scope="module")
def host(lab: Lab) -> Iterator[Host]:
    """A fresh Debian host `db1`, thrown away after the test module."""
    (db1,) = lab.up(["db1"], layer="pg")
    yield db1
    db1.down()
