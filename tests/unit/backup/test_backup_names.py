"""IDs and names: safe as folders, sorted by time, unlike each other."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pgcohesion.backup import names

AT = datetime(2026, 11, 22, 13, 3, 0, 999_999, tzinfo=UTC)


@pytest.mark.parametrize(
    ("database", "expected"),
    [
        ("chanuka", "20261122T130300Z-chanuka"),
        ("two words", "20261122T130300Z-two_words"),
        ("../../etc", "20261122T130300Z-etc"),
        ("-rf", "20261122T130300Z-rf"),
        ("$(id)`\"'", "20261122T130300Z-id"),
        ("line\nbreak", "20261122T130300Z-line_break"),
        ("böse", "20261122T130300Z-b_se"),
        ("名", "20261122T130300Z-database"),
        ("a.partial", "20261122T130300Z-a_partial"),
        ("x" * 63, "20261122T130300Z-" + "x" * 40),
    ],
)
def test_an_id_is_a_safe_folder_name(database: str, expected: str) -> None:
    made = names.new_id(AT, database, ())
    assert made == expected
    assert names.ID.fullmatch(made)


def test_two_in_a_second_differ_and_sort() -> None:
    first = names.new_id(AT, "chanuka", ())
    second = names.new_id(AT, "chanuka", {first})
    third = names.new_id(AT, "chanuka", {first, second})
    assert (second, third) == (f"{first}-2", f"{first}-3")
    assert sorted((third, first, second)) == [first, second, third]


def test_an_unfinished_backup_has_its_id_taken() -> None:
    first = names.new_id(AT, "chanuka", ())
    assert names.new_id(AT, "chanuka", names.ids([names.partial(first, "test")])) == f"{first}-2"


def test_only_unfinished_backups_of_this_environment_are_stale() -> None:
    mine, other = names.partial("20261122T130300Z-a", "test"), names.partial("20261122T130300Z-b", "staging")
    foreign = ["20261122T130300Z-a", "my.test.partial", "x.partial", "20261122T130300Z-a.test.partial.old"]
    assert names.stale([mine, other, *foreign], "test") == [mine]


@pytest.mark.parametrize("database", ["chanuka", "x" * 63, "ü" * 31, "名" * 21])
def test_the_restored_name_fits(database: str) -> None:
    name = names.restored(database, "20261122T130300Z-x-2")
    assert name.endswith("_restored_20261122T130300Z")
    assert len(name.encode()) <= names.NAME_BYTES
    assert name[: -len("_restored_20261122T130300Z")] in database


@pytest.mark.parametrize(
    ("database", "expected"),
    [
        ("chanuka", "dbname='chanuka'"),
        ("host=evil", "dbname='host=evil'"),
        ("postgresql://evil", "dbname='postgresql://evil'"),
        ("it's a \\", "dbname='it\\'s a \\\\'"),
    ],
)
def test_a_connection_string_says_the_database_only(database: str, expected: str) -> None:
    assert names.conninfo(database) == expected


def test_what_moves_a_cursor_is_escaped() -> None:
    assert names.printable("a\n\x1b[31mé名") == "a\\n\\x1b[31mé名"
