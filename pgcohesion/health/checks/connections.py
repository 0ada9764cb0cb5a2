"""Who is connected."""

from __future__ import annotations

from typing import Any

from ..registry import Finding, Limits, check_of


@check_of(
    """SELECT count(*) AS used, current_setting('max_connections')::int AS slots
         FROM pg_stat_activity WHERE backend_type = 'client backend'""",
    warn=0.80,
    fail=0.95,
)
def connections(rows: list[Any], limits: Limits) -> Finding:
    """Connection slots: when they run out, nobody gets in."""
    (row,) = rows
    share = row.used / row.slots
    return limits.finding(
        share,
        f"{row.used} of {row.slots} slots are used ({share:.0%})",
        fix="SELECT usename, application_name, state, count(*) FROM pg_stat_activity GROUP BY 1, 2, 3 ORDER BY 4 DESC;",
    )
