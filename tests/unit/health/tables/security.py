"""Settings, security, integrity, WAL and replication: (check, rows, grade, object).

Only decided here, never seeded: what needs a restart (checksums_off), counters of a day (requested_checkpoints), a
session from another host (cleartext_sessions), and what is only said as information (logging, restarted).
"""

from __future__ import annotations

from typing import Any

from pgcohesion.view import Grade

OK, INFO, WARN, FAIL, UNKNOWN = Grade.OK, Grade.INFO, Grade.WARN, Grade.FAIL, Grade.UNKNOWN
DAY = 86400.0
GIB = 1024.0**3
HBA = {
    "file": "/data/pg_hba.conf",
    "line": 3,
    "type": "host",
    "databases": "all",
    "users": "app",
    "address": "10.0.0.0",
    "mask": "255.0.0.0",
    "method": "trust",
    "options": "",
    "world": False,
    "listens": True,
}
WORLD = {**HBA, "address": "0.0.0.0", "mask": "0.0.0.0", "world": True, "method": "scram-sha-256"}
BROKEN_RULE = {"name": "", "file": "/d/pg_hba.conf", "line": 4, "error": "bad", "kept": False}
EXPIRY = {"name": "a b", "ident": '"a b"', "until": "2026-01-01 00:00:00+00", "later": "2026-04-01"}
STANDBY = {
    "name": "s",
    "address": "10.0.0.2",
    "namesakes": 1,
    "state": "streaming",
    "unsent": 0.0,
    "unflushed": 0.0,
}
SUBSCRIPTION = {"name": "s", "ident": "s", "home": "d", "enabled": True, "errors": 3, "running": True}
SLOT = {"name": "it's", "literal": "'it''s'", "active": False, "reason": None, "allowed": "1GB", "twice": 2048}
XMIN = {"name": "s", "literal": "'s'", "active": True, "logical": False, "rows_too": True}
CHECKPOINTS = {
    "requested": 60.0,
    "timed": 40.0,
    "written": 60.0 * GIB,
    "standby": False,
    "age": DAY,
    "seconds": DAY,
    "limit": "1GB",
    "bytes": GIB,
}
WAL = {"limit": GIB, "slot": None, "failing": False}
FUNCTION = {"name": "s.f(a integer)", "home": "s", "owner": "boss"}
GRANTED = {"name": "s.t", "kind": "TABLE", "rights": "SELECT", "writes": False, "by": ""}

RECEIVER = {
    "standby": True,
    "follows": True,
    "restores": False,
    "paused": False,
    "status": None,
    "waits": False,
    "age": 3600.0,
}
SUBSCRIBED = {
    **SUBSCRIPTION,
    "copied": 3,
    "missing": 0,
    "first": "t",
    "failed": 2,
    "errors": 0,
    "copying": False,
}
BACKLOG = {"mode": "on", "standby": False, "bytes": 3e8, "waits": 1.0}

