"""Listing: one trip, the real script, and every way in which a folder may be no backup."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from pgcohesion import backup
from pgcohesion.backup import catalog
from pgcohesion.backup.catalog import Catalog, Entry, Listed
from pgcohesion.context import Context, Options
from pgcohesion.errors import CohesionError, ConfigError, UsageError
from pgcohesion.opening import open_context
from pgcohesion.output.text import Painter
from pgcohesion.output.text import view as text_of
from pgcohesion.runner import Local
from pgcohesion.runner.recorder import Recorder
from tests.support import REPO
from tests.unit.backup.samples import AT, ID, manifest, write


def context(folder: Path | str, env: str = "test", runner: object = None) -> Context:
    options = Options(env=env, set=(f"backup.folder={folder}",) if folder else ())
    return open_context(env, root=REPO, options=options, runner=runner or Local())


def entries(folder: Path) -> dict[str, Entry]:
    return {entry.id: entry for entry in catalog.read(context(folder)).entries}


def test_no_folder_is_no_backup(tmp_path: Path) -> None:
    read = catalog.read(context(tmp_path / "none"))
    assert read == Catalog(exists=False)


def test_an_empty_folder(tmp_path: Path) -> None:
    read = catalog.read(context(tmp_path))
    assert read.entries == ()
    assert read.free is not None
    assert read.free > 0


def test_the_version_of_a_program_comes_along(tmp_path: Path) -> None:
    assert "coreutils" in catalog.read(context(tmp_path), "/bin/ls").tool
    assert "not found" in catalog.read(context(tmp_path), "/no/such/pg_dump").tool
    assert "not found" in catalog.read(context(tmp_path / "none"), "/no/such/pg_dump").tool


def test_backups_stand_in_the_order_of_time(tmp_path: Path) -> None:
    for number, name in enumerate(("zebra", "apple", "middle")):
        identity = f"2026112{number}T000000Z-{name}"
        write(tmp_path, identity, manifest(identity, name, minutes=number))
    assert [entry.id[17:] for entry in catalog.read(context(tmp_path)).entries] == ["zebra", "apple", "middle"]
    assert all(entry.complete for entry in catalog.read(context(tmp_path)).entries)


def test_an_unfinished_backup_is_never_listed(tmp_path: Path) -> None:
    write(tmp_path).rename(tmp_path / f"{ID}.test.partial")
    read = catalog.read(context(tmp_path))
    assert read.entries == ()
    assert read.names == (f"{ID}.test.partial",)


def without(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def edited(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes().replace(b"120", b"119"))


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (without("manifest.json"), "has no manifest.json"),
        (without("SHA256SUMS"), "manifest.json has not the checksum that SHA256SUMS says"),
        (edited("manifest.json"), "manifest.json has not the checksum that SHA256SUMS says"),
        (without("dump/12.dat.gz"), "dump/ has 1 file of 5 bytes, had 2 files of 9 bytes"),
        (
            lambda folder: os.truncate(folder / "dump/toc.dat", 1),
            "dump/ has 2 files of 5 bytes, had 2 files of 9 bytes",
        ),
        (lambda folder: folder.rename(folder.parent / "mine"), f"is called `mine`, its manifest says `{ID}`"),
    ],
)
def test_a_damaged_backup_says_what_is_wrong(tmp_path: Path, harm: Callable[[Path], object], reason: str) -> None:
    harm(write(tmp_path))
    (entry,) = entries(tmp_path).values()
    assert (entry.complete, entry.reason) == (False, reason)


def test_a_manifest_of_another_program_is_damage_and_not_a_crash(tmp_path: Path) -> None:
    import hashlib

    (tmp_path / "their").mkdir()
    (tmp_path / "their/manifest.json").write_bytes(b'{"hello": 1}')
    digest = hashlib.sha256(b'{"hello": 1}').hexdigest()
    (tmp_path / "their/SHA256SUMS").write_text(f"{digest}  manifest.json\n")
    assert entries(tmp_path)["their"].reason.startswith("manifest.json: Object missing required field")


@pytest.mark.parametrize("name", ["two words", "line\nbreak", "-rf", "$(touch pwned)", "naïve", "a'b\"c", "*"])
def test_a_foreign_folder_of_any_name_is_listed_as_damaged(tmp_path: Path, name: str) -> None:
    write(tmp_path)
    (tmp_path / name).mkdir()
    (tmp_path / "a stray file").write_text("not a backup")
    found = entries(tmp_path)
    assert found[name].reason == "has no manifest.json"
    assert found[ID].complete
    assert set(found) == {name, ID}


def test_a_folder_that_is_closed_to_us_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CohesionError) as raised:
        catalog.read(context(tmp_path / "file"))
    assert "cannot read the backups" in raised.value.what


def test_one_trip_for_all_manifests(tmp_path: Path) -> None:
    recorder = Recorder({"sh": 44})
    ctx = context("", "staging", recorder)
    assert backup.list_backups(ctx).entries == ()
    assert [call[0] for call in recorder.calls] == ["sh"]
    assert recorder.calls[0][4:] == ("/var/backups/pgcohesion/main", "")


@pytest.mark.parametrize(
    ("env", "folder", "expected"),
    [
        ("test", "", (f"{REPO}/.pgcohesion/test/backups", None)),
        ("test", "elsewhere/here", (f"{REPO}/elsewhere/here", None)),
        ("test", "/mnt/backups/", ("/mnt/backups", None)),
        ("staging", "", ("/var/backups/pgcohesion/main", "postgres")),
        ("staging", "/mnt/backups/", ("/mnt/backups", "postgres")),
    ],
)
def test_where_backups_lie(env: str, folder: str, expected: tuple[str, str | None]) -> None:
    place = catalog.place(context(folder, env, Recorder()))
    assert (place.folder, place.user) == expected


def test_a_relative_folder_of_a_host_is_refused() -> None:
    with pytest.raises(ConfigError, match="no absolute path"):
        catalog.place(context("backups", "staging", Recorder()))


# --- finding one ---------------------------------------------------------------------------------------

OLD = Entry("20261121T000000Z-chanuka", manifest("20261121T000000Z-chanuka", minutes=-1000))
NEW = Entry(ID, manifest())
BROKEN = Entry("20261123T000000Z-chanuka", reason="has no manifest.json")
FOREIGN = Entry("zzz", reason="has no manifest.json")


def test_latest_is_the_newest() -> None:
    assert catalog.find([FOREIGN, OLD, NEW], "latest", "chanuka") == (NEW, NEW.manifest)
    assert catalog.find([FOREIGN, OLD, NEW], OLD.id, "chanuka") == (OLD, OLD.manifest)


def test_latest_never_falls_back_to_an_older_one_silently() -> None:
    with pytest.raises(CohesionError) as raised:
        catalog.find([OLD, NEW, BROKEN], "latest", "chanuka")
    assert raised.value.exit_code == 1
    assert "20261123T000000Z-chanuka" in raised.value.what
    assert raised.value.fix == f"restore another one; the newest is {ID}"


def test_an_unknown_id_gets_a_suggestion() -> None:
    with pytest.raises(UsageError) as raised:
        catalog.find([OLD, NEW], "20261122T130301Z-chanuka", "chanuka")
    assert raised.value.exit_code == 2
    assert f"did you mean `{ID}`?" in raised.value.fix
    with pytest.raises(UsageError) as raised:
        catalog.find([], "latest", "chanuka")
    assert raised.value.fix == "make one: inv backup.create"


def test_latest_is_of_the_main_database() -> None:
    other = Entry("20261124T000000Z-other", manifest("20261124T000000Z-other", "other", minutes=1500))
    broken = Entry("20261124T000001Z-other-2", reason="has no manifest.json")
    assert catalog.find([OLD, NEW, other, broken], "latest", "chanuka") == (NEW, NEW.manifest)
    assert catalog.find([OLD, NEW, other], "latest", "other") == (other, other.manifest)
    with pytest.raises(CohesionError, match="20261124T000001Z-other-2"):
        catalog.find([OLD, NEW, other, broken], "latest", "other")
    with pytest.raises(UsageError, match="no backup of `none` yet"):
        catalog.find([OLD, NEW, other], "latest", "none")


# --- showing them ---------------------------------------------------------------------------------------


def shown(*found: Entry) -> list[str]:
    listed = Listed(tuple(found), "/backups", "test", AT + timedelta(hours=3))
    return list(text_of(listed.view(), "test", Painter(colour=False), terminal=False))


def test_the_newest_stands_nearest_to_the_prompt() -> None:
    assert shown(OLD, NEW) == [
        "backup                    database  size  age   server  state",
        "20261121T000000Z-chanuka  chanuka   9 B   20 h  18.6    complete",
        "20261122T130300Z-chanuka  chanuka   9 B   3 h   18.6    complete",
        "test: 2 backups, the newest 3 h old in /backups",
    ]


def test_damage_is_shown_with_its_reason() -> None:
    assert shown(NEW, Entry("od\nd", reason="has no manifest.json"))[-3:] == [
        "od\\nd                                                  damaged",
        "warn    `od\\nd` has no manifest.json",
        "test: 1 backup, 1 damaged, the newest 3 h old in /backups",
    ]
    assert shown() == ["test: 0 backups in /backups"]


def test_a_backup_of_another_environment_says_so() -> None:
    listed = Listed((NEW,), "/backups", "staging", AT)
    assert any("chanuka (test)" in line for line in text_of(listed.view(), "", Painter(colour=False), terminal=False))


def test_json_has_the_whole_manifest() -> None:
    value = Listed((NEW, BROKEN), "/backups", "test", AT).as_dict()
    assert value["backups"][0]["manifest"]["started_at"] == "2026-11-22T13:03:00Z"
    assert value["backups"][1] == {
        "id": BROKEN.id,
        "complete": False,
        "reason": "has no manifest.json",
        "manifest": None,
    }
