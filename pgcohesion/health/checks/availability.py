"""Whether a server can be asked at all, and is what it should be."""

from __future__ import annotations

import re
from typing import Any

from ...view import Grade
from ..registry import Finding, Limits, probe
from .server import setting


@probe("", warn=1, fail=5)
def availability(rows: list[Any], limits: Limits) -> Finding:
    """Whether the server answers, in what time (limits in seconds), and takes writes where it should.

    While it does not, whatever uses it stands still. How it fails calls for other work each time: refused,
    connect_timeout, query_timeout, authentication, not_accepting, slots_exhausted, lost, read_only,
    locked_out.
    """
    (row,) = rows
    if row.kind:
        words = re.sub(r"\n\s+", " ", row.words.strip()).splitlines()  # libpq goes on after a tab
        last = words[-1] if words else "it does not answer"
        return Finding(Grade.FAIL, f"{row.kind}: {last}", row.fix, row.host, kind=row.kind)
    if row.role == "primary" and row.standby:
        fix = "-- if it should be the primary, and the old one is surely gone:\nSELECT pg_promote();"
        return Finding(
            Grade.FAIL, "read-only: it should be the primary and is a standby", fix, row.host, kind="read_only"
        )
    if row.role != "replica" and (row.read_only or row.told) and not row.standby:
        whose, fix, undo = setting("default_transaction_read_only", "off", "on", *(row.told or ("", "")))
        if row.told:
            fix = f"SET default_transaction_read_only = off;  -- of the session that mends it\n{fix}"
        text = f"read-only: default_transaction_read_only is on{whose}, writes fail"
        return Finding(Grade.FAIL, text, fix, row.host, kind="read_only", undo=undo)
    if row.barred:
        role, why, mended, before = row.barred
        text = f"locked_out: the application's role {role} gets no session, {why}"
        fix, undo = (f"ALTER ROLE {role} {options};" for options in (mended, before))
        return Finding(Grade.FAIL, text, fix, row.host, kind="locked_out", undo=undo)
    text = f"a session and its first answer took {row.seconds * 1000:.0f} ms"
    fix = "SELECT * FROM pg_stat_activity;  -- and look at the host's load and the way to it"
    return limits.finding(row.seconds, text, fix=fix, object=row.host)
