"""Locks: (check, rows, grade, object)."""

from __future__ import annotations

from typing import Any

from pgcohesion.view import Grade

OK, INFO, WARN, FAIL = Grade.OK, Grade.INFO, Grade.WARN, Grade.FAIL
NOW = "2026-11-23T17:24:00.123456+00:00"
SESSION = {"started": NOW, "begun": NOW, "asked": NOW, "role": "ops", "application": "psql"}


def waits(pid: int, blocker: int, seconds: float, state: str = "idle in transaction", **more: Any) -> dict[str, Any]:
    about = {
        **SESSION,
        "state": state,
        "kind": "client backend",
        "strong": False,
        "patient": False,
        "gid": None,
        **more,
    }
    return {"pid": pid, "blocker": blocker, "waits": seconds, **about}


DDL = {**SESSION, "pid": 8, "name": 'public."o dd"', "behind": 3, "blockers": "7"}
TAKEN = {"slots": 1000, "setting": 64, "pid": 7}

TABLE: list[tuple[str, list[dict[str, Any]], Grade, str]] = [
    ("blocked_sessions", [], OK, ""),
    ("blocked_sessions", [waits(9, 7, 0.9)], OK, ""),
    ("blocked_sessions", [waits(9, 7, 4.9)], INFO, "7"),
    ("blocked_sessions", [waits(9, 7, 5)], WARN, "7"),
    ("blocked_sessions", [waits(9, 7, 31), waits(10, 7, 2)], WARN, "7"),
    ("blocked_sessions", [waits(9, 7, 300, "active")], FAIL, "7"),
    ("blocked_sessions", [waits(9, 0, 31, "", kind="")], WARN, "a prepared transaction"),
    ("blocked_sessions", [waits(9, 0, 31, "", gid="it's", quoted="'it''s'", owner="app", database="d")], WARN, "it's"),
    ("blocked_sessions", [waits(9, 7, 31, "", kind="autovacuum worker")], WARN, "7"),
    # 10 waits for 9, 9 for 7: only the root is named
    ("blocked_sessions", [waits(10, 9, 31, "active"), waits(9, 7, 40)], WARN, "7"),
    # the same where 9 is a DDL, and 10 would not have to wait for 7
    ("blocked_sessions", [waits(10, 9, 31, "active", strong=True), waits(9, 7, 40)], WARN, "7"),
    # 9 builds an index CONCURRENTLY: a note, until somebody waits for it
    ("blocked_sessions", [waits(9, 7, 3000, patient=True)], INFO, "7"),
    ("blocked_sessions", [waits(10, 9, 31, "active"), waits(9, 7, 3000, patient=True)], WARN, "7"),
    ("waiting_ddl", [], OK, ""),
    ("waiting_ddl", [{**DDL, "age": 0.9}], OK, ""),
    ("waiting_ddl", [{**DDL, "age": 4.9}], INFO, 'public."o dd"'),
    ("waiting_ddl", [{**DDL, "age": 5}], WARN, 'public."o dd"'),
    ("waiting_ddl", [{**DDL, "age": 60}], FAIL, 'public."o dd"'),
    ("lock_capacity", [{**TAKEN, "used": 499}], OK, ""),
    ("lock_capacity", [{**TAKEN, "used": 500}], WARN, ""),
    ("lock_capacity", [{**TAKEN, "used": 800}], FAIL, ""),
]