TABLE: list[tuple[str, list[dict[str, Any]], Grade, str]] = [
    ("restarted", [{"age": 3600.0, "anew": 3599.0, "standby": False}], OK, ""),
    ("restarted", [{"age": 12.0, "anew": None, "standby": False}], INFO, ""),
    ("restarted", [{"age": 90.0, "anew": 20.0, "standby": False}], WARN, ""),  # killed, and recovered
    ("restarted", [{"age": 9000.0, "anew": 3601.0, "standby": False}], OK, ""),  # an hour ago
    ("config_errors", [], OK, ""),
    ("config_errors", [{**BROKEN_RULE, "name": "a.b", "file": "/d/postgresql.auto.conf"}], FAIL, "a.b"),
    ("config_errors", [{**BROKEN_RULE, "file": "/d/x.conf"}], FAIL, "/d/x.conf:4"),
    ("config_errors", [BROKEN_RULE], FAIL, "/d/pg_hba.conf:4"),
    ("config_errors", [{**BROKEN_RULE, "kept": True}], WARN, "/d/pg_hba.conf:4"),
    ("logging", [], OK, ""),
    ("logging", [{"name": "log_lock_waits"}, {"name": "log_min_duration_statement"}], INFO, ""),
    ("logging", [{"name": "log_lock_waits"}, {"name": "log_min_messages"}], WARN, "log_min_messages"),
    ("timeouts", [], OK, ""),
    ("timeouts", [{"name": "lock_timeout", "roles": ["app"]}], INFO, ""),
    ("shared_buffers", [{"buffers": 128.0 * 1024**2, "bytes": 9 * GIB}], OK, ""),
    ("shared_buffers", [{"buffers": GIB, "bytes": 90 * GIB}], OK, ""),
    ("shared_buffers", [{"buffers": 128.0 * 1024**2, "bytes": 10 * GIB}], INFO, ""),
    ("superuser_sessions", [], OK, ""),
    ("superuser_sessions", [{"name": "boss", "ident": "boss", "first": False, "sessions": 4}], OK, ""),
    ("superuser_sessions", [{"name": "boss", "ident": "boss", "first": False, "sessions": 5}], WARN, "boss"),
    ("superuser_sessions", [{"name": "postgres", "ident": "postgres", "first": True, "sessions": 9}], WARN, "postgres"),
    ("server_file_roles", [], OK, ""),
    (
        "server_file_roles",
        [{"name": "a b", "ident": '"a b"', "power": "pg_read_server_files", "by": "", "admin": ""}],
        WARN,
        "a b",
    ),
    ("md5_passwords", [], OK, ""),
    ("md5_passwords", [{"name": "old", "ident": "old"}], WARN, "old"),
    ("password_encryption", [{"method": "scram-sha-256"}], OK, ""),
    ("password_encryption", [{"method": "md5"}], WARN, ""),
    ("hba_rules", [], OK, ""),
    ("hba_rules", [HBA], FAIL, "host all app 10.0.0.0 255.0.0.0 trust"),
    ("hba_rules", [{**HBA, "listens": False}], WARN, "host all app 10.0.0.0 255.0.0.0 trust"),
    ("hba_rules", [{**HBA, "address": "127.0.0.1", "mask": ""}], WARN, "host all app 127.0.0.1 trust"),
    ("hba_rules", [{**HBA, "address": "127.0.0.0"}], WARN, "host all app 127.0.0.0 255.0.0.0 trust"),
    ("hba_rules", [{**WORLD, "address": "127.0.0.1", "method": "trust"}], FAIL, "host all app 127.0.0.1 0.0.0.0 trust"),
    ("hba_rules", [{**HBA, "method": "ident"}], WARN, "host all app 10.0.0.0 255.0.0.0 ident"),
    ("hba_rules", [{**HBA, "method": "ident", "address": "::1", "mask": "ffff::"}], OK, ""),
    ("hba_rules", [{**HBA, "type": "local", "address": "", "mask": ""}], WARN, "local all app trust"),
    ("hba_rules", [{**HBA, "method": "password"}], WARN, "host all app 10.0.0.0 255.0.0.0 password"),
    ("hba_rules", [{**HBA, "method": "password", "type": "hostssl"}], OK, ""),
    ("hba_rules", [WORLD], WARN, "host all app 0.0.0.0 0.0.0.0 scram-sha-256"),
    ("hba_rules", [{**WORLD, "type": "hostssl"}], OK, ""),
    ("hba_rules", [{**WORLD, "listens": False}], OK, ""),
    ("public_create", [], OK, ""),
    ("public_create", [{"name": "my s", "kind": "schema", "ident": '"my s"'}], WARN, "my s"),
    ("public_create", [{"name": "my d", "kind": "database", "ident": '"my d"'}], WARN, "my d"),
    ("public_grants", [], OK, ""),
    ("public_grants", [GRANTED], INFO, "s.t"),
    ("public_grants", [{**GRANTED, "rights": "DELETE, SELECT", "writes": True}], WARN, "s.t"),
    ("public_grants", [{**GRANTED, "kind": "COLUMNS", "rights": "UPDATE (a, b)", "writes": True}], WARN, "s.t"),
    ("public_grants", [{**GRANTED, "kind": "DEFAULT", "by": "ALTER DEFAULT PRIVILEGES FOR ROLE o"}], INFO, "s.t"),
    ("cleartext_sessions", [], OK, ""),
    ("cleartext_sessions", [{"name": "app", "sessions": 2, "address": "10.0.0.5", "able": False}], WARN, "app"),
    ("role_expiry", [], OK, ""),
    ("role_expiry", [{**EXPIRY, "left": 8 * DAY}], OK, ""),
    ("role_expiry", [{**EXPIRY, "left": 7 * DAY}], WARN, "a b"),
    ("role_expiry", [{**EXPIRY, "left": -1.0}], FAIL, "a b"),
    ("role_expiry", [{**EXPIRY, "left": -31 * DAY}], INFO, "a b"),
    ("definer_paths", [], OK, ""),
    ("definer_paths", [FUNCTION], WARN, "s.f(a integer)"),
    ("row_security_views", [], OK, ""),
    ("row_security_views", [{"name": "v", "owner": "o", "tables": "s.t"}], WARN, "v"),
    ("row_security", [], OK, ""),
    ("row_security", [{"name": "s.t", "enabled": False, "policies": 1}], WARN, "s.t"),
    ("row_security", [{"name": "s.t", "enabled": True, "policies": 0}], WARN, "s.t"),
    ("checksums_off", [{"checked": True, "folder": "/d"}], OK, ""),
    ("checksums_off", [{"checked": False, "folder": "/d"}], INFO, ""),
    ("database_collation", [], OK, ""),
    ("database_collation", [{"name": "a b", "ident": '"a b"', "then": "2.31", "now": "2.36"}], FAIL, "a b"),
    ("template_collations", [], OK, ""),
    ("template_collations", [{"name": "t 1", "ident": '"t 1"', "then": "2.31", "now": "2.36"}], WARN, "t 1"),
    ("collations", [], OK, ""),
    (
        "collations",
        [{"name": "s.c", "then": "1", "now": "2", "indexes": 1, "lines": "REINDEX INDEX CONCURRENTLY s.i;"}],
        FAIL,
        "s.c",
    ),
    ("extension_updates", [], OK, ""),
    ("extension_updates", [{"name": "x y", "ident": '"x y"', "installed": "1.0", "offered": None}], WARN, "x y"),
    ("extension_updates", [{"name": "x", "ident": "x", "installed": "1.3", "offered": "1.6"}], WARN, "x"),
    ("lost_slots", [], OK, ""),
    ("lost_slots", [{**SLOT, "status": "unreserved"}], WARN, "it's"),
    ("lost_slots", [{**SLOT, "status": "lost", "reason": "wal_removed"}], FAIL, "it's"),
    ("slot_xmin", [], OK, ""),
    ("slot_xmin", [{**XMIN, "age": 999_999.0}], OK, ""),
    ("slot_xmin", [{**XMIN, "age": 1e6}], WARN, "s"),
    ("slot_xmin", [{**XMIN, "age": 1e6, "active": False}], WARN, "s"),
    ("slot_xmin", [{**XMIN, "age": 1e7, "logical": True, "rows_too": False}], FAIL, "s"),
    ("archive_backlog", [{**BACKLOG, "mode": "off", "files": 900}], OK, ""),
    ("archive_backlog", [{**BACKLOG, "files": 19, "waits": 599.0}], OK, ""),
    ("archive_backlog", [{**BACKLOG, "files": 1, "waits": 600.0}], WARN, ""),
    ("archive_backlog", [{**BACKLOG, "files": 20}], WARN, ""),
    ("archive_backlog", [{**BACKLOG, "mode": "always", "standby": True, "files": 200, "waits": 600.0}], FAIL, ""),
    ("archive_backlog", [{**BACKLOG, "standby": True, "files": 200, "waits": 600.0}], OK, ""),
    ("wal_size", [{**WAL, "bytes": 1.9 * GIB}], OK, ""),
    ("wal_size", [{**WAL, "bytes": 2.0 * GIB}], WARN, ""),
    ("wal_size", [{**WAL, "bytes": 2.0 * GIB, "slot": "s"}], WARN, ""),
    ("wal_size", [{**WAL, "bytes": 5.0 * GIB, "failing": True}], FAIL, ""),
    ("requested_checkpoints", [CHECKPOINTS], WARN, ""),
    ("requested_checkpoints", [{**CHECKPOINTS, "requested": 40.0, "timed": 60.0}], OK, ""),
    ("requested_checkpoints", [{**CHECKPOINTS, "requested": 9.0, "timed": 0.0}], OK, ""),
    ("requested_checkpoints", [{**CHECKPOINTS, "written": 4.0 * GIB}], OK, ""),  # CHECKPOINT, CREATE DATABASE
    ("requested_checkpoints", [{**CHECKPOINTS, "seconds": 20 * DAY}], OK, ""),
    ("requested_checkpoints", [{**CHECKPOINTS, "standby": True}], OK, ""),
    ("requested_checkpoints", [{**CHECKPOINTS, "seconds": 60.0}], WARN, ""),
    ("requested_checkpoints", [{**CHECKPOINTS, "seconds": 60.0, "requested": 1.0}], UNKNOWN, ""),
    ("replication_lag", [], OK, ""),
    ("replication_lag", [{**STANDBY, "behind": 104857599.0}], OK, ""),
    ("replication_lag", [{**STANDBY, "behind": 104857600.0}], WARN, "s"),
    ("replication_lag", [{**STANDBY, "behind": GIB, "unsent": GIB, "unflushed": GIB}], FAIL, "s"),
    ("replication_lag", [{**STANDBY, "behind": GIB, "unflushed": GIB}], FAIL, "s"),
    ("replication_lag", [{**STANDBY, "behind": GIB, "namesakes": 2}], FAIL, "s at 10.0.0.2"),
    ("replication_lag", [{**STANDBY, "behind": GIB, "namesakes": 2, "address": None}], FAIL, "s"),
    ("replay_paused", [{"paused": False, "waiting": None}], OK, ""),
    ("replay_paused", [{"paused": True, "waiting": 0.0}], OK, ""),
    ("replay_paused", [{"paused": True, "waiting": 1.0}], WARN, ""),
    ("replay_paused", [{"paused": True, "waiting": None}], WARN, ""),
    ("replay_paused", [{"paused": True, "waiting": GIB}], FAIL, ""),
    ("wal_receiver", [{**RECEIVER, "standby": False}], OK, ""),
    ("wal_receiver", [{**RECEIVER, "status": "streaming"}], OK, ""),
    ("wal_receiver", [RECEIVER], FAIL, ""),
    ("wal_receiver", [{**RECEIVER, "paused": True, "age": 5.0}], FAIL, ""),
    ("wal_receiver", [{**RECEIVER, "age": 59.0}], Grade.INFO, ""),
    ("wal_receiver", [{**RECEIVER, "age": 5.0, "waits": True}], FAIL, ""),
    ("wal_receiver", [{**RECEIVER, "follows": False, "restores": True}], OK, ""),
    ("wal_receiver", [{**RECEIVER, "follows": False}], FAIL, "primary_conninfo"),
    ("subscribed_tables", [], OK, ""),
    ("subscribed_tables", [SUBSCRIBED], OK, ""),
    ("subscribed_tables", [{**SUBSCRIBED, "missing": 2, "copying": True}], OK, ""),
    ("subscribed_tables", [{**SUBSCRIBED, "missing": 2, "failed": 0}], OK, ""),
    ("subscribed_tables", [{**SUBSCRIBED, "missing": 2}], FAIL, "s"),
    ("subscribed_tables", [{**SUBSCRIBED, "enabled": False, "failed": 0}], WARN, "s"),
    ("subscribed_tables", [{**SUBSCRIBED, "enabled": False, "failed": 0, "copied": 0}], OK, ""),
    ("subscribed_tables", [{**SUBSCRIBED, "enabled": False}], OK, ""),
    ("subscriptions", [], OK, ""),
    ("subscriptions", [SUBSCRIPTION], OK, ""),
    ("subscriptions", [{**SUBSCRIPTION, "running": False, "errors": 0}], FAIL, "s"),
    ("subscriptions", [{**SUBSCRIPTION, "running": False, "enabled": False}], WARN, "s"),
    ("subscriptions", [{**SUBSCRIPTION, "running": False, "enabled": False, "errors": 0}], OK, ""),
]
