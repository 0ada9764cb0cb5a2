"""Findings that an environment starts with: known, and no news until they get worse."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ..errors import ConfigError
from ..plan import Change, Plan, WriteFile
from ..view import Grade, count
from .changes import SEVERITY
from .registry import Finding

if TYPE_CHECKING:
    from ..context import Context

WORTH = (Grade.WARN, Grade.FAIL)


def path(ctx: Context) -> Path:
    """Return the file of an environment's baseline, to be committed beside its TOML file."""
    return ctx.root / "environments" / f"{ctx.env}.baseline.json"


def read(ctx: Context) -> tuple[str, dict[str, Grade]]:
    """Return the day of the baseline and its fingerprints with their grades; none where there is no file.

    Raises ConfigError for a file that is none.
    """
    file = path(ctx)
    try:
        document = json.loads(file.read_bytes())
        return document["at"][:10], {one["fingerprint"]: Grade(one["grade"]) for one in document["findings"]}
    except FileNotFoundError:
        return "", {}
    except (ValueError, KeyError, TypeError) as error:
        name = file.relative_to(ctx.root)
        raise ConfigError(
            f"`{name}` is no baseline", why=str(error), fix=f"inv health.baseline --env={ctx.env}"
        ) from error


def known(findings: Iterable[Finding], day: str, grades: Mapping[str, Grade]) -> Iterator[Finding]:
    """Yield *findings*; one that the baseline has, no worse than there, is only info."""
    for finding in findings:
        was = grades.get(finding.fingerprint)
        if was is None or not _worth(finding):
            yield finding
        elif SEVERITY.index(finding.grade) > SEVERITY.index(was):
            yield replace(finding, text=f"{finding.text} (worse than in the baseline of {day})")
        else:
            yield replace(finding, grade=Grade.INFO, text=f"{finding.text} (in the baseline of {day})", fix="", undo="")


def plan(ctx: Context, findings: Iterable[Finding]) -> Plan:
    """Return the change that makes *findings* the baseline; none when it says so already."""
    worth = sorted(filter(_worth, findings), key=lambda one: (one.check, one.object))
    _, before = read(ctx)
    if before == {one.fingerprint: one.grade for one in worth}:
        return Plan(ctx.env)
    document: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "findings": [
            {
                "fingerprint": one.fingerprint,
                "check": one.check,
                "database": one.database,
                "object": one.object,
                "grade": str(one.grade),
            }
            for one in worth
        ],
    }
    name = str(path(ctx).relative_to(ctx.root))
    content = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    action = WriteFile(str(path(ctx)), content.encode(), 0o644)
    verb = "alter" if path(ctx).exists() else "create"
    return Plan(ctx.env, (Change(verb, name, action, count(len(worth), "finding")),))


def _worth(finding: Finding) -> bool:
    """Say whether a baseline may have a finding: a server that is gone today is news tomorrow, too."""
    return finding.grade in WORTH and not (finding.check == "availability" and finding.kind)
