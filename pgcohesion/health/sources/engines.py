"""What backup engines say of themselves -> values. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct, json


class Backup(Struct, frozen=True, kw_only=True):
    """A backup: *ended* in epoch seconds, *bytes* of what it would restore; *trouble* keeps it from being restored.

    *unfinished*: it may still be made.
    """

    label: str
    ended: float = 0.0
    full: bool = True
    bytes: int = 0
    trouble: str = ""
    unfinished: bool = False

    @property
    def good(self) -> bool:
        """Whether it can be restored, as far as its catalogue tells."""
        return not self.trouble and not self.unfinished


class Store(Struct, frozen=True, kw_only=True):
    """What an engine keeps for one server, or of ours for one database: backups with the oldest first.

    *problems* are its own complaints. *make* and *look*: the lines that make a backup and show them. *wal*: it keeps
    WAL as well, so that the time since its last backup is not lost. *verified_at* in epoch seconds, 0: never, None:
    nobody says. *folder*: where they lie, and *same_disk*: the data, too. *database*: of our own ones.
    """

    name: str
    engine: str
    backups: tuple[Backup, ...] = ()
    problems: tuple[str, ...] = ()
    make: str = ""
    look: str = ""
    wal: bool = True
    keep: int | None = None
    verified_at: float | None = None
    folder: str = ""
    same_disk: bool = False
    declared: bool = True
    database: str = ""


def pgbackrest(text: str, wanted: str) -> Iterator[Store]:
    """Read ``pgbackrest info --output=json``; *wanted* is a stanza, or nothing for all of them."""
    for stanza in json.decode(text):
        name = stanza["name"]
        if wanted not in ("", name):
            continue
        status = stanza["status"]
        archives = {_history(archive): archive for archive in stanza.get("archive", ())}
        current = max((one["id"] for one in stanza.get("db", ())), default=None)
        found = [_pgbackrest_backup(backup, archives, current) for backup in stanza.get("backup", ())]
        yield Store(
            name=f"pgbackrest {name}",
            engine="pgbackrest",
            backups=_in_order(found),
            problems=(status["message"],) if status["code"] not in (0, 2) else (),  # 2: no valid backups, we say it
            make=f"pgbackrest --stanza={name} backup",
            look=f"pgbackrest --stanza={name} info\npgbackrest --stanza={name} check",
        )


def options(argv: Sequence[str]) -> dict[str, str]:
    """Return the long options of a command, ``--name=value`` or ``--name value``."""
    found = {}
    for word, following in zip(argv, [*argv[1:], ""], strict=True):
        if word.startswith("--"):
            name, sign, value = word[2:].partition("=")
            found[name] = value if sign else following
    return found


def repository(text: str, argv: Sequence[str], stanza: str) -> str:
    """Return the folder that ``pgbackrest.conf`` and options keep backups in.

    Nothing where a repository is elsewhere, or nobody has said where: the environment of a process may say it, too. The
    section of *stanza* goes before that of all, options before both.
    """
    import configparser

    given = configparser.RawConfigParser(delimiters=("=",), strict=False, default_section="")
    try:
        given.read_string(text)
    except configparser.Error:
        return ""
    own = options(argv)
    sections = ("global", stanza or own.get("stanza", ""))
    said = {name: value for section in sections if section in given for name, value in given[section].items()} | own
    numbers = {found[1] for name in said if (found := re.match(r"repo(\d+)-", name))}
    if not numbers and not given.sections():
        return ""
    for number in numbers:
        if said.get(f"repo{number}-host") or said.get(f"repo{number}-type", "posix") != "posix":
            return ""
    return said.get(f"repo{min(numbers, key=int, default='1')}-path", "/var/lib/pgbackrest")


def _history(one: dict[str, Any]) -> tuple[int, int]:
    return one["database"]["id"], one["database"].get("repo-key", 1)


def _pgbackrest_backup(backup: dict[str, Any], archives: dict[Any, dict[str, Any]], current: int | None) -> Backup:
    first, last = backup["archive"]["start"], backup["archive"]["stop"]
    archive = archives.get(_history(backup), {})
    trouble = ""
    if backup.get("error"):
        trouble = "pages with wrong checksums were copied"
    elif first and (not archive.get("min") or first < archive["min"] or last > archive["max"]):
        has = f"it has {archive['min']} to {archive['max']}" if archive.get("min") else "it has none"
        trouble = f"the archive lacks WAL that it needs ({first} to {last}; {has})"
    elif current is not None and backup["database"]["id"] != current:
        trouble = "it is of another cluster: the stanza was upgraded since"
    return Backup(
        label=backup["label"],
        ended=float(backup["timestamp"]["stop"]),
        full=backup["type"] == "full",
        bytes=backup["info"]["size"],
        trouble=trouble,
    )


def barman(listed: str, checked: str, server: str) -> Iterator[Store]:
    """Read ``barman -f json list-backups`` and ``barman -f json check`` of a server."""
    backups, checks = json.decode(listed).get(server, []), json.decode(checked).get(server, {})
    problems = [
        f"{name.replace('_', ' ')} failed" + (f": {result['hint']}" if result["hint"] else "")
        for name, result in checks.items()
        if result["status"] != "OK" and name not in OURS
    ]
    yield Store(
        name=f"barman {server}",
        engine="barman",
        backups=_in_order([_barman_backup(one) for one in backups]),
        problems=tuple(problems),
        make=f"barman backup {server}",
        look=f"barman check {server}\nbarman list-backups {server}",
    )


def barman_folder(text: str, server: str) -> str:
    """Return the folder of a server's backups, out of ``barman -f json show-server``; nothing if it is not known."""
    try:
        return str(json.decode(text)[server]["backup_directory"])
    except (ValueError, KeyError, TypeError):  # what was said of the backups holds all the same
        return ""


