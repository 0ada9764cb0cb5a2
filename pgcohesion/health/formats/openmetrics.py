"""A report as OpenMetrics, or in the older text format of Prometheus.

Cardinality is bounded: a series a check, host and database, and at most MOST findings with their objects; an object
that is only a number (a pid) is no label, for each new one would be a new series for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from ...redact import redact
from ...view import Grade

if TYPE_CHECKING:
    from ..registry import Finding
    from ..report import Report

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
MOST = 100
LONGEST = 200
"""Characters of a label's value."""
RANKS = {Grade.SKIPPED: -2, Grade.UNKNOWN: -1, Grade.OK: 0, Grade.INFO: 1, Grade.WARN: 2, Grade.FAIL: 3}
_GRADES = ", ".join(f"{rank} {grade}" for grade, rank in RANKS.items())

Labels = tuple[tuple[str, str], ...]


class Family(Struct, frozen=True):
    """A metric and its samples; a counter's samples end in ``_total``."""

    name: str
    help: str
    samples: tuple[tuple[Labels, float], ...]
    type: Literal["gauge", "counter"] = "gauge"

    def lines(self, openmetrics: bool) -> Iterator[str]:
        """Yield the lines of the metric."""
        total = "_total" if self.type == "counter" else ""
        name = self.name if openmetrics else self.name + total
        yield f"# TYPE {name} {self.type}"
        yield f"# HELP {name} {_escaped(self.help) if openmetrics else self.help}"
        for labels, value in self.samples:
            inside = ",".join(f'{key}="{_escaped(_label(text))}"' for key, text in labels)
            yield (
                f"{self.name}{total}{{{inside}}} {_number(value)}" if inside else f"{self.name}{total} {_number(value)}"
            )


def text(report: Report) -> str:
    """Return *report* as one OpenMetrics document."""
    return written(families(report))


def written(families: Iterable[Family], *, openmetrics: bool = True) -> str:
    """Return the document of *families*; without *openmetrics* in Prometheus's older format."""
    lines = [line for family in families if family.samples for line in family.lines(openmetrics)]
    return "\n".join([*lines, *(["# EOF"] if openmetrics else [])]) + "\n"


def families(report: Report) -> Iterator[Family]:
    """Yield the metrics of *report*."""
    env: Labels = (("env", report.env),)
    counted = ((grade, sum(finding.grade is grade for finding in report.results)) for grade in RANKS)
    yield Family("pgcohesion_health_grade", f"The worst grade of all checks: {_GRADES}.", ((env, RANKS[report.grade]),))
    yield from _of_hosts(report, env)
    yield Family(
        "pgcohesion_findings",
        "What the checks found, by grade.",
        tuple(((*env, ("grade", str(grade))), number) for grade, number in counted),
    )
    yield from _of_checks(report, env)
    yield from _of_findings(report, env)
    yield Family("pgcohesion_run_seconds", "How long the checks took.", ((env, report.seconds),))
    yield Family("pgcohesion_run_timestamp_seconds", "When they ran.", ((env, report.at),))


def _of_hosts(report: Report, env: Labels) -> Iterator[Family]:
    down = {host: one.kind for host, one in report.down.items()}
    hosts = sorted({finding.host for finding in report.results} | {""})
    up = tuple(((*env, ("host", host)), float(host not in down)) for host in hosts)
    why = tuple(((*env, ("host", host), ("kind", kind)), 1.0) for host, kind in sorted(down.items()))
    yield Family("pgcohesion_up", "Whether a host's server let itself be asked; the primary has no name here.", up)
    yield Family("pgcohesion_down", "Of what kind its trouble is.", why)


def _of_checks(report: Report, env: Labels) -> Iterator[Family]:
    worst: dict[Labels, Finding] = {}
    for finding in report.results:
        labels = (*env, ("check", finding.check), ("host", finding.host), ("database", finding.database))
        if labels not in worst or _badness(finding) > _badness(worst[labels]):
            worst[labels] = finding
    ranks = tuple((labels, float(RANKS[finding.grade])) for labels, finding in worst.items())
    values = tuple((labels, finding.value) for labels, finding in worst.items() if finding.value is not None)
    limits = tuple((labels, finding.threshold) for labels, finding in worst.items() if finding.threshold is not None)
    yield Family("pgcohesion_check_grade", f"The worst grade of a check: {_GRADES}.", ranks)
    yield Family("pgcohesion_check_value", "What it measured there; its unit is in `inv health.explain CHECK`.", values)
    yield Family("pgcohesion_check_threshold", "The limit that this value has passed.", limits)


def _of_findings(report: Report, env: Labels) -> Iterator[Family]:
    found: dict[Labels, Finding] = {}
    for finding in sorted(report.results, key=_badness, reverse=True):
        if finding.grade in (Grade.WARN, Grade.FAIL):
            name = "" if finding.object.isdigit() else finding.object
            where = (("host", finding.host), ("database", finding.database), ("object", _label(name)))
            found.setdefault((*env, ("check", finding.check), *where), finding)
    shown = list(found.items())[:MOST]
    days = tuple((labels, finding.forecast) for labels, finding in shown if finding.forecast is not None)
    yield Family(
        "pgcohesion_finding_grade",
        f"A finding at warn or fail, by object; the worst {MOST}.",
        tuple((labels, float(RANKS[finding.grade])) for labels, finding in shown),
    )
    yield Family("pgcohesion_finding_full_in_days", "When it is full, at the present rate.", days)
    left = float(len(found) - len(shown))
    yield Family("pgcohesion_findings_left_out", f"Findings over the first {MOST}.", ((env, left),))


def _badness(finding: Finding) -> tuple[int, float]:
    """Order findings; of no two equal ones the order may change from run to run."""
    return RANKS[finding.grade], finding.value if finding.value is not None else float("-inf")


def _label(value: str) -> str:
    value = "".join(one if one.isprintable() or one == "\n" else "\ufffd" for one in redact(value))
    return value if len(value) <= LONGEST else value[: LONGEST - 3] + "..."


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    text = repr(float(value))
    return {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}.get(text, text)
