"""What `inv health.history` tells of real runs."""

from __future__ import annotations

import pytest

from pgcohesion.context import Context
from tests.support import Project

pytestmark = pytest.mark.pg


def test_a_past_without_runs(fresh: Project) -> None:
    done = fresh.inv("health.history", "--env=test")
    assert (done.returncode, done.stdout) == (0, "test: 0 runs in 7 d\n")


def test_what_came_and_went(ctx: Context, shared: Project) -> None:
    check = ("health.check", "--env=test", "--only=superusers,connections")
    assert shared.inv(*check).returncode == 0
    ctx.db.execute("CREATE ROLE chief SUPERUSER LOGIN")
    try:
        shared.inv(*check)
    finally:
        ctx.db.execute("DROP ROLE chief")
    assert shared.inv(*check).returncode == 0
    told = shared.json("health.history", "--env=test", "--check=superusers")["result"]
    (found,) = (one for one in told["findings"] if one["object"] == "chief")
    assert found["until"] >= found["since"]
    assert len(told["runs"]) >= 3
    done = shared.inv("health.history", "--env=test", "--since=1h")
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("connections "))
    assert "%" in line
    assert "- superusers: " in done.stdout
    assert done.stdout.splitlines()[-1].startswith("test: ")


def test_what_cannot_be_asked(shared: Project) -> None:
    assert shared.inv("health.history", "--env=test", "--check=conections").returncode == 2
    done = shared.inv("health.history", "--env=test", "--since=ever")
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, "error: `--since ever` is no length of time")
