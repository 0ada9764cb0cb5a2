"""Whether those who should be told are told."""

from __future__ import annotations

from typing import Any

from ...view import Grade, count, span
from ..registry import Finding, Limits, probe


@probe("alerts", warn=3600, fail=86400)
def undelivered_alerts(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Routes of the alerts that do not deliver (limits in seconds that the oldest message waits).

    Who relies on being told is not. Nothing is lost: what waits is sent when the route works again.
    """
    found = []
    for row in rows:
        text = f"{count(row.count, 'message')} by {row.route} wait for {span(row.age)}: {row.error or 'not tried yet'}"
        fix = f"inv health.alert --test --route={row.route}"
        found.append(limits.finding(row.age, text, fix=fix, object=row.route))
    return [one for one in found if one.grade is not Grade.OK] or Finding(Grade.OK, "every message has arrived")
