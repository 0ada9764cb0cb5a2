"""Nagios, Icinga, Checkmk: one line with performance data, then a line a finding.

The Monitoring Plugins' guidelines: https://www.monitoring-plugins.org/doc/guidelines.html
"""

from __future__ import annotations

from ...errors import NAGIOS
from ...view import Grade
from ..changes import SEVERITY
from ..registry import Finding
from ..report import Report, said

WORDS = {Grade.OK: "OK", Grade.WARN: "WARNING", Grade.FAIL: "CRITICAL", Grade.UNKNOWN: "UNKNOWN"}


def text(report: Report) -> str:
    """Return the plugin's output: ``|`` stands before numbers only."""
    bad = [one for one in report.results if one.grade in (Grade.WARN, Grade.FAIL)]
    bad.sort(key=lambda one: SEVERITY.index(one.grade), reverse=True)
    first = f"PGCOHESION {WORDS[_grade(report)]} - {report.env}: {_clean(report.verdict)}"
    numbers = " ".join(_number(one) for one in report.results if one.value is not None)
    lines = [f"[{WORDS[one.grade]}] {one.check}: {_clean(said(one))}" for one in bad]
    return "\n".join([f"{first} | {numbers}" if numbers else first, *lines])


def status(report: Report) -> int:
    """Return 0, 1, 2 or 3, as the guidelines say."""
    return NAGIOS[WORDS[_grade(report)]]


def _grade(report: Report) -> Grade:
    judged = any(one.grade not in (Grade.UNKNOWN, Grade.SKIPPED) for one in report.results)
    return report.grade if judged else Grade.UNKNOWN


def _number(finding: Finding) -> str:
    words = (finding.check, finding.host, finding.database, finding.object)
    label = " ".join(filter(None, words)).replace("=", "_").replace("'", "''")
    place = ";;" if finding.grade is Grade.FAIL else ";"  # value;warn;crit
    limit = "" if finding.threshold is None else f"{place}{finding.threshold:.12g}"
    return f"'{_clean(label)}'={finding.value:.12g}{limit}"


def _clean(words: str) -> str:
    return " ".join(words.replace("|", "/").split())
