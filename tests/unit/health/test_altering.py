"""What a fix changes in the server's settings can be brought back as ALTER SYSTEM had it."""

from __future__ import annotations

import pytest

from pgcohesion.health.altering import alter_system, undoable
from pgcohesion.health.registry import Finding
from pgcohesion.view import Grade

WRITTEN = {"work_mem": "'8192'", "shared_buffers": None}
RESET = "ALTER SYSTEM RESET wal_level;"


def undo(fix: str, written: dict[str, str | None] | None = WRITTEN, own: str = "") -> str:
    return undoable(Finding(Grade.WARN, "x", fix, undo=own), written).undo


@pytest.mark.parametrize(
    ("fix", "back"),
    [
        ("ALTER SYSTEM SET wal_level = 'logical';  -- and restart", RESET),
        (alter_system("work_mem = '4MB'"), "ALTER SYSTEM SET work_mem = '8192';\nSELECT pg_reload_conf();"),
        (
            "-- first\n" + alter_system("wal_level = x", "work_mem = 1"),
            f"{RESET}\nALTER SYSTEM SET work_mem = '8192';\nSELECT pg_reload_conf();",
        ),
        ("ALTER SYSTEM SET shared_buffers = '1GB';", ""),
        ("-- or ALTER SYSTEM SET work_mem = 1;", ""),
        ("VACUUM t;", ""),
        (alter_system("TimeZone = 'UTC'"), "ALTER SYSTEM RESET TimeZone;\nSELECT pg_reload_conf();"),
    ],
    ids=["a default", "a value", "several", "one that waits for a restart", "a remark", "no setting", "capitals"],
)
def test_the_undo_has_what_stood_there(fix: str, back: str) -> None:
    assert undo(fix) == back


def test_an_undo_of_its_own_comes_first() -> None:
    assert undo("ALTER SYSTEM SET wal_level = x;", own="DROP TABLE t;") == f"DROP TABLE t;\n{RESET}"


def test_a_server_that_did_not_say_gives_no_undo() -> None:
    assert undo("ALTER SYSTEM SET wal_level = x;", None) == ""
