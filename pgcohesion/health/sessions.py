"""Sessions in findings: who they are, and the lines that free what they hold, of that very session and no other."""

from __future__ import annotations

from typing import Any

from ..view import Grade
from .registry import Finding

SEES_ALL = "pg_has_role('pg_read_all_stats', 'USAGE')"
NEEDS = "pg_read_all_stats, to see the sessions of others: GRANT pg_read_all_stats TO <role>;"
SHOWN = 20


def ending(row: Any, only: str = "") -> str:
    """Return the line that ends a session, if it is still in the transaction that was seen (or in none, as then)."""
    same = f"xact_start = '{row.begun}'" if row.begun else "xact_start IS NULL"
    return _signal("pg_terminate_backend", row, f"{same}{only and ' AND '}{only}")


def cancelling(row: Any) -> str:
    """Return the line that cancels a query, if it is still the one that was seen."""
    return _signal("pg_cancel_backend", row, f"query_start = '{row.asked}' AND state = 'active'")


def _signal(function: str, row: Any, same: str) -> str:
    return (
        f"SELECT {function}(pid) FROM pg_stat_activity\n"  # noqa: S608  (numbers and times of the server's own)
        f" WHERE pid = {row.pid} AND backend_start = '{row.started}' AND {same}\n"
        "   AND backend_type = 'client backend' AND pid <> pg_backend_pid();"
    )


def remark(text: str) -> str:
    """Return a name as it may stand in a comment of SQL: a line break in it would end the comment."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def shown(found: list[Finding], fix: str) -> list[Finding]:
    """Return the first of *found*; *fix* lists the others, which are only counted."""
    if len(found) <= SHOWN:
        return found
    worst = Grade.FAIL if any(one.grade is Grade.FAIL for one in found[SHOWN:]) else found[SHOWN].grade
    return [*found[:SHOWN], Finding(worst, f"and {len(found) - SHOWN} more", fix)]


def who(row: Any) -> str:
    """Return what a person calls a session."""
    return f"process {row.pid} of {row.role} ({row.application or 'no name'})"


def rolling_back(quoted: str, database: str) -> str:
    """Return the lines that roll back a prepared transaction; it is done by its owner or a superuser."""
    return (
        f"-- in database {remark(database)}, when its transaction manager no longer knows it:\n"
        f"ROLLBACK PREPARED {quoted};"
    )
