"""Fixtures for tests over a real ssh connection. Everything below this folder carries the marker `ssh`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ssh import sshd as server

_HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder."""
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker("ssh")


@pytest.fixture
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.Sshd]:
    """A running sshd, new for each test; a skip for a person whose machine has none, a failure in CI."""
    if lacks := server.missing():
        reason = f"the tests over ssh need {', '.join(lacks)}"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    running = server.Sshd(tmp_path_factory.mktemp("sshd"))
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture
def mute_port() -> Iterator[int]:
    """A port that accepts connections and never says a word."""
    with server.mute_port() as port:
        yield port
