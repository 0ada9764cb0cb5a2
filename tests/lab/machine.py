"""What the lab uses of the machine around it: commands, a lock, a private network, cgroups, mounts."""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.lab import apt_relay

NET = "10.78.0"
GATEWAY = f"{NET}.1"
BRIDGE = "pgcbr0"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

_LOCK = Path("/run/pgcohesion-lab.lock")  # not in the state folder: the bridge's name is one for the machine
_NETNS = Path("/run/netns")
_CGROUPS = Path("/sys/fs/cgroup")
_CAP_SYS_ADMIN = 1 << 21
_SBIN = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
_PACKAGES = {
    "debootstrap": "debootstrap",
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "bridge": "iproute2",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "nsenter": "util-linux",
}


class LabError(Exception):
    """The lab could not be built, booted or taken; the text says what to look at."""


def missing() -> list[str]:
    """What this machine lacks for the lab, in words for a skip reason; empty when it can run."""
    if sys.platform != "linux":
        return ["Linux"]
    lacks = [] if _privileged() else ["root with the right to mount"]
    absent = {package for tool, package in _PACKAGES.items() if not shutil.which(tool, path=_SBIN)}
    lacks += [f"package {package}" for package in sorted(absent)]
    if not Path(KEYRING).exists():
        lacks.append("package debian-archive-keyring")
    if not any(source.suite == apt_relay.SUITES[0] for source in apt_relay.sources()):
        lacks.append("a Debian 12 source in this machine's apt")
    return lacks


def _privileged() -> bool:
    lines = Path("/proc/self/status").read_text().splitlines()
    granted = next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff:"))
    return os.geteuid() == 0 and bool(granted & _CAP_SYS_ADMIN)


def run(
    *argv: str | Path, check: bool = True, timeout: float = 60, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command outside. Raises LabError after `timeout` s, or when it fails and `check` is on."""
    words = [str(word) for word in argv]
    env = {**os.environ, "PATH": _SBIN, "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False, timeout=timeout, env=env)
    except subprocess.TimeoutExpired:
        raise LabError(f"{shlex.join(words)}: not done after {timeout:g} s") from None
    if check and done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise LabError(f"{shlex.join(words)}: exit {done.returncode}: {said}")
    return done


def wait_for(ready: Callable[[], bool], seconds: float, what: str) -> None:
    """Poll until `ready`. Raises LabError naming `what` when the time is up."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise LabError(f"{what}: not after {seconds:g} s")
        time.sleep(0.05)


@contextmanager
def lock(wait: float) -> Iterator[None]:
    """One lab at a time on a machine. Raises LabError when another process has it for over `wait` seconds."""
    with _LOCK.open("a+") as held:
        end = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    held.seek(0)
                    raise LabError(f"the lab is in use by process {held.read() or '?'}") from None
            time.sleep(0.2)
        held.truncate(0)
        held.write(str(os.getpid()))
        held.flush()
        yield


# Processes


def spawn(argv: list[str], name: Path, stdin: int, env: dict[str, str] | None = None) -> None:
    """Start a process that outlives this one, in its own session; its output goes to NAME.log."""
    program = shutil.which(argv[0], path=_SBIN) or argv[0]
    around = {**os.environ, "PATH": _SBIN, **(env or {})}
    log = (os.POSIX_SPAWN_OPEN, 1, f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    streams = [(os.POSIX_SPAWN_DUP2, stdin, 0), log, (os.POSIX_SPAWN_DUP2, 1, 2)]
    pid = os.posix_spawn(program, argv, around, file_actions=streams, setsid=True)
    Path(f"{name}.pid").write_text(f"{pid} {_started(pid)}")


def alive(name: Path) -> int:
    """The pid of the process that was started with this name, 0 when it is gone."""
    pid = _recorded(name)
    return 0 if _state(pid) in "ZX" else pid


def kill(name: Path) -> None:
    """Kill that process and wait until it is gone."""
    if pid := alive(name):
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not alive(name), 10, f"the end of process {pid}")
    if pid := _recorded(name):  # a zombie: of this process, or of the init that it will soon have
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)
    Path(f"{name}.pid").unlink(missing_ok=True)


