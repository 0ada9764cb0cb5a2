"""Availability: (check, rows, grade, object)."""

from __future__ import annotations

from typing import Any

from pgcohesion.view import Grade

OK, WARN, FAIL = Grade.OK, Grade.WARN, Grade.FAIL
ROW = {
    "host": "db1",
    "kind": "",
    "words": "",
    "fix": "",
    "seconds": 0.01,
    "role": "primary",
    "standby": False,
    "read_only": False,
    "told": None,
    "barred": None,
}
DATABASE = {"name": "a b", "ident": '"a b"', "kind": "", "words": "", "fix": "", "declared": False, "env": "test"}
LOGIN = {"env": "test", "role": "app", "role_ident": "app", "database": "d b", "database_ident": '"d b"', "refused": ""}

TABLE: list[tuple[str, list[dict[str, Any]], Grade, str]] = [
    ("availability", [ROW], OK, "db1"),
    ("availability", [{**ROW, "seconds": 1.5}], WARN, "db1"),
    ("availability", [{**ROW, "seconds": 6}], FAIL, "db1"),
    ("availability", [{**ROW, "standby": True}], FAIL, "db1"),
    ("availability", [{**ROW, "role": "replica", "standby": True}], OK, "db1"),
    ("availability", [{**ROW, "role": "replica"}], FAIL, "db1"),  # promoted: two primaries
    ("availability", [{**ROW, "role": "", "standby": True, "read_only": True}], OK, "db1"),
    ("availability", [{**ROW, "role": "", "read_only": True}], FAIL, "db1"),
    ("availability", [{**ROW, "read_only": True}], FAIL, "db1"),
    ("availability", [{**ROW, "told": ("ALL", "")}], FAIL, "db1"),
    ("availability", [{**ROW, "told": ("app", '"d b"')}], FAIL, "db1"),
    ("availability", [{**ROW, "told": ("app", "d"), "role": "replica", "standby": True}], OK, "db1"),
    ("availability", [{**ROW, "barred": ("app", "it may not log in", "LOGIN", "NOLOGIN")}], FAIL, "db1"),
    ("availability", [{**ROW, "kind": "refused", "words": "nobody listens", "fix": "start it"}], FAIL, "db1"),
    ("application_login", [LOGIN], OK, "app"),
    ("application_login", [{**LOGIN, "refused": 'password authentication failed for user "app"'}], FAIL, "app"),
    ("application_login", [{**LOGIN, "refused": "not today"}], FAIL, "app"),
    ("databases", [DATABASE], OK, ""),
    ("databases", [{**DATABASE, "kind": "missing"}], FAIL, "a b"),
    ("databases", [{**DATABASE, "kind": "closed"}], FAIL, "a b"),
    ("databases", [{**DATABASE, "kind": "denied"}], Grade.SKIPPED, "a b"),
    ("databases", [{**DATABASE, "kind": "unasked"}], Grade.UNKNOWN, "a b"),
    ("databases", [{**DATABASE, "kind": "refused"}], WARN, "a b"),
    ("databases", [{**DATABASE, "kind": "refused", "declared": True}], FAIL, "a b"),
]
