"""What engines write -> values, for what no test can run: WAL-G, upgraded clusters, other people's folders."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pgcohesion.health.sources.backups import _pushing
from pgcohesion.health.sources.engines import Backup, barman_folder, own, pgbackrest, repository, slug, wal_g

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("command", "engine"),
    [
        ("pgbackrest --stanza=main archive-push %p", ["pgbackrest", "--stanza=main"]),
        ("envdir /etc/wal-g.d/env wal-g wal-push %p", ["envdir", "/etc/wal-g.d/env", "wal-g"]),
        ("/opt/wal-g --config /etc/x.yaml wal-push '%p'", ["/opt/wal-g", "--config", "/etc/x.yaml"]),
        ("cp %p /archive/%f", []),
        ("barman-wal-archive backup1 main %p", []),
        ("test -x /usr/bin/pgbackrest && pgbackrest archive-push %p", []),  # a shell's, not ours to take apart
        ("rm archive-push", []),
        ("it's broken", []),
        ("", []),
    ],
)  # fmt: skip
def test_the_engine_is_read_from_archive_command(command: str, engine: list[str]) -> None:
    assert _pushing(command) == engine


def test_wal_g_lists_deltas_and_old_versions_say_less() -> None:
    text = json.dumps([
        {"backup_name": "base_00000001000000000000000A_D_000000010000000000000002", "time": "2026-11-21T10:00:00Z",
         "finish_time": "2026-11-21T10:05:00.500000000Z", "uncompressed_size": 900, "compressed_size": 100},
        {"backup_name": "base_000000010000000000000002", "modified": "2026-11-20T10:00:00+00:00"},
    ])  # fmt: skip
    (store,) = wal_g(text, "wal-g")
    assert [(one.full, one.bytes) for one in store.backups] == [(True, 0), (False, 900)]
    assert store.backups[1].ended - store.backups[0].ended == 86400 + 300.5
    assert next(wal_g("null", "wal-g")).backups == ()


def stanza(**backup: Any) -> str:
    usual = {
        "label": "l", "type": "full", "error": False, "timestamp": {"start": 1, "stop": 2}, "info": {"size": 5},
        "archive": {"start": "0A", "stop": "0B"}, "database": {"id": 1, "repo-key": 1},
    }  # fmt: skip
    archive = [
        {"database": {"id": 1, "repo-key": 1}, "min": "0A", "max": "0C"},
        {"database": {"id": 2, "repo-key": 1}, "min": None, "max": None},
    ]
    value = {"name": "main", "status": {"code": 0, "message": "ok"}, "db": [{"id": 1}], "archive": archive}
    return json.dumps([{**value, "backup": [{**usual, **backup}]}])


@pytest.mark.parametrize(
    ("backup", "words"),
    [
        ({}, ""),
        ({"error": True}, "wrong checksums"),
        ({"archive": {"start": "0A", "stop": "0D"}}, "lacks WAL"),
        ({"archive": {"start": "09", "stop": "0B"}}, "lacks WAL"),
        ({"database": {"id": 2, "repo-key": 1}}, "lacks WAL"),
        ({"archive": {"start": None, "stop": None}}, ""),  # of a server that was down
        ({"archive": {"start": None, "stop": None}, "database": {"id": 0, "repo-key": 1}}, "another cluster"),
    ],
)
def test_a_backup_of_pgbackrest_that_cannot_be_restored(backup: dict[str, Any], words: str) -> None:
    (store,) = pgbackrest(stanza(**backup), "main")
    assert words in store.backups[0].trouble
    assert bool(words) != store.backups[0].good


def test_our_own_folder_may_hold_other_things() -> None:
    def manifest(**more: object) -> list[str]:
        usual = {"env": "x", "database": "shop", "ended_at": "2026-11-20T10:00:00Z", "dump_files": 2, "dump_bytes": 9}
        return json.dumps({**usual, **more}, indent=2).splitlines()

    lines = [
        "-- 20261120T100000Z-shop\t5\t2\t9", *manifest(),
        "-- 20261121T100000Z-shop\t7\t1\t9", *manifest(ended_at="2026-11-21T10:00:00Z"),
        "-- 20261122T100000Z-shop-2\t8\t2\t9",
        "-- 20261122T100000Z-shop.x.partial\t9\t0\t0",
        "-- 20261122T100000Z-shop.other.partial\t9\t0\t0",
        "-- 20261122T100000Z-shop.y\t9\t2\t9", *manifest(env="other"),
        "-- lost+found\t9\t0\t0",
    ]  # fmt: skip
    shop, empty = own(lines, "x", "/b", ["shop", "it's"])
    by_name = {one.label: one for one in shop.backups}
    assert set(by_name) == {"20261120T100000Z-shop", "20261121T100000Z-shop", "20261122T100000Z-shop-2",
                            "20261122T100000Z-shop.x.partial"}  # fmt: skip
    assert by_name["20261120T100000Z-shop"].good
    assert "had 2 files" in by_name["20261121T100000Z-shop"].trouble
    assert "missing or damaged" in by_name["20261122T100000Z-shop-2"].trouble
    assert by_name["20261122T100000Z-shop.x.partial"].unfinished
    assert empty.backups == ()
    assert empty.make == "inv backup.create --database='it'\"'\"'s' --env=x"


@pytest.mark.parametrize("text", ["", "ERROR: no", "[]", "{}", '{"main": {"active": true}}'])
def test_an_answer_of_barman_that_is_not_as_known_says_nothing_of_its_folder(text: str) -> None:
    assert barman_folder(text, "main") == ""


def test_the_folders_names_are_made_as_backup_makes_them() -> None:
    from pgcohesion.backup import names

    for database in ("shop", "it's", "ü", "a" * 60, "-"):
        assert slug(database) == names.slug(database)


def test_a_backup_is_good_unless_something_speaks_against_it() -> None:
    assert Backup(label="x").good
    assert not Backup(label="x", unfinished=True).good


@pytest.mark.parametrize(
    ("text", "options", "folder"),
    [
        ("[global]\nrepo1-path=/mnt/a=b\n[main]\npg1-path=/d", [], "/mnt/a=b"),
        ("[global]\nrepo1-path=/all\n[main]\nrepo1-path=/own", ["--stanza=main"], "/own"),
        ("[global]\nrepo1-path=/all", ["--repo1-path=/option", "--stanza=main"], "/option"),
        ("[main]\npg1-path=/d", [], "/var/lib/pgbackrest"),
        ("", [], ""),
        ("", ["--stanza", "main", "--repo1-path", "/option"], "/option"),
        ("[global]\nrepo1-path=/all\n[main]\nrepo1-path=/own", ["--stanza", "main"], "/own"),
        ("[global]\nrepo1-host=backup1\nrepo1-path=/there", [], ""),
        ("[global]\nrepo1-path=/here\nrepo2-type=s3", [], ""),
        ("[global]\nrepo2-path=/second", [], "/second"),
        ("no section", [], ""),
    ],
)
def test_where_pgbackrest_keeps_everything_if_it_is_here(text: str, options: list[str], folder: str) -> None:
    assert repository(text, ["pgbackrest", *options], "main" if not options else "") == folder
