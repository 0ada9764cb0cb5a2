"""What a run says of the runs before it: when something will be used up."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from ..view import Grade, span
from .forecast import days_until
from .history import DAY, History
from .registry import Check, Finding

LOOKED_BACK = 30 * DAY
SOON = 3.0  # days: what is used up sooner is a warning, however much is left


def forecasts(checks: Iterable[Check], findings: Iterable[Finding], history: History, now: float) -> list[Finding]:
    """Return *findings* with the days until what they measure is used up, where that can be told."""
    full = {check.id: check.full for check in checks if check.full is not None}
    return [_told(one, full[one.check], history, now) if one.check in full else one for one in findings]


def _told(finding: Finding, full: float, history: History, now: float) -> Finding:
    if finding.value is None or finding.value >= full:  # used up
        return finding
    past = history.series(
        finding.check, object=finding.object, database=finding.database, host=finding.host, since=now - LOOKED_BACK
    )
    days = days_until([*past, (now, finding.value)], full)
    if days is None:
        return finding
    soon = days <= SOON and finding.grade is Grade.OK
    said = soon or finding.grade in (Grade.WARN, Grade.FAIL)
    text = f"{finding.text}; used up in {span(days * DAY)} at the rate of late" if said else finding.text
    fix = finding.fix or f"inv health.explain {finding.check}"
    return replace(finding, forecast=days, text=text, **({"grade": Grade.WARN, "fix": fix} if soon else {}))
