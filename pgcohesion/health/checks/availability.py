"""Whether a server can be asked at all, and is what it should be."""

from __future__ import annotations

from typing import Any

from ...connections.availability import gist
from ...view import Grade
from ..altering import alter_system
from ..registry import Finding, Limits, probe


@probe("", warn=1, fail=5)
def availability(rows: list[Any], limits: Limits) -> Finding:
    """Whether the server answers, in what time (limits in seconds), and takes writes where it should.

    While it does not, whatever uses it stands still. How it fails calls for other work each time: refused,
    connect_timeout, query_timeout, authentication, not_accepting, slots_exhausted, lost, read_only.
    """
    (row,) = rows
    if row.kind:
        return Finding(Grade.FAIL, f"{row.kind}: {gist(row.words)}", row.fix, row.host, kind=row.kind)
    if row.role == "primary" and row.standby:
        fix = "-- if it should be the primary, and the old one is surely gone:\nSELECT pg_promote();"
        return Finding(
            Grade.FAIL, "read-only: it should be the primary and is a standby", fix, row.host, kind="read_only"
        )
    if row.role == "primary" and row.read_only:
        fix = alter_system("default_transaction_read_only = off")
        text = "read-only: default_transaction_read_only is on, writes fail"
        return Finding(Grade.FAIL, text, fix, row.host, kind="read_only")
    text = f"a session and its first answer took {row.seconds * 1000:.0f} ms"
    fix = "SELECT * FROM pg_stat_activity;  -- and look at the host's load and the way to it"
    return limits.finding(row.seconds, text, fix=fix, object=row.host)
