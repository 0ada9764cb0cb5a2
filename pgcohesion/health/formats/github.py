"""GitHub Actions: a workflow command a finding, shown as an annotation.

https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

from ...view import Grade
from ..report import Report

COMMANDS = {Grade.FAIL: "error", Grade.WARN: "warning", Grade.INFO: "notice"}


def text(report: Report) -> str:
    """Return a command for each finding, and the verdict."""
    lines = [
        f"::{COMMANDS[one.grade]} title={_property(one.check)}::{_data(f'{one.text}\n{one.fix}'.rstrip())}"
        for one in report.results
        if one.grade in COMMANDS
    ]
    return "\n".join([*lines, f"{report.env}: {report.verdict}"])


def _data(words: str) -> str:
    return words.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(words: str) -> str:
    return _data(words).replace(":", "%3A").replace(",", "%2C")
