"""The units of systemd, as they are written."""

from __future__ import annotations

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
    assert f"ExecStart={REPO}/inv health.check --env=staging\n" in service
    assert "OnUnitActiveSec=60s\n" in timer


def test_an_interval_that_is_too_short_and_a_machine_without_systemd() -> None:
    with closing(open_context("staging", root=REPO)) as ctx:
        with pytest.raises(UsageError):
            timers.plan(ctx, 1)
        if not Path("/run/systemd/system").is_dir():
            with pytest.raises(ConfigError, match="does not run systemd"):
                timers.plan(ctx, 60)
