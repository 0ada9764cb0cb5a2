"""Each check's decision as a table: rows -> grade, object, fix. No server is asked."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import SimpleNamespace as Row
from typing import Any

import pytest

from pgcohesion.health.registry import Check, Finding, Limits, findings, load
from pgcohesion.health.report import Report
from pgcohesion.health.sources.migrations import Migration
from pgcohesion.view import Grade

pytestmark = pytest.mark.unit
CHECKS = {check.id: check for check in load()}
OK, WARN, FAIL = Grade.OK, Grade.WARN, Grade.FAIL
TABLE = [
    case
    for path in sorted((Path(__file__).parent / "tables").glob("*.py"))
    for case in import_module(f"tests.unit.health.tables.{path.stem}").TABLE
]


def judge(check: Check, rows: list[dict[str, Any]]) -> list[Finding]:
    return list(findings(check, [Row(**row) for row in rows], Limits(check.warn, check.fail)))


@pytest.mark.parametrize(("name", "rows", "grade", "about"), TABLE)
def test_decisions(name: str, rows: list[dict[str, Any]], grade: Grade, about: str) -> None:
    (finding,) = judge(CHECKS[name], rows)
    assert (finding.grade, finding.object, finding.check) == (grade, about, name)
    assert finding.fix or grade not in (WARN, FAIL)


def test_every_check_is_decided_here_and_has_a_title() -> None:
    assert {name for name, *_ in TABLE} == set(CHECKS)
    assert all(check.title != check.id for check in CHECKS.values())


ROLES = {"name": "zero_damaged_pages", "good": "off", "role": '"o dd"', "database": '"d"'}
LOGICAL = {
    "name": "s",
    "quoted": "'s'",
    "kind": "logical",
    "plugin": "o'dd",
    "database": "a\n b",
    "age": 5.0,
    "kept": 2e9,
    "two_phase": False,
    "failover": False,
}


AUTO = {"name": "t", "pid": 7, "phase": "scanning heap", "done": 0.5, "age": 86400.0, "auto": True}
BUSY = {"busy": 3, "workers": 3, "age": 86400.0, "longest": "autovacuum: VACUUM t"}


@pytest.mark.parametrize(
    ("name", "row", "fix"),
    [
        ("busy_vacuum_workers", {**BUSY, "cost_limit": 200, "paced": True}, "cost_limit = 2000;"),
        ("busy_vacuum_workers", {**BUSY, "cost_limit": 3000, "paced": True}, "cost_limit = 6000;"),
        ("busy_vacuum_workers", {**BUSY, "cost_limit": 10_000, "paced": True}, "wait_event"),
        ("busy_vacuum_workers", {**BUSY, "cost_limit": 200, "paced": False}, "wait_event"),
        ("long_vacuums", {**AUTO, "passes": 2, "memory": 64 << 20}, "autovacuum_work_mem = '262144kB';"),
        (
            "long_vacuums",
            {**AUTO, "passes": 2, "memory": 1 << 30, "paced": True, "cost_limit": 1},
            "cost_limit = 2000;",
        ),
        ("long_vacuums", {**AUTO, "passes": 0, "memory": 1, "paced": False, "cost_limit": 1}, "wait_event"),
        ("long_vacuums", {**AUTO, "auto": False, "passes": 2, "memory": 1}, "pid = 7;"),
    ],
)
def test_a_fix_makes_vacuum_faster_than_it_is(name: str, row: dict[str, Any], fix: str) -> None:
    assert fix in judge(CHECKS[name], [row])[0].fix


def test_troubles_of_several_parts_of_a_table_are_told_apart() -> None:
    """Else who ignores one of them ignores all."""
    rows = [case[1][0] for case in TABLE if case[0] == "public_grants" and case[1]]
    found = judge(CHECKS["public_grants"], [rows[0], *rows[2:]])
    assert len({finding.fingerprint for finding in found}) == len(found) == 3


def test_fixes_quote_names() -> None:
    assert 'ROLE "o dd" IN DATABASE "d"' in judge(CHECKS["durability"], [ROLES])[0].fix
    assert "'o''dd');  -- in a? b" in judge(CHECKS["inactive_slots"], [LOGICAL])[0].undo
    assert "'o''dd', false, false, true);" in judge(CHECKS["inactive_slots"], [{**LOGICAL, "failover": True}])[0].undo


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("0001_a late one.sql", "0003_a_late_one.sql"),
        ("Notes.sql", "0003_notes.sql"),
        ("0002_words.sql", "0003_words.sql"),
        ("7.sql", "0003_7.sql"),
    ],
)
def test_a_migration_gets_a_name_that_can_be_applied(name: str, target: str) -> None:
    applied = Migration(name="0002_words.sql", number=2, path="m/0002_words.sql", applied_age=1.0)
    late = Migration(name=name, number=None, path=f"m/{name}")
    rows = [{"env": "x", "database": "d", "all": (applied, late), "running": (), "readable": True}]
    assert judge(CHECKS["migration_order"], rows)[0].fix.endswith(f"m/{target}")


def test_a_list_that_alter_system_would_write_differently_is_taken_back() -> None:
    row = {"name": "shared_preload_libraries", "running": ""}
    assert (
        "ALTER SYSTEM RESET shared_preload_libraries;"
        in judge(CHECKS["pending_restart"], [{**row, "quoted": None}])[0].fix
    )
    assert "= 'a', 'b';" in judge(CHECKS["pending_restart"], [{**row, "quoted": "'a', 'b'"}])[0].fix


def test_what_keeps_wal_is_said_only_where_it_is_too_much() -> None:
    row = {"limit": 1e9, "slot": "s", "failing": False}
    (fine,), (full,) = (judge(CHECKS["wal_size"], [{**row, "bytes": size}]) for size in (1e8, 3e9))
    assert (fine.grade, "keeps it" in fine.text) == (OK, False)
    assert (full.grade, "slot s keeps it" in full.text) == (WARN, True)


def test_an_environment_changes_one_limit_and_keeps_the_other() -> None:
    changed = Limits.of(CHECKS["connections"], Row(warn=0.5, fail=None))
    assert (changed.warn, changed.fail) == (0.5, 0.95)


@pytest.mark.parametrize(
    ("grades", "verdict"),
    [
        ([OK, OK], "healthy: 2 checks: 2 ok (0.8 s)"),
        ([OK, WARN], "warn: 2 checks: 1 ok, 1 warn (0.8 s)"),
        ([OK, WARN, FAIL], "fail: 3 checks: 1 ok, 1 warn, 1 fail (0.8 s)"),
        ([OK, Grade.SKIPPED, Grade.UNKNOWN], "healthy: 3 checks: 1 ok, 1 skipped, 1 unknown (0.8 s)"),
    ],
)
def test_the_verdict_counts_checks(grades: list[Grade], verdict: str) -> None:
    report = Report(tuple(Finding(grade, "x", check=str(n)) for n, grade in enumerate(grades)), 0.8, "staging")
    assert report.verdict == verdict
    assert report.failed == (FAIL in grades)


def test_the_worst_finding_stands_last() -> None:
    report = Report(
        (Finding(FAIL, "f", check="a"), Finding(WARN, "w", "mend it", check="b"), Finding(OK, "o", check="c")), 1, "e"
    )
    assert [line.grade for line in report.findings()] == [WARN, FAIL]
    assert next(report.findings()).details[0] == "fix:  mend it"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("server closed the connection\n\tThis probably means that it went\n\tbefore the request.", "server closed"),
        ("at 10.0.0.1 failed: refused\nat 10.0.0.2 failed: timed out\n\tIs it running there?\n", "at 10.0.0.1"),
        (" \n", "it does not answer"),
    ],
)  # fmt: skip
def test_what_libpq_says_is_shown_without_its_guesses(words: str, text: str) -> None:
    facts = {"host": "db1", "kind": "lost", "words": words, "fix": "look"}
    (finding,) = judge(CHECKS["availability"], [facts])
    assert finding.text.startswith(f"lost: {text}")
    assert "\t" not in finding.text


@pytest.mark.parametrize("name", ["idle_in_transaction", "prepared_transactions", "xmin_horizon", "role_connections",
                                  "database_connections", "waiting_ddl"])  # fmt: skip
def test_an_object_within_its_own_limits_is_ok_beyond_those_of_all(name: str) -> None:
    check = CHECKS[name]
    rows = next([Row(**row) for row in rows] for case, rows, grade, _ in TABLE if case == name and grade is FAIL)
    (bad,) = findings(check, rows, Limits(check.warn, check.fail))
    limits = Limits(check.warn, check.fail, {bad.object: Limits(1e12, 1e12)})
    assert [(one.grade, one.object) for one in findings(check, rows, limits)] in (
        [(OK, "")],
        [(Grade.INFO, bad.object)],
    )
