"""Cases: check, rows, grade, object. It is day 100; a full backup of 10 GB was made an hour ago."""

from typing import Any

from pgcohesion.health.sources.engines import Backup, Store
from pgcohesion.view import Grade

OK, INFO, WARN, FAIL = Grade.OK, Grade.INFO, Grade.WARN, Grade.FAIL
HOUR, DAY, GB = 3600.0, 86400.0, 10**9
NOW = 100 * DAY
NAME = "pgbackrest main"


def full(age: float = HOUR, **more: Any) -> Backup:
    return Backup(**{"label": "full", "ended": NOW - age, "bytes": 10 * GB, **more})


def incr(age: float = HOUR, **more: Any) -> Backup:
    return full(age, label="incr", full=False, **more)


def case(
    *backups: Backup, laptop: bool = False, protected: bool = False, archiving: bool = True, **more: Any
) -> list[dict[str, Any]]:
    usual = {"name": NAME, "engine": "pgbackrest", "make": "make it", "look": "look", "declared": not laptop}
    store = Store(**{**usual, "backups": backups, **more})
    return [{**nothing(relaxed=laptop, protected=protected, archiving=archiving)[0], "stores": (store,)}]


def nothing(**more: Any) -> list[dict[str, Any]]:
    usual = {
        "env": "x",
        "now": NOW,
        "relaxed": False,
        "protected": False,
        "undeclared": "",
        "archiving": True,
        "ours": True,
    }
    return [{"stores": (), **usual, **more}]


TABLE = [
    ("backups_known", case(full()), OK, ""),
    ("backups_known", nothing(), INFO, ""),
    ("backups_known", nothing(protected=True), WARN, ""),
    ("backups_known", nothing(ours=False), INFO, ""),
    ("backups_known", nothing(undeclared="cp %p /x/%f"), INFO, ""),
    ("backup_age", case(full(9 * DAY), incr()), OK, NAME),
    ("backup_age", case(full(9 * DAY), incr(40 * HOUR)), WARN, NAME),
    ("backup_age", case(full(9 * DAY), incr(80 * HOUR)), FAIL, NAME),
    ("backup_age", case(full(9 * DAY), incr(80 * HOUR), laptop=True), INFO, NAME),
    ("backup_age", case(full(9 * DAY), incr(80 * HOUR), incr(trouble="x"), incr(unfinished=True)), FAIL, NAME),
    ("backup_age", case(full(40 * HOUR), wal=False), WARN, NAME),  # nothing replays what came after a dump
    ("backup_age", case(), FAIL, NAME),
    ("backup_age", case(full(trouble="x")), FAIL, NAME),
    ("full_backup_age", case(full(5 * DAY)), OK, NAME),
    ("full_backup_age", case(full(8 * DAY), incr()), WARN, NAME),
    ("full_backup_age", case(full(20 * DAY)), FAIL, NAME),
    ("backup_shrank", case(full(2 * DAY), full()), OK, NAME),
    ("backup_shrank", case(full(2 * DAY), full(bytes=20 * GB)), OK, NAME),
    ("backup_shrank", case(full(2 * DAY), full(bytes=7 * GB)), WARN, NAME),
    ("backup_shrank", case(full(2 * DAY), full(bytes=1 * GB)), FAIL, NAME),
    ("backup_shrank", case(full(2 * DAY), full(DAY, trouble="x", bytes=1), full()), OK, NAME),
    ("backups_usable", case(full()), OK, ""),
    ("backups_usable", case(full(trouble="x")), FAIL, "full"),
    ("backups_usable", case(full(DAY, label="old", trouble="x"), full()), WARN, "old"),
    ("backups_usable", case(full(), full(unfinished=True)), OK, ""),
    ("backups_usable", case(full(DAY), full(8 * HOUR, label="stuck", unfinished=True)), FAIL, "stuck"),
    ("backups_usable", case(full(trouble="x"), laptop=True), INFO, "full"),
    ("backup_engine", case(full()), OK, ""),
    ("backup_engine", case(problems=("missing stanza path",)), FAIL, NAME),
    ("backup_engine", case(full(), archiving=False), FAIL, NAME),
    ("backup_engine", case(full(), archiving=False, engine="files"), OK, ""),
    ("backup_retention", case(full()), OK, ""),
    ("backup_retention", case(full(), keep=1), OK, ""),
    ("backup_retention", case(full(), incr(), keep=2), WARN, NAME),
    ("backup_retention", case(*[full(day * DAY) for day in range(20)], keep=2), WARN, NAME),
    ("backup_retention", case(problems=("no answer",), keep=2), OK, ""),
    ("backup_verified", case(full()), OK, ""),
    ("backup_verified", case(full(), protected=True), INFO, ""),
    ("backup_verified", case(full(), verified_at=0.0), WARN, NAME),
    ("backup_verified", case(full(), verified_at=NOW - DAY), OK, NAME),
    ("backup_verified", case(full(), verified_at=NOW - 40 * DAY), WARN, NAME),
    ("backup_disk", case(full()), OK, ""),
    ("backup_disk", case(full(), folder="/x", same_disk=True), INFO, "/x"),
    ("backup_disk", case(full(), folder="/x", same_disk=True, protected=True), WARN, "/x"),
]
