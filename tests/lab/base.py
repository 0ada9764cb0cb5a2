"""The tree that all lab hosts share: Debian 12 with systemd, sshd and three users, built once."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.lab import apt_relay
from tests.lab.machine import KEYRING, LabError, remove, run

PACKAGES = "systemd,systemd-sysv,dbus,openssh-server,python3,sudo,iproute2,procps,ca-certificates"
USERS = ("deploy", "ops", "nosudo")

_SUDOERS = "deploy ALL=(ALL:ALL) NOPASSWD: ALL\nops ALL=(ALL:ALL) ALL\n"
_SSHD = "UseDNS no\nPasswordAuthentication no\nMaxStartups 100:30:200\n"
_APT = """\
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::Check-Valid-Until "false";
Acquire::Check-Date "false";
Acquire::http::Proxy "DIRECT";
"""
_UNWANTED = """
    etc/ssh/ssh_host_* etc/machine-id etc/apt/sources.list etc/update-motd.d/* var/lib/apt/lists/*_*
    var/cache/apt/archives/*.deb var/log/bootstrap.log
"""
# A throw-away host needs no consoles, timers or network set-up, and boots faster without.
_MASKED = """
    getty@tty1.service console-getty.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer
    e2scrub_all.timer e2scrub_reap.service fstrim.timer systemd-timesyncd.service systemd-networkd.service
    systemd-logind.service
"""


def base_tree(state: Path, key: str, *, in_use: bool = False) -> Path:
    """The shared tree, whose users take the public `key`; built when it is absent or its recipe changed.

    Raises LabError when debootstrap fails, or when the tree must be built anew while hosts stand on it.
    """
    tree, stamp = state / "base", state / "base.recipe"
    recipe = hashlib.sha256(Path(__file__).read_bytes() + key.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == recipe:
        return tree
    if in_use:
        raise LabError("the recipe of the shared tree changed: take the lab down first")
    stamp.unlink(missing_ok=True)
    remove(tree)
    _bootstrap(state, tree)
    _configure(tree)
    _add_users(tree, key)
    stamp.write_text(recipe)
    return tree


def _bootstrap(state: Path, tree: Path) -> None:
    suite = apt_relay.SUITES[0]
    slug = next(source.slug for source in apt_relay.sources() if source.suite == suite)
    with apt_relay.serving(state / "apt") as relay:
        argv = ["debootstrap", f"--keyring={KEYRING}", "--variant=minbase", f"--include={PACKAGES}", suite]
        done = run(*argv, tree, f"{relay}/{slug}", check=False, timeout=1200)
    log = state / "debootstrap.log"
    log.write_text(done.stdout + done.stderr)
    if done.returncode:
        raise LabError(f"debootstrap failed, see {log}")


def _configure(tree: Path) -> None:
    for pattern in _UNWANTED.split():
        for file in tree.glob(pattern):
            file.unlink()
    (tree / "etc/apt/apt.conf.d/99lab").write_text(_APT)
    (tree / "etc/ssh/sshd_config.d/lab.conf").write_text(_SSHD)
    (tree / "etc/motd").write_text("")
    for unit in _MASKED.split():
        link = tree / "etc/systemd/system" / unit
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")


def _add_users(tree: Path, key: str) -> None:
    for user in USERS:
        run("chroot", tree, "useradd", "--create-home", "--shell", "/bin/bash", user)
        run("chroot", tree, "install", "-d", "-m", "700", "-o", user, "-g", user, f"/home/{user}/.ssh")
        allowed = tree / f"home/{user}/.ssh/authorized_keys"
        allowed.write_text(key)
        allowed.chmod(0o600)
        run("chroot", tree, "chown", f"{user}:{user}", f"/home/{user}/.ssh/authorized_keys")
    run("chroot", tree, "chpasswd", stdin="ops:ops\n")
    sudoers = tree / "etc/sudoers.d/lab"
    sudoers.write_text(_SUDOERS)
    sudoers.chmod(0o440)
