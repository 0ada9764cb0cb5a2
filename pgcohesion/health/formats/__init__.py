"""A report as other programs read it: Nagios, OpenMetrics, JUnit, GitHub's annotations."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from ...errors import UsageError, suggestion
from ...view import Answer, Line, View
from ..report import Report

FORMATS = ("text", "nagios", "openmetrics", "junit", "github")


class Formatted(Answer, frozen=True):
    """A report, written as *text*; *status* is the exit code where the format has codes of its own."""

    report: Report
    text: str
    status: int | None = None

    @property
    def failed(self) -> bool:
        """What the report says."""
        return self.report.failed

    @property
    def code(self) -> int | None:
        """The format's own exit code, or the report's."""
        return self.report.code if self.status is None else self.status

    def as_dict(self) -> dict[str, Any]:
        """Return the report."""
        return self.report.as_dict()

    def view(self) -> View:
        """Return the text as it is."""
        return View(tuple(Line(line) for line in self.text.rstrip("\n").split("\n")))


def named(name: str) -> Callable[[Report], Answer]:
    """Return what makes an answer of a report. Raises UsageError for an unknown format."""
    if name not in FORMATS:
        raise UsageError(f"no format `{name}`", fix=suggestion(name, FORMATS))
    if name == "text":
        return lambda report: report
    module = import_module(f"{__name__}.{name}")
    status: Callable[[Report], int] | None = getattr(module, "status", None)
    return lambda report: Formatted(report, module.text(report), status(report) if status else None)
