"""Migration files: what is refused before anything is tried."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from pgcohesion.errors import ConfigError
from pgcohesion.migrate.decide import migration_changes, seed_changes
from pgcohesion.migrate.files import File, migrations, seeds, transaction_words
from pgcohesion.migrate.ledger import Entry, Ledger
from pgcohesion.migrate.standing import rows

pytestmark = pytest.mark.unit
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("BEGIN;", [(1, "BEGIN")]),
        ("select 1;\n  commit ;", [(2, "commit")]),
        ("START  TRANSACTION;", [(1, "START  TRANSACTION")]),
        ("select 1; rollback", [(1, "rollback")]),
        ("savepoint a; rollback to savepoint a; rollback to a; release a;", []),
        ("-- begin;\n/* commit; */ select 'commit;', \"commit;\", $$commit;$$, $x$ ; commit; $x$;", []),
        ("select 'it''s; commit';", []),
        ("create function f() returns int language plpgsql as $$ begin return 1; end $$;", []),
        (
            "create function f() returns int language sql begin atomic select case when true then 1 end; end;",
            [],
        ),
        ("create function f() returns int language sql begin atomic select 1; end; commit;", [(1, "commit")]),
        ("do $$ begin null; end $$;", []),
        ('select begin_date, "end" from t; create table commits (commit text);', []),
        ("end;", [(1, "end")]),
        ("select E'a\\'; commit; --';", []),
    ],
)
def test_statements_that_end_the_transaction(text: str, found: list[tuple[int, str]]) -> None:
    assert list(transaction_words(text)) == found


def folder(tmp_path: Path, **files: str) -> Path:
    path = tmp_path / "migrations"
    path.mkdir(exist_ok=True)
    for name, text in files.items():
        (path / f"{name.removeprefix('f')}.sql").write_text(text)
    return path


def test_files_are_ordered_by_number(tmp_path: Path) -> None:
    found = migrations(folder(tmp_path, f0010_b="", f0002_a="", f10000_c=""))
    assert [file.name for file in found] == ["0002_a.sql", "0010_b.sql", "10000_c.sql"]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"f0001_a": "", "f00001_b": ""}, "two migrations have the number"),
        ({"f1_a": ""}, "no usable name"),
        ({"f0001_A": ""}, "no usable name"),
        ({"f0001_a": "select 1;\ncommit;"}, "controls its own transaction"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, files: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        migrations(folder(tmp_path, **files))


def test_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    (folder(tmp_path) / "0001_a.sql").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        migrations(tmp_path / "migrations")


def test_line_ends_do_not_matter() -> None:
    assert File("0001", "a", "a", "x\r\ny").checksum == File("0001", "a", "a", "x\ny").checksum


A, B = (
    File("0001", "0001_a.sql", "m/0001_a.sql", "-- Make a.\nselect 1"),
    File("0002", "0002_b.sql", "m/0002_b.sql", ""),
)


def ledger(*files: File) -> Ledger:
    return Ledger({file.name: Entry(file.checksum, NOW) for file in files})


def test_pending_files_become_changes_in_order() -> None:
    assert [change.what for change in migration_changes([A, B], Ledger())] == [
        "migration 0001_a.sql",
        "migration 0002_b.sql",
    ]
    assert [change.what for change in migration_changes([A, B], ledger(A))] == ["migration 0002_b.sql"]
    assert next(migration_changes([A], Ledger())).detail == "Make a."


@pytest.mark.parametrize(
    ("found", "applied", "words"),
    [
        ([File("0001", A.name, A.path, "select 2")], ledger(A), "was edited after it was applied"),
        ([B], ledger(A), "has gone"),
        ([A, B], ledger(B), "comes too late"),
    ],
)
def test_a_ledger_that_the_files_contradict(found: list[File], applied: Ledger, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        list(migration_changes(found, applied))


def test_status_names_each_state() -> None:
    edited = File("0001", A.name, A.path, "other")
    gone = File("0003", "0003_c.sql", "m/0003_c.sql", "")
    assert [(row.name, row.state) for row in rows([edited, B], ledger(A, gone))] == [
        ("0001_a.sql", "edited"),
        ("0002_b.sql", "pending"),
        ("0003_c.sql", "gone"),
    ]


def test_seeds_run_again_only_when_their_text_changes(tmp_path: Path) -> None:
    (tmp_path / "seeds" / "s").mkdir(parents=True)
    path = tmp_path / "seeds" / "s" / "0001_a.sql"
    path.write_text("select 1")
    (file,) = seeds(tmp_path / "seeds", ["s"])
    assert [change.what for change in seed_changes([file], Ledger())] == ["seed seeds/s/0001_a.sql"]
    applied = Ledger({}, {file.path: Entry(file.checksum, NOW)})
    assert list(seed_changes([file], applied)) == []
    path.write_text("select 2")
    assert [change.detail for change in seed_changes(seeds(tmp_path / "seeds", ["s"]), applied)] == [
        "its text has changed"
    ]
    with pytest.raises(ConfigError, match="no seed set"):
        seeds(tmp_path / "seeds", ["t"])
