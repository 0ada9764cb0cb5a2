"""What is planned, and what is refused before anything is touched: values only."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from pgcohesion.backup import dumping, properties, restoring
from pgcohesion.backup.catalog import Catalog
from pgcohesion.backup.manifest import Setting
from pgcohesion.backup.shell import Place, failure
from pgcohesion.errors import CohesionError, Refused, UsageError
from pgcohesion.plan import Plan
from tests.unit.backup.samples import ID, ROWS, SERVER, SOURCE, manifest

PLACE = Place("/backups", "postgres")
JOB = dumping.Job(ID, "chanuka", 2, SERVER, "18.6")


# --- making ---------------------------------------------------------------------------------------------


def made(listed: Catalog) -> list[str]:
    return [change.line().text for change in dumping.changes("test", JOB, 11_000_000, listed, PLACE)]


def test_the_first_backup_makes_the_folder() -> None:
    assert made(Catalog(exists=False)) == [
        "folder /backups  (mode 0700, of postgres)",
        f"backup {ID}  (database chanuka, 10.5 MiB)",
    ]


def test_what_a_killed_one_left_goes_first() -> None:
    left = "20261122T120000Z-chanuka.test.partial"
    assert made(Catalog(names=("x", left, "20261122T120000Z-chanuka.prod.partial"), free=2**30)) == [
        f"remove {left}  (its maker was killed)",
        f"backup {ID}  (database chanuka, 10.5 MiB, 1.0 GiB free there)",
    ]


def test_making_a_backup_destroys_nothing_so_no_guard_asks() -> None:
    listed = Catalog(names=("20261122T120000Z-chanuka.test.partial",))
    assert not Plan("test", tuple(dumping.changes("test", JOB, 1, listed, PLACE))).destroys


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("pg_dump (PostgreSQL) 18.6", "18.6"),
        ("pg_dump (PostgreSQL) 18.6 (Debian 18.6-1)", "18.6"),
        ("x (PostgreSQL) 18beta1", "18beta1"),
    ],
)
def test_a_pg_dump_of_the_servers_version(text: str, version: str) -> None:
    assert dumping.check_tool(text, SERVER) == version


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("pg_dump (PostgreSQL) 17.9", "pg_dump is of PostgreSQL 17.9, the server of 18.6"),
        ("pg_dump (PostgreSQL) 19.1", "pg_dump is of PostgreSQL 19.1, the server of 18.6"),
        ("sh: 1: /usr/lib/postgresql/18/bin/pg_dump: not found", "there is no usable pg_dump"),
        ("", "there is no usable pg_dump"),
    ],
)
def test_any_other_pg_dump_is_refused(text: str, what: str) -> None:
    with pytest.raises(CohesionError) as raised:
        dumping.check_tool(text, SERVER)
    assert (raised.value.what, raised.value.exit_code) == (what, 1)


@pytest.mark.parametrize("words", ["No space left on device", "Disk quota exceeded"])
def test_a_full_disk_is_called_by_its_name(words: str) -> None:
    error = failure("the backup was not made", f"pg_dump: error: could not write: {words}\n", "/backups")
    assert error.why.splitlines() == ["the disk of /backups is full", f"pg_dump: error: could not write: {words}"]
    assert error.fix


# --- restoring ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "replace_", "error", "words"),
    [
        ("", False, UsageError, "cannot be a database's name"),
        ("x" * 64, False, UsageError, "cannot be a database's name"),
        ("postgres", True, UsageError, "nothing is restored into `postgres`"),
        ("template1", True, UsageError, "nothing is restored into `template1`"),
        ("pgcohesion_restoring_x", False, UsageError, "nothing is restored into"),
        ("chanuka", False, Refused, "there is a database `chanuka` already"),
    ],
)
def test_targets_that_are_refused(target: str, replace_: bool, error: type[CohesionError], words: str) -> None:
    with pytest.raises(error) as raised:
        restoring.check("test", manifest(), SERVER, target, replace=replace_)
    assert words in raised.value.what


def test_targets_that_are_fine() -> None:
    restoring.check("test", manifest(), SERVER, "chanuka", replace=True)
    restoring.check("test", manifest(), SERVER, "new", replace=True)
    restoring.check("test", manifest(), SERVER, "-x \n'\"$", replace=False)
    restoring.check("test", replace(manifest(), server_version_num=150020), SERVER, "new", replace=False)


def test_a_newer_dump_is_refused() -> None:
    newer = replace(manifest(), server_version_num=190001, server_version="19.1")
    with pytest.raises(CohesionError) as raised:
        restoring.check("test", newer, SERVER, "new", replace=False)
    assert raised.value.what == "the backup is of PostgreSQL 19.1, the server is 18.6"


def test_missing_roles_are_named_before_anything_is_touched() -> None:
    source = replace(SOURCE, roles=("chanuka_app", "auditor"))
    with pytest.raises(CohesionError) as raised:
        restoring.check("test", replace(manifest(), source=source), SERVER, "new", replace=False)
    assert raised.value.what == "the server lacks 1 role of the backup"
    assert raised.value.why.startswith("auditor")
    assert "inv provision.apply --env=test" in raised.value.fix


def planned(target: str, *left: str) -> list[str]:
    server = replace(SERVER, databases={**SERVER.databases, **dict.fromkeys(left, True)})
    job = restoring.Job(manifest(), ROWS, target, "pgcohesion_restoring_20261122T130300Z", server, 2)
    return [f"{change.verb} {change.line().text}" for change in restoring.changes(job)]


def test_a_new_database_drops_nothing() -> None:
    assert planned("new") == ["create database new  (from 20261122T130300Z-chanuka: 9 B, 1 table, 120 rows)"]


def test_replacing_is_a_drop_so_that_the_guard_asks() -> None:
    aside = "pgcohesion_restoring_20261122T130300Z"
    assert planned("chanuka") == [
        f"create database {aside}  (from 20261122T130300Z-chanuka: 9 B, 1 table, 120 rows)",
        f"drop database chanuka  (with all its data; {aside} takes its place)",
    ]


def test_what_a_killed_restore_left_is_removed() -> None:
    assert planned("new", "pgcohesion_restoring_x", "pgcohesion_replaced_y")[:2] == [
        "drop database pgcohesion_replaced_y  (replaced before, by a restore that was killed)",
        "run remove database pgcohesion_restoring_x  (of a restore that was killed)",
    ]


# --- properties -----------------------------------------------------------------------------------------


def sql(*statements: object) -> list[str]:
    return [statement.as_string(None) for statement in statements]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("changes", "version", "words"),
    [
        ({}, 180006, "LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"),
        ({"provider": "c", "locale": None}, 150020, "LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER libc CONNECTION"),
        ({"provider": "", "locale": None}, 180006, "LC_CTYPE 'C' LOCALE_PROVIDER libc CONNECTION"),
        ({"provider": "", "locale": None}, 140020, "LC_CTYPE 'C' CONNECTION"),
        (
            {"provider": "i", "locale": "de", "icu_rules": "&a < b"},
            180006,
            "LOCALE_PROVIDER icu ICU_LOCALE 'de' ICU_RULES '&a < b'",
        ),
        ({"tablespace": "fast"}, 180006, "CONNECTION LIMIT  -1"),
    ],
)
def test_a_database_is_made_as_the_old_one_was(changes: dict[str, str | None], version: int, words: str) -> None:
    server = replace(SERVER, version_num=version)
    (text,) = sql(properties.create('od"d', replace(SOURCE, **changes), server))
    assert text.startswith('CREATE DATABASE "od""d" OWNER "chanuka_owner" TEMPLATE "template0" ENCODING \'UTF8\'')
    assert words in text
    assert "fast" not in text


def test_settings_keep_their_lists() -> None:
    source = replace(
        SOURCE,
        settings=(
            *SOURCE.settings,
            Setting("", "search_path", '""'),
            Setting("o'app", "chanuka.user_id", "it's"),
            Setting("", "work_mem", "8MB"),
        ),
    )
    assert sql(*properties.settings("db", source)) == [
        """ALTER DATABASE "db" SET "search_path" TO 'chanuka', 'odd "one"', 'public'""",
        """ALTER DATABASE "db" SET "search_path" TO ''""",
        """ALTER ROLE "o'app" IN DATABASE "db" SET "chanuka"."user_id" TO 'it''s'""",
        """ALTER DATABASE "db" SET "work_mem" TO '8MB'""",
    ]


def test_grants_are_those_of_the_old_one_and_no_others() -> None:
    assert sql(*properties.grants("db", replace(SOURCE, comment="it's"))) == [
        'REVOKE ALL ON DATABASE "db" FROM PUBLIC, "chanuka_owner"',
        'GRANT CONNECT ON DATABASE "db" TO "chanuka_app"',
        'GRANT TEMPORARY ON DATABASE "db" TO PUBLIC WITH GRANT OPTION',
        """COMMENT ON DATABASE "db" IS 'it''s'""",
    ]
