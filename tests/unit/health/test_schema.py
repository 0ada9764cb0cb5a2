"""The published schema is that of the code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from pgcohesion.health.changes import between
from pgcohesion.health.registry import Finding
from pgcohesion.health.report import Report
from pgcohesion.health.schema import schema
from pgcohesion.output import Output
from pgcohesion.view import Grade

pytestmark = pytest.mark.unit
PUBLISHED = json.loads((Path(__file__).parents[3] / "docs" / "health-report.schema.json").read_text())


def document(report: Report, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    Output(json=True).answer("test", "health.check", report)
    printed: dict[str, object] = json.loads(capsys.readouterr().out)
    return printed


def test_the_published_schema_is_what_the_code_says() -> None:
    Draft202012Validator.check_schema(PUBLISHED)
    assert schema() == PUBLISHED, "run: python tools/schema.py"


def test_reports_are_as_the_schema_says(capsys: pytest.CaptureFixture[str]) -> None:
    bad = Finding(Grade.FAIL, "x", "mend", "o", 2.0, check="c", undo="back", threshold=1.0, forecast=3.5)
    down = Finding(Grade.FAIL, "refused: x", "start", "h", check="availability", kind="refused")
    validator = Draft202012Validator(PUBLISHED)
    for results in ((), (bad,), (bad, down)):
        changes = between(1.0, [], results)
        printed = document(Report(results, 0.1, "test", 2.0, changes), capsys)
        assert list(validator.iter_errors(printed)) == []
        assert printed["ok"] is (not results)
    assert printed["error"] == {"code": "unreachable", "what": "refused: x", "why": "refused", "fix": "start"}
    assert list(validator.iter_errors({**printed, "more": 1}))
