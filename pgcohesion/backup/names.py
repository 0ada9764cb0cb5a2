"""Names: of backups, of their folders, of the databases that they are restored into."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from datetime import datetime

STAMP = "%Y%m%dT%H%M%SZ"
ID = re.compile(r"(\d{8}T\d{6}Z)-[A-Za-z0-9_-]+")
LATEST = "latest"
RESTORING = "pgcohesion_restoring_"  # a database whose restore has not ended; never anybody's own
REPLACED = "pgcohesion_replaced_"  # one that a restore has taken the name of, about to be dropped
NAME_BYTES = 63  # NAMEDATALEN - 1


def new_id(at: datetime, database: str, taken: Collection[str]) -> str:
    """Return the ID of a backup that is made *at* (UTC), unlike those *taken*.

    It is a safe folder name and sorts by time, whatever the database is called.
    """
    first = f"{at:{STAMP}}-{slug(database)}"
    number, name = 1, first
    while name in taken:
        number += 1
        name = f"{first}-{number}"
    return name


def slug(database: str) -> str:
    """Return what of a database's name an ID has."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", database)[:40].strip("_-") or "database"


def partial(identity: str, env: str) -> str:
    """Return the folder that a backup is written into until it is complete.

    It names its environment: several may share a folder, and each has a lock of its own.
    """
    return f"{identity}.{env}.partial"


def stale(names: Iterable[str], env: str) -> list[str]:
    """Return the unfinished backups of *env* among *names*.

    Their maker is gone: whoever asks in order to make another one holds the environment's lock.
    """
    pattern = re.compile(rf"{ID.pattern}\.{re.escape(env)}\.partial")
    return sorted(name for name in names if pattern.fullmatch(name))


def ids(names: Iterable[str]) -> set[str]:
    """Return the IDs among *names*, of unfinished backups, too."""
    return {name.partition(".")[0] for name in names}


def restored(database: str, identity: str) -> str:
    """Return the new database that a backup goes into by default: ``chanuka_restored_20261122T130300Z``."""
    match = ID.fullmatch(identity)
    assert match
    suffix = f"_restored_{match[1]}"
    return database.encode()[: NAME_BYTES - len(suffix)].decode("utf-8", "ignore") + suffix


def conninfo(database: str) -> str:
    """Return the connection string of a database, for programs that would read ``a=b`` or ``-x`` as something else."""
    escaped = database.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{escaped}'"


def printable(text: str) -> str:
    """Return *text* with what would move a terminal's cursor escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
