"""A private network of the lab: a bridge with the callers on this side, one namespace for each server.

A black hole is a bridge port that passes nothing: no RST, no ICMP, no carrier change. The hosts know each other's
hardware addresses for good, because an address look-up that fails would end in "no route to host" after 3 s, which
a router further away never says.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.lab.machine import LabError, run

PREFIX = "pgcf-"
NET = "10.79.0"
GATEWAY = f"{NET}.1"
BRIDGE = f"{PREFIX}br0"

_LOCK = Path("/run/pgcf.lock")
_NETNS = Path("/run/netns")
_DEVICES = Path("/sys/class/net")
_TOOLS = {"ip": "iproute2", "bridge": "iproute2", "nsenter": "util-linux", "setpriv": "util-linux"}
_SBIN = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
_RIGHTS = 1 << 12 | 1 << 21  # CAP_NET_ADMIN, CAP_SYS_ADMIN


def missing() -> list[str]:
    """What this machine lacks, in words for a message; empty when the lab can come up."""
    if sys.platform != "linux":
        return ["Linux"]
    status = Path("/proc/self/status").read_text().splitlines()
    granted = next(int(line.split()[1], 16) for line in status if line.startswith("CapEff:"))
    lacks = [] if os.geteuid() == 0 and granted & _RIGHTS == _RIGHTS else ["root with the right to make namespaces"]
    return lacks + sorted({f"package {package}" for tool, package in _TOOLS.items() if not tool_path(tool)})


def tool_path(name: str) -> str | None:
    """Where a program lies; /usr/sbin is looked into, too."""
    return shutil.which(name, path=_SBIN)


@contextmanager
def lock() -> Iterator[None]:
    """One lab at a time on a machine. Raises LabError when another process has it."""
    with _LOCK.open("a+") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held.seek(0)
            raise LabError(f"the fault lab is in use by process {held.read() or '?'}") from None
        held.truncate(0)
        held.write(str(os.getpid()))
        held.flush()
        yield


def up() -> None:
    """Make the bridge. Raises LabError when another device has the lab's addresses."""
    taken = [line for line in run("ip", "-4", "-o", "addr").stdout.splitlines() if f" {NET}." in line]
    if taken:
        raise LabError(f"{NET}.0/24 is in use: {taken[0]}")
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    Path(f"/proc/sys/net/ipv4/conf/{BRIDGE}/forwarding").write_text("0")
    with suppress(FileNotFoundError):  # a kernel without IPv6
        Path(f"/proc/sys/net/ipv6/conf/{BRIDGE}/disable_ipv6").write_text("1")
    run("ip", "addr", "add", f"{GATEWAY}/24", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")


def join(names: dict[str, str]) -> None:
    """Make a namespace for each name with its address on the bridge; everybody knows everybody's hardware address."""
    for space, address in names.items():
        run("ip", "netns", "add", space)
        run("ip", "link", "add", space, "type", "veth", "peer", "name", "host0", "netns", space)
        run("ip", "link", "set", space, "master", BRIDGE, "up")
        run("ip", "-n", space, "addr", "add", f"{address}/24", "dev", "host0")
        for device in ("lo", "host0"):
            run("ip", "-n", space, "link", "set", device, "up")
    gateway = (_DEVICES / BRIDGE / "address").read_text().strip()
    hardware = {space: _hardware(space) for space in names}
    for space, address in names.items():
        run("ip", "neigh", "replace", address, "lladdr", hardware[space], "dev", BRIDGE, "nud", "permanent")
        others = {names[other]: hardware[other] for other in names if other != space} | {GATEWAY: gateway}
        for other, mac in others.items():
            permanent = ("lladdr", mac, "dev", "host0", "nud", "permanent")
            run("ip", "-n", space, "neigh", "replace", other, *permanent)


def _hardware(space: str) -> str:
    words = run("ip", "-n", space, "-o", "link", "show", "host0").stdout.split()
    return words[words.index("link/ether") + 1]


def frames(space: str, *, flow: bool) -> None:
    """Let a server's frames through the bridge, or drop them silently in both directions."""
    run("bridge", "link", "set", "dev", space, "state", "3" if flow else "0")  # `ip link set` says yes and does nothing


def spaces() -> list[str]:
    """The lab's namespaces that exist."""
    return sorted(path.name for path in _NETNS.glob(f"{PREFIX}*")) if _NETNS.is_dir() else []


def devices() -> list[str]:
    """The lab's devices that exist."""
    return sorted(path.name for path in _DEVICES.glob(f"{PREFIX}*"))


def sweep() -> None:
    """Remove everything that carries the lab's prefix, and the processes in its namespaces."""
    for space in spaces():
        for _ in range(200):
            pids = [int(pid) for pid in run("ip", "netns", "pids", space, check=False).stdout.split()]
            if not pids:
                break
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                with suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
            time.sleep(0.02)
    for device in devices():
        run("ip", "link", "del", device, check=False)  # a pair's second end is gone with its first
    for space in spaces():
        run("ip", "netns", "del", space)