def _recorded(name: Path) -> int:
    """The pid that was noted down, 0 when another process has got it since."""
    try:
        pid, started = Path(f"{name}.pid").read_text().split()
    except (FileNotFoundError, ValueError):
        return 0
    return int(pid) if _started(int(pid)) == started else 0


def _started(pid: int) -> str:
    """When the process started, in ticks since boot."""
    return _stat(pid)[19]


def _state(pid: int) -> str:
    return _stat(pid)[0]


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from its state on; a dead one when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ["X"] * 20


def children(pid: int) -> list[int]:
    """The direct children of a process."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


# Network: the fence stays for good, because without it a connection to a host that is down would
# leave by the machine's default route.


def network_up() -> None:
    """The fence, then the bridge. Raises LabError when another device uses the lab's addresses."""
    for line in run("ip", "-4", "-o", "addr").stdout.splitlines():
        if f" {NET}." in line and line.split()[1] != BRIDGE:
            raise LabError(f"{NET}.0/24 is used by {line.split()[1]}")
    run("ip", "route", "replace", "unreachable", f"{NET}.0/24", "metric", "4000000000")
    if not _device(BRIDGE):
        run("ip", "link", "add", BRIDGE, "type", "bridge", "forward_delay", "0", "stp_state", "0")
    Path(f"/proc/sys/net/ipv4/conf/{BRIDGE}/forwarding").write_text("0")
    with suppress(FileNotFoundError):  # a kernel without IPv6
        Path(f"/proc/sys/net/ipv6/conf/{BRIDGE}/disable_ipv6").write_text("1")
    run("ip", "addr", "replace", f"{GATEWAY}/24", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")


def network_down() -> None:
    """Remove the bridge, and the mount that `ip netns` made when nobody else uses it."""
    if _device(BRIDGE):
        run("ip", "link", "del", BRIDGE)
    if _NETNS.is_dir() and not any(_NETNS.iterdir()):
        unmount(_NETNS)


def join(name: str, address: str) -> Path:
    """A network namespace with one interface on the bridge; its path."""
    space = _NETNS / name
    if not space.exists():
        run("ip", "netns", "add", name)
    run("ip", "link", "add", name, "type", "veth", "peer", "name", "host0", "netns", name)
    run("ip", "link", "set", name, "master", BRIDGE, "up")
    run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", "host0")
    for device in ("lo", "host0"):
        run("ip", "-n", name, "link", "set", device, "up")
    return space


def leave(name: str) -> None:
    """Undo `join`."""
    if _device(name):
        run("ip", "link", "del", name)
    if (_NETNS / name).exists():
        run("ip", "netns", "del", name)


def frames(name: str, *, flow: bool) -> None:
    """Let a host's frames through the bridge, or drop them silently: no carrier change, no RST, no ICMP."""
    run("bridge", "link", "set", "dev", name, "state", "3" if flow else "0")
    if flow:  # forget the address look-ups that failed meanwhile, so that traffic flows at once
        run("ip", "neigh", "flush", "dev", BRIDGE)
        run("ip", "-n", name, "neigh", "flush", "dev", "host0")


def _device(name: str) -> bool:
    return Path(f"/sys/class/net/{name}").exists()


# Cgroups and mounts


def cgroups(name: str) -> list[Path]:
    """A control group for a host in each hierarchy that systemd uses (one on v2, two on a hybrid)."""
    unified = (_CGROUPS / "cgroup.controllers").exists()
    tops = [_CGROUPS] if unified else [_CGROUPS / "systemd", _CGROUPS / "unified"]
    return [top / "pgcohesion-lab" / name for top in tops if top.is_dir()]


def drop_cgroups(name: str) -> None:
    """Remove the host's control groups; their processes are gone."""
    for group in cgroups(name):
        for folder, _, _ in os.walk(group, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()
        with suppress(OSError):  # the parent goes with the last host
            group.parent.rmdir()


def unmount(path: Path) -> None:
    """Unmount everything at and below a path."""
    table = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    points = [point for point in table if point == str(path) or point.startswith(f"{path}/")]
    for point in reversed(points):
        if run("umount", point, check=False).returncode:
            run("umount", "--lazy", point)


def remove(path: Path) -> None:
    """Delete a tree, never through a mount."""
    unmount(path)
    run("rm", "-rf", "--one-file-system", path)
