"""The lab itself: a booted host behaves like a Debian server, and can be cut off and given another key."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.lab import machine
from tests.lab.hosts import Host, Lab, LabError


def ssh(host: Host, command: str, user: str = "deploy", stdin: str = "") -> subprocess.CompletedProcess[str]:
    options = ["-F", str(host.ssh_config), "-o", "BatchMode=yes", "-o", "ConnectTimeout=3"]
    argv = ["ssh", *options, f"{user}@{host.name}", command]
    return subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def healed(host: Host) -> Iterator[Host]:
    yield host
    host.heal()


def test_systemd_runs_and_has_no_failed_unit(host: Host) -> None:
    done = host.exec("systemctl is-system-running; systemctl --failed")
    assert done.stdout.startswith("running\n"), done.stdout


def test_deploy_may_sudo_without_a_password(host: Host) -> None:
    done = ssh(host, "sudo -n id -un")
    assert (done.returncode, done.stdout) == (0, "root\n"), done.stderr


def test_ops_must_give_a_password(host: Host) -> None:
    assert ssh(host, "sudo -n true", user="ops").returncode != 0
    done = ssh(host, "sudo -S -p '' id -un", user="ops", stdin="ops\n")
    assert (done.returncode, done.stdout) == (0, "root\n"), done.stderr


def test_nosudo_may_not(host: Host) -> None:
    assert ssh(host, "sudo -n true", user="nosudo").returncode != 0


def test_apt_installs_through_the_relay(host: Host) -> None:
    done = ssh(host, "sudo apt-get update -q && sudo apt-get install -q -y ed && ed --version")
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_leaves_the_lab(host: Host) -> None:
    assert host.exec("ip route show default").stdout == ""
    assert host.exec("ip route get 192.0.2.1").returncode != 0
    assert f"dev {machine.BRIDGE}" in machine.run("ip", "route", "get", f"{machine.NET}.250").stdout
    fence = machine.run("ip", "route", "show", "type", "unreachable").stdout
    assert f"unreachable {machine.NET}.0/24" in fence


def test_a_cut_host_is_silent_until_healed(healed: Host) -> None:
    healed.cut()
    start = time.monotonic()
    assert "timed out" in ssh(healed, "true").stderr
    assert time.monotonic() - start > 2
    healed.heal()
    assert ssh(healed, "true").returncode == 0


def test_a_changed_host_key_is_refused_until_trusted(host: Host) -> None:
    host.rekey()
    done = ssh(host, "true")
    assert done.returncode == 255
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in done.stderr
    host.trust()
    assert ssh(host, "true").returncode == 0


def test_a_second_host_reaches_the_first(lab: Lab, host: Host) -> None:
    (db2,) = lab.up(["db2"])
    try:
        assert db2.address != host.address
        greeting = f"bash -c 'read -r -t 5 x </dev/tcp/{host.address}/22 && echo $x'"
        assert db2.exec(greeting).stdout.startswith("SSH-")
    finally:
        db2.down()
    assert [up.name for up in lab.hosts()] == [host.name]


def test_only_one_run_has_the_lab(lab: Lab) -> None:
    with pytest.raises(LabError, match="in use by process"), Lab(lab.state, keep=True, wait=0):
        pass


def test_a_name_that_is_no_device_name_is_refused(lab: Lab) -> None:
    with pytest.raises(LabError, match="no name for a lab host"):
        lab.up(["a-name-too-long-for-a-device"])
