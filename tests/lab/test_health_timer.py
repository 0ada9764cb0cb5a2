"""The timer's units on a real systemd: it accepts them, and runs the service at the interval."""

from __future__ import annotations

import time
from contextlib import closing

import pytest

from pgcohesion.health import timers
from pgcohesion.opening import open_context
from tests.lab.hosts import Host
from tests.support import REPO

pytestmark = pytest.mark.lab
UNIT = "pgcohesion-health-staging"


def test_systemd_takes_the_units_and_runs_the_checks_at_the_interval(host: Host) -> None:
    with closing(open_context("staging", root=REPO)) as ctx:
        files = timers.files(ctx, UNIT, 10)
    # The host has no clone of the repo: what the service starts leaves a line instead.
    program = f'#!/bin/sh\necho "$@" >>/tmp/{UNIT}.log\nexit 1\n'
    host.exec(["sh", "-c", f"mkdir -p /opt/repo && cat >/opt/repo/inv <<'END'\n{program}END\nchmod +x /opt/repo/inv"])
    try:
        for path, text in files.items():
            here = text.replace(str(REPO), "/opt/repo").replace("OnBootSec=1min", "OnBootSec=1s")
            host.exec(["sh", "-c", f"cat >{path} <<'END'\n{here}END"])
        said = host.exec(["sh", "-c", f"systemd-analyze verify {' '.join(files)} 2>&1"]).stdout
        assert UNIT not in said
        host.exec(["systemctl", "daemon-reload"])
        host.exec(["systemctl", "restart", f"{UNIT}.timer"])
        deadline = time.monotonic() + 60
        lines: list[str] = []
        while len(lines) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.5)
            lines = host.exec(["sh", "-c", f"cat /tmp/{UNIT}.log 2>/dev/null || :"]).stdout.splitlines()
        assert lines[0] == "health.check --env=staging"
        state = host.exec(["systemctl", "show", "-p", "Result", f"{UNIT}.service"]).stdout.strip()
        assert state == "Result=success"  # a check at fail is no failure of the unit
    finally:
        host.exec(
            ["sh", "-c", f"systemctl disable --now {UNIT}.timer; rm -f {' '.join(files)}; systemctl daemon-reload"]
        )
