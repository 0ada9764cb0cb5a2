"""JUnit's XML: a test case a check, as CI systems read it."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from ...view import Grade
from ..registry import Finding, load
from ..report import Report, said


def text(report: Report) -> str:
    """Return the document: a warning is a failure only where the report's ``fail_on`` says so."""
    areas = {check.id: check.area for check in load()}
    failing = {Grade.FAIL, Grade.WARN} if report.fail_on == "warn" else {Grade.FAIL}
    by_check = report.by_check
    suite = ET.Element(
        "testsuite",
        name=f"health of {_clean(report.env)}",
        time=f"{report.seconds:.3f}",
        tests=str(len(by_check)),
        failures=str(sum(grade in failing for grade in by_check.values())),
        errors="0",
        skipped=str(sum(grade in (Grade.UNKNOWN, Grade.SKIPPED) for grade in by_check.values())),
    )
    for check, grade in sorted(by_check.items()):
        case = ET.SubElement(suite, "testcase", name=check, classname=f"health.{areas.get(check, 'server')}")
        found = [one for one in report.results if one.check == check and one.grade is grade]
        body = "\n\n".join(map(_words, found))
        if grade in failing:
            ET.SubElement(case, "failure", message=_clean(said(found[0])), type=str(grade)).text = _clean(body)
        elif grade in (Grade.UNKNOWN, Grade.SKIPPED):
            ET.SubElement(case, "skipped", message=_clean(said(found[0])))
        elif grade is not Grade.OK:
            ET.SubElement(case, "system-out").text = _clean(body)
    ET.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suite, encoding="unicode")


def _words(finding: Finding) -> str:
    return f"{said(finding)}\nfix:\n{finding.fix}" if finding.fix else said(finding)


def _clean(words: str) -> str:
    """Return *words* without what XML 1.0 cannot hold."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in words)