OURS = ("backup_maximum_age", "backup_minimum_size", "failed_backups", "minimum_redundancy_requirements")
"""Barman's checks of what we judge ourselves."""


def _barman_backup(one: dict[str, Any]) -> Backup:
    status = one["status"]
    return Backup(
        label=one["backup_id"],
        ended=float(one.get("end_time_timestamp") or _barman_time(one["backup_id"])),
        bytes=one.get("size_bytes") or 0,
        trouble="it failed" if status == "FAILED" else "",
        unfinished=status in ("STARTED", "SYNCING", "EMPTY", "WAITING_FOR_WALS"),
    )


def _barman_time(label: str) -> float:
    return datetime.strptime(label[:15], "%Y%m%dT%H%M%S").astimezone().timestamp()


def wal_g(text: str, command: str) -> Iterator[Store]:
    """Read ``wal-g backup-list --json --detail``; *command* is how it was called."""
    found = [
        Backup(
            label=one["backup_name"],
            ended=datetime.fromisoformat(one.get("finish_time") or one.get("time") or one["modified"]).timestamp(),
            full="_D_" not in one["backup_name"],
            bytes=one.get("uncompressed_size") or one.get("compressed_size") or 0,
        )
        for one in json.decode(text) or ()
    ]
    yield Store(
        name="wal-g",
        engine="wal-g",
        backups=_in_order(found),
        make=f"{command} backup-push DATA_FOLDER",
        look=f"{command} backup-list --detail --pretty\n{command} wal-verify integrity timeline",
    )


class Manifest(Struct, frozen=True):
    """What we read of a ``manifest.json`` of our own backups."""

    env: str
    database: str
    ended_at: datetime
    dump_files: int
    dump_bytes: int


def own(lines: Sequence[str], env: str, folder: str, databases: Sequence[str]) -> list[Store]:
    """Read what OWN in :mod:`.backups` writes: of each folder name, age, files and bytes, then its manifest.

    Return a store for each of *databases*, also where it has no backup.
    """
    found: dict[str, list[Backup]] = {name: [] for name in databases}
    slugs = {slug(name): name for name in databases}
    for block in "\n".join(["", *lines]).split("\n-- ")[1:]:
        about, _, manifest = block.partition("\n")
        name, changed, files, total = about.split("\t")
        database, backup = _own_backup(name, float(changed), (int(files), int(total)), manifest, env)
        database = slugs.get(database, database)
        if database in found:
            found[database].append(backup)
    return [
        Store(
            name=f"{database} in {folder}",
            engine="pgcohesion",
            backups=_in_order(backups),
            wal=False,
            folder=folder,
            make=f"inv backup.create --database={shlex.quote(database)} --env={env}",
            look=f"inv backup.list --env={env}",
            database=database,
        )
        for database, backups in found.items()
    ]


def _own_backup(name: str, changed: float, total: tuple[int, int], text: str, env: str) -> tuple[str, Backup]:
    """Return a backup and its database; what is unfinished or damaged has only part of the database's name."""
    part = re.sub(r"-\d+$", "", name.partition(".")[0].partition("-")[2])
    if name.endswith(".partial"):
        return part if f".{env}." in name else "", Backup(label=name, ended=changed, unfinished=True)
    try:
        manifest = json.decode(text, type=Manifest)
    except (ValueError, UnicodeDecodeError):
        return part, Backup(label=name, ended=changed, trouble="its manifest.json is missing or damaged")
    if manifest.env != env:
        return "", Backup(label=name)
    trouble = ""
    if total != (manifest.dump_files, manifest.dump_bytes):
        had = f"{manifest.dump_files} files of {manifest.dump_bytes} bytes"
        trouble = f"dump/ has {total[0]} files of {total[1]} bytes, had {had}"
    ended = manifest.ended_at.timestamp()
    return manifest.database, Backup(label=name, ended=ended, bytes=manifest.dump_bytes, trouble=trouble)


def slug(database: str) -> str:
    """Return what of a database's name the folder of a backup of ours has."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", database)[:40].strip("_-") or "database"


def files(lines: Sequence[str], folder: str, pattern: str) -> Store:
    """Read what FILES in :mod:`.backups` writes: its disk, then of each entry its change, its bytes and its name."""
    found = []
    for line in lines[1:]:
        changed, total, name = line.split("\t", 2)
        trouble = "" if int(total) else "it is empty"
        found.append(
            Backup(
                label=name,
                ended=float(changed),
                bytes=int(total),
                trouble=trouble,
                unfinished=name.endswith((".partial", ".part", ".tmp")),
            )
        )
    place = f"{folder.rstrip('/')}/{pattern}"
    return Store(
        name=place,
        engine="files",
        backups=_in_order(found),
        make="# run the job that makes them, and look why it did not: systemctl list-timers, crontab -l",
        look=f"ls -lt {shlex.quote(folder)}",
        wal=False,
        folder=folder,
        same_disk=lines[:1] == ["same"],
    )


def _in_order(found: Sequence[Backup]) -> tuple[Backup, ...]:
    return tuple(sorted(found, key=lambda backup: backup.ended))


def broken(name: str, engine: str, why: str, look: str) -> Store:
    """Return the store of an engine that cannot be asked."""
    return Store(name=name, engine=engine, problems=(why,), look=look)
