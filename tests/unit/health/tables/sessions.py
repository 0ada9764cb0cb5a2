"""Sessions: (check, rows, grade, object)."""

from __future__ import annotations

from typing import Any

from pgcohesion.view import Grade

OK, WARN, FAIL, INFO = Grade.OK, Grade.WARN, Grade.FAIL, Grade.INFO
NOW = "2026-11-23T17:24:00.123456+00:00"
SESSION = {"pid": 7, "started": NOW, "begun": NOW, "asked": NOW, "role": "app", "application": "web"}
HOLDS = {**SESSION, "relations": 2, "strongest": 3, "advisory": 0, "behind": -1}
NOTHING = {**SESSION, "relations": 0, "strongest": 0, "advisory": 0, "behind": -1}
IDLE = {
    "role": "o'dd",
    "application": "",
    "role_text": "'o''dd'",
    "application_text": "''",
    "slots": 100,
}
HOLDER = {**SESSION, "database": "d", "state": "active", "kind": "session", "name": "7", "quoted": "''"}
PREPARED = {"name": "it's", "quoted": "'it''s'", "role": "app", "database": "d\n; DROP", "relations": 1}
COMMITS = {"name": "nobody", "quoted": "'nobody'", "wanted": 1, "standbys": 0}

TABLE: list[tuple[str, list[dict[str, Any]], Grade, str]] = [
    ("idle_in_transaction", [], OK, ""),
    ("idle_in_transaction", [{**HOLDS, "age": 9}], OK, ""),
    ("idle_in_transaction", [{**HOLDS, "age": 299}], INFO, "7"),
    ("idle_in_transaction", [{**HOLDS, "age": 300}], WARN, "7"),
    ("idle_in_transaction", [{**HOLDS, "age": 5000}], FAIL, "7"),
    ("idle_in_transaction", [{**NOTHING, "behind": 0, "age": 5000}], FAIL, "7"),
    ("idle_in_transaction", [{**NOTHING, "advisory": 1, "age": 5000}], FAIL, "7"),
    ("idle_in_transaction", [{**NOTHING, "age": 5000}], WARN, "7"),
    ("aborted_transactions", [], OK, ""),
    ("aborted_transactions", [{**SESSION, "age": 9}], OK, ""),
    ("aborted_transactions", [{**SESSION, "age": 299}], INFO, "7"),
    ("aborted_transactions", [{**SESSION, "age": 90000}], WARN, "7"),
    ("long_queries", [{**SESSION, "age": 299}], OK, ""),
    ("long_queries", [{**SESSION, "age": 899}], INFO, "7"),
    ("long_queries", [{**SESSION, "age": 900}], WARN, "7"),
    ("long_queries", [{**SESSION, "age": 4 * 3600}], FAIL, "7"),
    ("long_transactions", [{**SESSION, "builds": False, "age": 60}], OK, ""),
    ("long_transactions", [{**SESSION, "builds": False, "age": 7200}], WARN, "7"),
    ("long_transactions", [{**SESSION, "builds": False, "age": 6 * 3600}], FAIL, "7"),
    ("long_transactions", [{**SESSION, "builds": True, "age": 7200}], WARN, "7"),
    ("notification_queue", [{**SESSION, "pid": 0, "share": 0.0, "age": None}], OK, ""),
    ("notification_queue", [{**SESSION, "share": 0.02, "age": 9}], INFO, ""),
    ("notification_queue", [{**SESSION, "share": 0.05, "age": 9}], WARN, ""),
    ("notification_queue", [{**SESSION, "pid": 0, "share": 0.5, "age": None}], FAIL, ""),
    ("idle_sessions", [], OK, ""),
    ("idle_sessions", [{**IDLE, "age": 3599}] * 90, OK, ""),
    ("idle_sessions", [{**IDLE, "age": 3600}] * 9, INFO, "o'dd (no name)"),
    ("idle_sessions", [{**IDLE, "age": 3600}] * 10, WARN, "o'dd (no name)"),
    ("idle_sessions", [{**IDLE, "age": 3600}] * 9 + [{**IDLE, "age": 1}] * 50, INFO, "o'dd (no name)"),
    ("xmin_horizon", [], OK, ""),
    ("xmin_horizon", [{**HOLDER, "age": 99_999}], OK, ""),
    ("xmin_horizon", [{**HOLDER, "age": 9_999_999}], INFO, "7"),
    ("xmin_horizon", [{**HOLDER, "age": 10_000_000}], WARN, "7"),
    ("xmin_horizon", [{**HOLDER, "age": 100_000_000}], FAIL, "7"),
    ("xmin_horizon", [{**HOLDER, "age": 2e7}, {**HOLDER, "age": 5, "name": "8"}], WARN, "7"),
    *(
        ("xmin_horizon", [{**HOLDER, "age": 2e7, "kind": kind, "name": "it's", "quoted": "'it''s'"}], WARN, "it's")
        for kind in ("standby", "process", "prepared", "slot", "read slot")
    ),
    # Where max_prepared_transactions is 0, as by default, none can be seeded without a restart.
    ("prepared_transactions", [], OK, ""),
    ("prepared_transactions", [{**PREPARED, "age": 9}], OK, ""),
    ("prepared_transactions", [{**PREPARED, "age": 299}], INFO, "it's"),
    ("prepared_transactions", [{**PREPARED, "age": 300}], WARN, "it's"),
    ("prepared_transactions", [{**PREPARED, "age": 3600}], FAIL, "it's"),
    ("standby_waits", [{**COMMITS, "waiting": 0, "age": 0.0, "wanted": 0}], OK, ""),
    ("standby_waits", [{**COMMITS, "waiting": 0, "age": 0.0, "wanted": 2, "standbys": 2}], OK, ""),
    ("standby_waits", [{**COMMITS, "waiting": 0, "age": 0.0, "wanted": 2, "standbys": 1}], WARN, "nobody"),
    ("standby_waits", [{**COMMITS, "waiting": 3, "age": 0.9, "standbys": 1}], OK, "nobody"),
    ("standby_waits", [{**COMMITS, "waiting": 3, "age": 9.9, "standbys": 1}], INFO, "nobody"),
    ("standby_waits", [{**COMMITS, "waiting": 1, "age": 0.9}], WARN, "nobody"),
    ("standby_waits", [{**COMMITS, "waiting": 3, "age": 10}], WARN, "nobody"),
    ("standby_waits", [{**COMMITS, "waiting": 3, "age": 60}], FAIL, "nobody"),
]
