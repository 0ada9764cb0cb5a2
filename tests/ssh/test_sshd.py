"""The sshd fixture itself: it serves, and can play each fault that a client must survive."""

from __future__ import annotations

import subprocess
import time

from tests.ssh.sshd import Sshd


def ssh(sshd: Sshd, alias: str, command: str = "id -un") -> subprocess.CompletedProcess[str]:
    options = ["-F", str(sshd.config), "-o", "BatchMode=yes", "-o", "ConnectTimeout=1"]
    argv = ["ssh", *options, alias, command]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)


def test_a_command_runs_as_oneself(sshd: Sshd) -> None:
    done = ssh(sshd, "local1")
    assert (done.returncode, done.stdout) == (0, f"{sshd.user}\n"), done.stderr + sshd.log


def test_a_file_is_uploaded(sshd: Sshd) -> None:
    (sshd.folder / "here").write_text("x")
    argv = ["sftp", "-F", str(sshd.config), "-b", "-", "local1"]
    batch = f"put {sshd.folder}/here {sshd.folder}/there\n"
    subprocess.run(argv, input=batch, capture_output=True, text=True, check=True, timeout=30)
    assert (sshd.folder / "there").read_text() == "x"


def test_a_key_that_is_not_authorised_is_refused(sshd: Sshd) -> None:
    assert "Permission denied" in ssh(sshd, "stranger1").stderr


def test_a_changed_host_key_is_refused_until_trusted(sshd: Sshd) -> None:
    sshd.rekey()
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in ssh(sshd, "local1").stderr
    sshd.trust()
    assert ssh(sshd, "local1").returncode == 0


def test_an_unknown_host_is_refused(sshd: Sshd) -> None:
    sshd.forget()
    assert "Host key verification failed" in ssh(sshd, "local1").stderr


def test_a_stopped_server_refuses_and_its_sessions_end(sshd: Sshd) -> None:
    argv = ["ssh", "-F", str(sshd.config), "local1", "echo up; sleep 60"]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as session:
        assert session.stdout is not None
        assert session.stdout.readline() == b"up\n"
        sshd.stop()
        assert session.wait(timeout=5) == 255
    assert "Connection refused" in ssh(sshd, "local1").stderr
    sshd.start()
    assert ssh(sshd, "local1").returncode == 0


def test_a_mute_port_takes_the_whole_timeout(sshd: Sshd, mute_port: int) -> None:
    sshd.alias("mute1", mute_port)
    start = time.monotonic()
    assert "timed out" in ssh(sshd, "mute1").stderr
    assert time.monotonic() - start >= 1
