"""A real sshd on the loopback, run as whoever runs the tests: root or not."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ADDRESS = "127.0.0.1"
START_SECONDS = 10

_SBIN = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin:/sbin"
_SFTP = ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/libexec/sftp-server")
_CONFIG = """\
Port {port}
ListenAddress {address}
HostKey {dir}/host_key
AuthorizedKeysFile {dir}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
UseDNS no
MaxStartups 100:30:200
Subsystem sftp {sftp}
"""
_ALIAS = """\
Host {name}
  HostName {address}
  Port {port}
  User {user}
  IdentityFile {key}
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile {dir}/known_hosts
  StrictHostKeyChecking yes
"""


def missing() -> list[str]:
    """What this machine lacks for an sshd of its own."""
    tools = {"ssh": "openssh-client", "ssh-keygen": "openssh-client", "sshd": "openssh-server"}
    absent = {package for tool, package in tools.items() if not shutil.which(tool, path=_SBIN)}
    return [f"package {package}" for package in sorted(absent)]


@contextmanager
def mute_port() -> Iterator[int]:
    """A port that accepts connections and never says a word."""
    with socket.create_server((ADDRESS, 0)) as listening:  # the kernel accepts, up to the backlog
        yield listening.getsockname()[1]


class Sshd:
    """One sshd with keys and a client configuration of its own, all below `folder`.

    The configuration knows the server as `local1`, with a key that it takes, and as `stranger1`, with one
    that it does not. Host keys are checked strictly against the own known_hosts.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config"
        self.known_hosts = folder / "known_hosts"
        self.key, self.stranger = folder / "user_key", folder / "stranger_key"
        self.user = pwd.getpwuid(os.getuid()).pw_name
        self.port = 0
        self._aliases: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Make what is not made yet and start. Raises RuntimeError with sshd's log when it stays down."""
        for key in (self.key, self.stranger, self.folder / "host_key"):
            if not key.exists():
                _new_key(key)
        shutil.copy(self.key.with_suffix(".pub"), self.folder / "authorized_keys")
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        if self.port:
            self._launch()
            return
        self._launch_on_a_free_port()
        self.trust()
        self.alias("local1", self.port)
        self.alias("stranger1", self.port, self.stranger)

    def stop(self) -> None:
        """End the server and every session that it holds. A second stop does nothing."""
        if self._process is None:
            return
        for pid in [*_descendants(self._process.pid), self._process.pid]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def rekey(self) -> None:
        """Restart with another host key, on the same port; known_hosts keeps the old one."""
        self.stop()
        _new_key(self.folder / "host_key")
        self.start()

    def trust(self) -> None:
        """Put the present host key, and no other, into known_hosts."""
        kind, public = (self.folder / "host_key.pub").read_text().split()[:2]
        self.known_hosts.write_text(f"[{ADDRESS}]:{self.port} {kind} {public}\n")

    def forget(self) -> None:
        """Empty known_hosts, as for a client that never came by."""
        self.known_hosts.write_text("")

    def alias(self, name: str, port: int, key: Path | None = None) -> None:
        """Add a name for a port of this machine to the client configuration."""
        values = {"name": name, "port": port, "key": key or self.key}
        self._aliases[name] = _ALIAS.format(address=ADDRESS, user=self.user, dir=self.folder, **values)
        self.config.write_text("".join(self._aliases.values()))

    @property
    def log(self) -> str:
        """What sshd has said so far."""
        log = self.folder / "sshd.log"
        return log.read_text() if log.exists() else ""

    def _launch_on_a_free_port(self) -> None:
        for attempt in range(5, 0, -1):
            self.port = _free_port()
            try:
                self._launch()
            except RuntimeError:  # somebody else took the port between the look and sshd's bind
                if attempt == 1:
                    raise
            else:
                return

    def _launch(self) -> None:
        sftp = next(filter(os.path.exists, _SFTP), "internal-sftp")
        config, log = self.folder / "sshd_config", self.folder / "sshd.log"
        config.write_text(_CONFIG.format(port=self.port, address=ADDRESS, dir=self.folder, sftp=sftp))
        program = shutil.which("sshd", path=_SBIN) or "sshd"  # sshd wants its whole path, to run itself again
        argv = [*_mortal(), program, "-D", "-f", str(config), "-E", str(log)]
        self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)
        end = time.monotonic() + START_SECONDS
        while not _speaks_ssh(self.port):
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise RuntimeError(f"sshd did not start: {self.log}")
            time.sleep(0.01)


def _mortal() -> list[str]:
    """What makes a program end with the test run, even when that is killed; Linux only."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


def _free_port() -> int:
    with socket.create_server((ADDRESS, 0)) as probe:
        return int(probe.getsockname()[1])


def _speaks_ssh(port: int) -> bool:
    try:
        with socket.create_connection((ADDRESS, port), timeout=1) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _new_key(path: Path) -> None:
    path.unlink(missing_ok=True)
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path)]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)


def _descendants(pid: int) -> list[int]:
    """All processes below one, deepest first: each session of sshd is a process group of its own."""
    try:
        below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):  # gone meanwhile, or no Linux
        return []
    return [found for child in below for found in (*_descendants(int(child)), int(child))]
