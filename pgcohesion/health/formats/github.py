"""GitHub Actions: a workflow command a finding, shown as an annotation.

https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

from ...view import Grade
from ..registry import Finding
from ..report import Report, said

COMMANDS = {Grade.FAIL: "error", Grade.WARN: "warning", Grade.INFO: "notice"}


def text(report: Report) -> str:
    """Return a command for each finding, and the verdict."""
    lines = [_command(one) for one in report.results if one.grade in COMMANDS]
    return "\n".join([*lines, f"{report.env}: {report.verdict}"])


def _command(finding: Finding) -> str:
    message = _data("\n".join(filter(None, (said(finding), finding.fix))))
    return f"::{COMMANDS[finding.grade]} title={_property(finding.check)}::{message}"


def _data(words: str) -> str:
    return words.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(words: str) -> str:
    return _data(words).replace(":", "%3A").replace(",", "%2C")
