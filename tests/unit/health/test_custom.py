"""A team's own checks in Python."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pgcohesion.errors import ConfigError
from pgcohesion.health import every
from pgcohesion.health.registry import load

pytestmark = pytest.mark.unit
CHECK = """
import pgcohesion as pg


@pg.health.check_of("SELECT 1 AS n", warn=2)
def {name}(rows, limits):
    '''What nobody else looks at.'''
    return limits.finding(rows[0].n, "")
"""


def project(root: Path, name: str) -> Any:
    (root / "checks").mkdir()
    (root / "checks" / "ours.py").write_text(CHECK.format(name=name))
    return SimpleNamespace(root=root, env="test", config=SimpleNamespace(health=SimpleNamespace(checks={})))


def test_a_check_of_a_file_is_one_more(tmp_path: Path) -> None:
    ctx = project(tmp_path, "open_carts")
    before = load()
    (made,) = (one for one in every(ctx) if one not in before)
    assert (made.id, made.external, made.area) == ("open_carts", True, "custom")
    assert load() == before


def test_one_that_is_named_as_ours_is_refused_and_takes_no_place(tmp_path: Path) -> None:
    ctx, before = project(tmp_path, "deadlocks"), load()
    with pytest.raises(ConfigError, match="two checks `deadlocks`"):
        every(ctx)
    assert load() == before
