"""Each check's decision as a table: rows -> grade, object, fix. No server is asked."""

from __future__ import annotations

from types import SimpleNamespace as Row
from typing import Any

import pytest

from pgcohesion.health.registry import Check, Finding, Limits, findings, load
from pgcohesion.health.report import Report
from pgcohesion.view import Grade

pytestmark = pytest.mark.unit
CHECKS = {check.id: check for check in load()}
OK, WARN, FAIL = Grade.OK, Grade.WARN, Grade.FAIL
SESSION = {"pid": 7, "role": "app", "application": ""}
WAITING = {
    "pid": 9,
    "role": "app",
    "blocker": 7,
    "blocker_role": "ops",
    "blocker_state": "idle in transaction",
    "root": True,
}

TABLE: list[tuple[str, list[dict[str, Any]], Grade, str]] = [
    ("connections", [{"used": 1, "slots": 100}], OK, ""),
    ("connections", [{"used": 80, "slots": 100}], WARN, ""),
    ("connections", [{"used": 97, "slots": 100}], FAIL, ""),
    ("idle_in_transaction", [], OK, ""),
    ("idle_in_transaction", [{**SESSION, "age": 299}], OK, ""),
    ("idle_in_transaction", [{**SESSION, "age": 300}], WARN, "7"),
    ("idle_in_transaction", [{**SESSION, "age": 5000}], FAIL, "7"),
    ("long_transactions", [{**SESSION, "age": 60}], OK, ""),
    ("long_transactions", [{**SESSION, "age": 7200}], WARN, "7"),
    ("blocked_sessions", [], OK, ""),
    ("blocked_sessions", [{**WAITING, "waits": 5}], OK, "7"),
    ("blocked_sessions", [{**WAITING, "waits": 31}, {**WAITING, "pid": 10, "waits": 2}], WARN, "7"),
    ("blocked_sessions", [{**WAITING, "waits": 31, "root": False}], OK, ""),
    ("inactive_slots", [{"name": "s", "kept": 10.0}], OK, ""),
    ("inactive_slots", [{"name": "it's", "kept": 2.0 * 1024**3}], WARN, "it's"),
    ("inactive_slots", [{"name": "s", "kept": 11.0 * 1024**3}], FAIL, "s"),
    ("archiver", [{"mode": "off", "failures": 3, "failing": True, "file": None}], OK, ""),
    ("archiver", [{"mode": "on", "failures": 3, "failing": False, "file": "x"}], OK, ""),
    ("archiver", [{"mode": "on", "failures": 3, "failing": True, "file": "0001"}], FAIL, "0001"),
    ("wraparound", [{"name": "d", "xid": 0.1, "mxid": 0.0}], OK, "d"),
    ("wraparound", [{"name": "d", "xid": 0.1, "mxid": 0.3}], WARN, "d"),
    ("wraparound", [{"name": "d", "xid": 0.8, "mxid": 0.3}], FAIL, "d"),
    ("pending_restart", [], OK, ""),
    ("pending_restart", [{"name": "max_connections"}], WARN, "max_connections"),
    ("durability", [], OK, ""),
    ("durability", [{"name": "fsync"}], FAIL, "fsync"),
    ("checksum_failures", [], OK, ""),
    ("checksum_failures", [{"name": "chanuka", "failures": 2}], FAIL, "chanuka"),
    ("superusers", [], OK, ""),
    ("superusers", [{"name": 'o"dd'}], WARN, 'o"dd'),
    ("invalid_indexes", [], OK, ""),
    ("invalid_indexes", [{"name": "i"}], WARN, "i"),
    ("unindexed_foreign_keys", [{"name": "t", "constraint": "c", "bytes": 9.0, "columns": "a"}], OK, ""),
    ("unindexed_foreign_keys", [{"name": "t", "constraint": "c", "bytes": 2e7, "columns": "a"}], WARN, "t"),
    ("sequences", [], OK, ""),
    ("sequences", [{"name": "s", "owner": "t", "column": "id", "used": 0.5}], OK, ""),
    ("sequences", [{"name": "s", "owner": "t", "column": "id", "used": 0.8}], WARN, "s"),
    ("sequences", [{"name": "s", "owner": "t", "column": "id", "used": 0.96}], FAIL, "s"),
    ("dead_rows", [{"name": "t", "dead": 60000, "live": 600000, "share": 0.1}], OK, ""),
    ("dead_rows", [{"name": "t", "dead": 60000, "live": 60000, "share": 0.5}], WARN, "t"),
    ("never_analyzed", [], OK, ""),
    ("never_analyzed", [{"name": "t", "rows": 200000}], WARN, "t"),
]


def judge(check: Check, rows: list[dict[str, Any]]) -> list[Finding]:
    return list(findings(check, [Row(**row) for row in rows], Limits(check.warn, check.fail)))


@pytest.mark.parametrize(("name", "rows", "grade", "about"), TABLE)
def test_decisions(name: str, rows: list[dict[str, Any]], grade: Grade, about: str) -> None:
    (finding,) = judge(CHECKS[name], rows)
    assert (finding.grade, finding.object, finding.check) == (grade, about, name)
    assert bool(finding.fix) == (grade is not OK)


def test_every_check_is_decided_here_and_has_a_title() -> None:
    assert {name for name, *_ in TABLE} == set(CHECKS)
    assert all(check.title != check.id for check in CHECKS.values())


def test_fixes_quote_names() -> None:
    assert judge(CHECKS["superusers"], [{"name": 'o"dd'}])[0].fix == 'ALTER ROLE "o""dd" NOSUPERUSER;'
    assert (
        "pg_drop_replication_slot('it''s')" in judge(CHECKS["inactive_slots"], [{"name": "it's", "kept": 2e9}])[0].fix
    )


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
    assert next(report.findings()).details == ("fix: mend it",)
