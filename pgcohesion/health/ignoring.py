"""Findings that somebody has decided to live with, for a reason and until a day."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date

from msgspec.structs import replace

from ..config.model import Ignore
from ..view import Grade
from .registry import Finding


def ignoring(findings: Iterable[Finding], rules: Sequence[Ignore], today: date) -> Iterator[Finding]:
    """Yield *findings*; one that a rule names is only info, with the reason, until the rule's last day has passed."""
    for finding in findings:
        rule = next((rule for rule in rules if _meant(rule, finding)), None)
        if rule is None or finding.grade not in (Grade.WARN, Grade.FAIL):
            yield finding
        elif rule.until and date.fromisoformat(rule.until) < today:
            yield replace(finding, text=f"{finding.text} (it was ignored until {rule.until}: {rule.reason})")
        else:
            until = f" until {rule.until}" if rule.until else ""
            yield replace(
                finding, grade=Grade.INFO, text=f"{finding.text} (ignored{until}: {rule.reason})", fix="", undo=""
            )


def _meant(rule: Ignore, finding: Finding) -> bool:
    return rule.check == finding.check and rule.object in ("", finding.object)
