"""What a scraper gets, read by Prometheus's own parser."""

from __future__ import annotations

import random
import string
from math import inf, nan

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from pgcohesion.health.formats.openmetrics import MOST, Family, families, text, written
from pgcohesion.health.registry import Finding
from pgcohesion.health.report import Report
from pgcohesion.redact import remember
from pgcohesion.view import Grade

pytestmark = pytest.mark.unit

HOSTILE = 'a"b\\c\nd,e="f"} 1 # EOF\n\r\t<script>\x00é😀'


def report(*findings: Finding) -> Report:
    return Report(findings, 0.25, "test", 1_800_000_000.5)


def parsed(made: Report) -> dict[str, Metric]:
    return {metric.name: metric for metric in openmetrics(text(made))}  # type: ignore[no-untyped-call]


def values(metric: Metric, *labels: str) -> dict[tuple[str, ...], float]:
    return {tuple(sample.labels[name] for name in labels): sample.value for sample in metric.samples}


def test_a_report_in_numbers() -> None:
    found = parsed(
        report(
            Finding(Grade.OK, "3 of 97 slots", value=0.03, check="connections"),
            Finding(Grade.WARN, "grows", "mend", "a", 0.8, "sequences", threshold=0.75, database="x", forecast=9.5),
            Finding(Grade.FAIL, "grows", "mend", "b", 0.96, "sequences", threshold=0.95, database="x"),
            Finding(Grade.SKIPPED, "needs superuser", check="hba_rules"),
            Finding(Grade.UNKNOWN, "too young", check="work"),
        )
    )
    assert values(found["pgcohesion_health_grade"], "env") == {("test",): 3}
    assert values(found["pgcohesion_up"], "host") == {("",): 1}
    assert values(found["pgcohesion_check_grade"], "check", "database") == {
        ("connections", ""): 0,
        ("sequences", "x"): 3,
        ("hba_rules", ""): -2,
        ("work", ""): -1,
    }
    assert values(found["pgcohesion_check_value"], "check") == {("connections",): 0.03, ("sequences",): 0.96}
    assert values(found["pgcohesion_check_threshold"], "check") == {("sequences",): 0.95}
    assert values(found["pgcohesion_finding_grade"], "object") == {("b",): 3, ("a",): 2}
    assert values(found["pgcohesion_finding_full_in_days"], "object") == {("a",): 9.5}
    assert values(found["pgcohesion_findings"], "grade")[("warn",)] == 1
    assert values(found["pgcohesion_run_timestamp_seconds"]) == {(): 1_800_000_000.5}


def test_a_host_that_is_down_does_not_hide_the_others() -> None:
    down = Finding(Grade.FAIL, "query_timeout: hangs", check="availability", host="db2", kind="query_timeout")
    late = Finding(Grade.FAIL, "took 6 s", check="availability", host="db3", value=6.0)
    standby = Finding(Grade.FAIL, "read-only", check="availability", host="db4", kind="read_only")
    found = parsed(report(Finding(Grade.OK, "fine", check="availability"), down, late, standby))
    assert values(found["pgcohesion_up"], "host") == {("",): 1, ("db2",): 0, ("db3",): 1, ("db4",): 1}
    assert values(found["pgcohesion_down"], "host", "kind") == {("db2", "query_timeout"): 1}


@pytest.mark.parametrize("parse", [openmetrics, prometheus])
def test_any_name_of_a_database_arrives_and_stays_on_its_line(parse: object) -> None:
    some = random.Random(4)
    alphabet = string.printable + HOSTILE + "\x85\u2028"
    names = [HOSTILE, "\\", '"', "\\n", *("".join(some.choices(alphabet, k=20)) for _ in range(80))]
    made = report(*(Finding(Grade.WARN, name, "", name, 1.0, "superusers") for name in names))
    document = written(families(made), openmetrics=parse is openmetrics)
    assert len(document.splitlines()) == document.count("\n")
    metrics = {metric.name: metric for metric in parse(document)}  # type: ignore[operator]
    seen = {("".join(one if one.isprintable() or one == "\n" else "\ufffd" for one in name),) for name in names}
    assert set(values(metrics["pgcohesion_finding_grade"], "object")) == seen


def test_no_number_breaks_it() -> None:
    found = [nan, inf, -inf, 0.0, -0.0, 1e300, 5e-324, 2**60, 12.5]
    made = report(*(Finding(Grade.OK, "", value=value, check=f"c{n}") for n, value in enumerate(found)))
    read = values(parsed(made)["pgcohesion_check_value"], "check")
    assert repr(list(read.values())) == repr([float(value) for value in found])


def test_sessions_do_not_make_new_series_for_ever_and_findings_are_bounded() -> None:
    sessions = [
        Finding(Grade.WARN, "idle", "", str(pid), float(pid), "idle_in_transaction") for pid in range(1000, 1200)
    ]
    tables = [Finding(Grade.WARN, "dead", "", f"t{n}" * 200, float(n), "dead_rows") for n in range(500)]
    found = parsed(report(*sessions, *tables))
    marked = values(found["pgcohesion_finding_grade"], "check", "object")
    assert len(marked) == MOST
    assert all(len(name) <= 200 for _, name in marked)
    assert values(found["pgcohesion_findings_left_out"]) == {(): 501 - MOST}
    assert values(found["pgcohesion_check_value"], "check") == {("idle_in_transaction",): 1199, ("dead_rows",): 499}
    assert [name for check, name in marked if check == "idle_in_transaction"] in ([], [""])


def test_secrets_are_masked() -> None:
    remember("open-sesame-77")
    assert "sesame" not in text(report(Finding(Grade.WARN, "", "", "user open-sesame-77", 1.0, "superusers")))


@pytest.mark.parametrize("parse", [openmetrics, prometheus])
def test_a_counter_has_its_name_in_both_formats(parse: object) -> None:
    family = Family("pgcohesion_probes", "Runs.", (((("profile", "quick"),), 3.0),), "counter")
    (metric,) = parse(written([family], openmetrics=parse is openmetrics))  # type: ignore[operator]
    assert (metric.name, metric.type, metric.samples[0].name) == (
        "pgcohesion_probes",
        "counter",
        "pgcohesion_probes_total",
    )


def test_nothing_found_is_a_document_too() -> None:
    assert "pgcohesion_up" in parsed(report())
