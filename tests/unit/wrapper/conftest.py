"""Clones to run ``inv`` in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.wrapper.clone import Clone, World


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture
def clone(tmp_path: Path, world: World) -> Clone:
    """A clone where uv is on PATH."""
    return Clone(tmp_path / "clone", world, [world.python, world.uv])


@pytest.fixture
def made(clone: Clone) -> Clone:
    """A clone whose .venv is ready."""
    clone.ok()
    clone.calls.write_text("")
    return clone
