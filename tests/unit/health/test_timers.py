"""The units of systemd, as they are written."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from pgcohesion.errors import ConfigError, UsageError
from pgcohesion.health import timers
from pgcohesion.opening import open_context
from tests.support import REPO

pytestmark = pytest.mark.unit


def test_the_units_name_the_repo_the_environment_and_the_interval() -> None:
    with closing(open_context("staging", root=REPO)) as ctx:
        files = timers.files(ctx, "pgcohesion-health-staging", 60)
    service, timer = files.values()
    assert list(files) == [f"/etc/systemd/system/pgcohesion-health-staging.{kind}" for kind in ("service", "timer")]
    assert f'ExecStart="{REPO}/inv" health.check --env=staging\n' in service
    assert "OnUnitActiveSec=60s\n" in timer


def test_a_folder_with_a_blank_and_a_percent_sign(tmp_path: Path) -> None:
    root = tmp_path / "50% of us"
    shutil.copytree(REPO / "environments", root / "environments")
    shutil.copytree(REPO / "templates", root / "templates")
    with closing(open_context("staging", root=root)) as ctx:
        service, _ = timers.files(ctx, "u", 60).values()
    assert f'ExecStart="{tmp_path}/50%% of us/inv" health.check' in service
    assert f"WorkingDirectory={tmp_path}/50%% of us\n" in service


def test_an_interval_that_is_too_short_and_a_machine_without_systemd() -> None:
    with closing(open_context("staging", root=REPO)) as ctx:
        with pytest.raises(UsageError):
            timers.plan(ctx, 1)
        if not Path("/run/systemd/system").is_dir():
            with pytest.raises(ConfigError, match="does not run systemd"):
                timers.plan(ctx, 60)
