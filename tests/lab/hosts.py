"""A small lab of real Debian 12 hosts on one machine: systemd, sshd, apt, addresses of their own.

Each host is a systemd-nspawn container in its own network namespace on a private bridge, with a writable
overlay on one shared tree. Users: `deploy` (sudo without a password), `ops` (sudo with the password `ops`),
`nosudo`; all take the lab's key. Hosts have no route out: apt goes through a relay on the bridge, and an
unreachable route, which stays for good, keeps packets for absent hosts on this machine. One lab at a time.
Overlays are volatile: fsync does nothing inside, so commit latency means nothing here.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from tests.lab import apt_relay, machine
from tests.lab.base import base_tree
from tests.lab.machine import LabError, missing, run, wait_for

__all__ = ["Host", "Lab", "LabError", "missing", "state_dir"]

Layer = Literal["base", "pg"]

BOOT_SECONDS = 90
PG_PACKAGES = "postgresql-15 postgresql-client-15 acl locales"

_RELAY = f"http://{machine.GATEWAY}:{apt_relay.PORT}"
_KEY = "etc/ssh/ssh_host_ed25519_key"
# Enters the control groups named before "--" and becomes the rest: so nspawn is never a moment outside them.
_ENTER = 'while [ "$1" != -- ]; do echo 0 >"$1"; shift; done; shift; exec "$@"'
_ENV = shlex.split(
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "
    "DEBIAN_FRONTEND=noninteractive"
)
_NSPAWN = shlex.split(
    "--quiet --keep-unit --register=no --console=pipe --resolv-conf=off --timezone=off --link-journal=no "
    "--tmpfs=/tmp:mode=1777 --boot quiet systemd.show_status=0"
)


def state_dir() -> Path:
    """Where the lab keeps its tree, apt cache and hosts: PGCOHESION_LAB_DIR, or a folder of its own."""
    return Path(os.environ.get("PGCOHESION_LAB_DIR") or "/var/tmp/pgcohesion-lab")


@dataclass(frozen=True)
class Host:
    """A running Debian host. What it is stands on disk, so any process can take it down."""

    name: str
    address: str
    state: Path

    @property
    def ssh_config(self) -> Path:
        """The ssh client's configuration that knows this host by its name, with strict host keys."""
        return self.state / "ssh" / "config"

    @property
    def root(self) -> Path:
        """The host's file system as seen from outside."""
        return self.state / "hosts" / self.name / "root"

    @property
    def running(self) -> bool:
        """Whether its container is up."""
        return bool(machine.alive(self._container))

    def exec(
        self, command: str | Sequence[str], *, check: bool = False, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """Run a program, or a line of shell, inside as root and without ssh. Errors as in `machine.run`."""
        init = machine.children(machine.alive(self._container))
        if not init:
            raise LabError(f"{self.name} is not running")
        enter = ["nsenter", f"--target={init[0]}", "--mount", "--uts", "--ipc", "--net", "--pid"]
        words = ["sh", "-c", command] if isinstance(command, str) else command
        return run(*enter, "env", "-i", *_ENV, *words, check=check, timeout=timeout)

    def cut(self) -> None:
        """Drop every frame to and from this host, silently."""
        machine.frames(self._link, flow=False)

    def heal(self) -> None:
        """Undo `cut`."""
        machine.frames(self._link, flow=True)

    def rekey(self) -> None:
        """Give the host a new ssh host key that known_hosts does not know."""
        _new_key(self.root / _KEY)
        self.exec("systemctl restart ssh", check=True)
        self._await_ssh()

    def trust(self) -> None:
        """Put the host's present key into known_hosts."""
        self._file("trusted").write_text((self.root / f"{_KEY}.pub").read_text())
        _write_ssh_files(self.state)

    def down(self) -> None:
        """Stop the host at once and throw it away."""
        _kill_children(machine.alive(self._container))
        machine.kill(self._container)
        machine.leave(self._link)
        machine.drop_cgroups(self.name)
        with suppress(OSError):
            Path(f"/run/systemd/nspawn/propagate/{self._link}").rmdir()
        machine.remove(self.root.parent)
        _write_ssh_files(self.state)

    @property
    def _container(self) -> Path:
        """The name under which nspawn's pid and output are kept."""
        return self._file("container")

    @property
    def _link(self) -> str:
        return f"pgc-{self.name}"

    def _file(self, name: str) -> Path:
        return self.root.parent / name

    def _boot(self, base: Path, known: str) -> None:
        folder = self.root.parent
        for name in ("upper", "work", "root"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self._file("address").write_text(self.address)
        layers = f"lowerdir={base},upperdir={folder / 'upper'},workdir={folder / 'work'},volatile"
        run("mount", "-t", "overlay", self._link, "-o", layers, self.root)
        self._personalise(known)
        space = machine.join(self._link, self.address)
        groups = machine.cgroups(self.name)
        for group in groups:
            group.mkdir(parents=True, exist_ok=True)
        where = ["-D", str(self.root), f"--machine={self._link}", f"--hostname={self.name}"]
        nspawn = ["systemd-nspawn", *where, f"--network-namespace-path={space}", *_NSPAWN]
        argv = ["sh", "-c", _ENTER, "sh", *(str(group / "cgroup.procs") for group in groups), "--", *nspawn]
        with Path(os.devnull).open() as nothing:
            machine.spawn(argv, self._container, nothing.fileno(), {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"})

    def _personalise(self, known: str) -> None:
        etc = self.root / "etc"
        _new_key(self.root / _KEY)
        (etc / "hostname").write_text(f"{self.name}\n")
        (etc / "machine-id").write_text(f"{uuid.uuid4().hex}\n")
        (etc / "hosts").write_text(known)
        lines = [source.line(_RELAY) for source in apt_relay.sources()]
        (etc / "apt/sources.list").write_text("".join(f"{line}\n" for line in lines))

    def _await_boot(self) -> None:
        self._await_ssh()
        # until boot has ended, pam_nologin turns away everybody but root
        self.exec("systemctl is-system-running --wait", timeout=BOOT_SECONDS)
        self.trust()

    def _await_ssh(self) -> None:
        wait_for(self._speaks_ssh, BOOT_SECONDS, f"sshd of {self.name}")

    def _speaks_ssh(self) -> bool:
        if not self.running:
            raise LabError(f"{self.name} stopped while booting: {Path(f'{self._container}.log').read_text()[-2000:]}")
        try:
            with socket.create_connection((self.address, 22), timeout=1) as ssh:
                return ssh.recv(4) == b"SSH-"
        except OSError:
            return False


class Lab:
    """The lab of this machine: taken on entering, torn down on leaving unless `keep`.

    Raises LabError on entering when another process has it for longer than `wait` seconds, or when hosts are
    up that somebody keeps; hosts that a killed run left behind are cleared away.
    """

    def __init__(self, state: Path | None = None, *, keep: bool = False, wait: float = 900) -> None:
        self.state = state or state_dir()
        if re.search(r"[:,\s\\]", str(self.state)):
            raise LabError(f"an overlay cannot lie in {self.state}: no colon, comma, blank or backslash")
        self.keep = keep
        self._wait = wait
        self._kept = self.state / "kept"
        self._held = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as held:
            held.enter_context(machine.lock(self._wait))
            if not self.keep:
                self._refuse_kept()
                self.down()
            self._held = held.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        with self._held:
            if not self.keep:
                self.down()

    @property
    def ssh_config(self) -> Path:
        """The ssh client's configuration for all hosts that are up."""
        return self.state / "ssh" / "config"

    def hosts(self) -> list[Host]:
        """The hosts on disk, whether they still run or not."""
        files = sorted(self.state.glob("hosts/*/address"))
        return [Host(file.parent.name, file.read_text(), self.state) for file in files]

    def up(self, names: Sequence[str], layer: Layer = "base") -> list[Host]:
        """Boot the hosts that are not up yet. Layer `pg`: the relay has PostgreSQL's packages at hand."""
        self.state.mkdir(parents=True, exist_ok=True)
        present = {host.name: host for host in self.hosts() if host.running}
        base = base_tree(self.state, _user_key(self.state), in_use=bool(present))
        machine.network_up()
        _start_relay(self.state)
        hosts = self._name(names, present)
        known = _etc_hosts([*present.values(), *hosts])
        fresh = [host for host in hosts if host.name not in present]
        for host in present.values():
            (host.root / "etc/hosts").write_text(known)
        for host in fresh:
            host.down()
            host._boot(base, known)
        for host in fresh:
            host._await_boot()
        if self.keep:
            self._kept.touch()
        if layer == "pg":
            self._warm(hosts[0])
        return hosts

    def down(self) -> None:
        """Tear all down: no process, mount, namespace, bridge or control group stays; the caches do."""
        for host in self.hosts():
            host.down()
        machine.kill(self.state / "relay")
        machine.network_down()
        self._kept.unlink(missing_ok=True)

    def _name(self, names: Sequence[str], present: dict[str, Host]) -> list[Host]:
        taken = {host.address for host in present.values()}
        free = (address for n in range(11, 250) if (address := f"{machine.NET}.{n}") not in taken)
        for name in names:
            if not re.fullmatch(r"[a-z][a-z0-9]{0,10}", name):  # pgc-NAME is a device's name: 15 characters
                raise LabError(f"`{name}` is no name for a lab host: 1 to 11 of a-z 0-9")
        return [present.get(name) or Host(name, next(free), self.state) for name in dict.fromkeys(names)]

    def _refuse_kept(self) -> None:
        running = [host.name for host in self.hosts() if host.running]
        if self._kept.exists() and running:
            raise LabError(f"the lab is up by hand ({', '.join(running)}): python -m tests.lab down")

    def _warm(self, host: Host) -> None:
        stamp = self.state / "pg.packages"
        if stamp.exists() and stamp.read_text() == PG_PACKAGES:
            return
        download = f"apt-get update -q && apt-get install -q -y --download-only {PG_PACKAGES}"
        host.exec(f"{download} && apt-get clean && rm -rf /var/lib/apt/lists/*_*", check=True, timeout=900)
        stamp.write_text(PG_PACKAGES)


def _etc_hosts(hosts: Sequence[Host]) -> str:
    lines = ["127.0.0.1 localhost", *dict.fromkeys(f"{host.address} {host.name}" for host in hosts)]
    return "".join(f"{line}\n" for line in lines)


def _kill_children(pid: int) -> None:
    for init in machine.children(pid):
        with suppress(ProcessLookupError):
            os.kill(init, signal.SIGKILL)  # pid 1 of its namespace: everything inside dies with it
        wait_for(lambda: not Path(f"/proc/{init}").exists(), 20, f"the end of process {init}")  # noqa: B023


def _new_key(path: Path) -> None:
    path.unlink(missing_ok=True)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", path)


def _user_key(state: Path) -> str:
    """The public half of the key that all users take."""
    key = state / "ssh" / "id_ed25519"
    key.parent.mkdir(mode=0o700, exist_ok=True)
    if not key.exists():
        _new_key(key)
    return key.with_suffix(".pub").read_text()


def _write_ssh_files(state: Path) -> None:
    ssh = state / "ssh"
    blocks, known = [], []  # no host, no files: else ssh would ask a name server for a host that is gone
    for trusted in sorted(state.glob("hosts/*/trusted")):
        name, address = trusted.parent.name, trusted.with_name("address").read_text()
        known.append(f"{name},{address} {' '.join(trusted.read_text().split()[:2])}\n")
        blocks.append(f"Host {name}\n  HostName {address}\n")
    options = {"User": "deploy", "IdentityFile": ssh / "id_ed25519", "IdentitiesOnly": "yes"}
    options |= {"UserKnownHostsFile": ssh / "known_hosts", "StrictHostKeyChecking": "yes"}
    blocks.append("Host *\n" + "".join(f"  {name} {value}\n" for name, value in options.items()))
    for name, lines in {"known_hosts": known, "config": blocks}.items():
        (ssh / name).write_text("".join(lines)) if known else (ssh / name).unlink(missing_ok=True)


def _start_relay(state: Path) -> None:
    name = state / "relay"
    if machine.alive(name):
        return
    with apt_relay.listen(machine.GATEWAY, apt_relay.PORT, machine.BRIDGE) as listening:
        argv = [sys.executable, apt_relay.__file__, str(state / "apt")]
        machine.spawn(argv, name, listening.fileno())
