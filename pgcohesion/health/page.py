"""One run as one HTML page that needs nothing else: no network, no other file; scripts only help to copy."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from ..errors import CohesionError
from ..view import Answer, Grade, Line, View, count, moment, span
from . import charts
from .changes import SEVERITY, Changes, compare
from .curves import Curve, curves
from .facts import Facts, read
from .forecast import DAY
from .history import kept
from .registry import Check, Finding, Limits
from .report import Report, said
from .units import shown, unit_of

if TYPE_CHECKING:
    from ..context import Context

FOLDER = Path(__file__).parent / "pages"
SIGNS = {"fail": "✕", "warn": "!", "unknown": "?", "skipped": "-", "info": "i", "ok": "✓"}
BAD = (Grade.WARN, Grade.FAIL)
HOUR = 3600.0
SHOWN_BACK = 7 * DAY
MOST_CHARTS = 12
FIRST = ("connections", "wraparound", "disk_space", "long_transactions", "replication_lag", "wal_size", "availability")
"""Checks whose curves people look for."""
BOX = {
    "width": charts.WIDTH,
    "height": charts.HEIGHT,
    "left": charts.LEFT,
    "right": charts.WIDTH - charts.RIGHT,
    "bottom": charts.HEIGHT - charts.BOTTOM,
}


class Material(Struct, frozen=True):
    """What a page is made of. *refresh*: seconds, where it is served live."""

    report: Report
    checks: Mapping[str, Check]
    facts: Facts
    hosts: tuple[tuple[str, str], ...] = ()
    curves: tuple[Curve, ...] = ()
    refresh: float = 0


class Written(Answer, frozen=True):
    """A report that was written to *path*, or with an empty one stands in *text*."""

    report: Report
    path: str
    text: str

    def as_dict(self) -> dict[str, Any]:
        """Return where it is; the page itself only when it was written nowhere."""
        where = {"path": self.path} if self.path else {"html": self.text}
        return {**where, "bytes": len(self.text.encode()), "grade": str(self.report.grade)}

    def view(self) -> View:
        """Return the path and the verdict, or the page."""
        if self.path:
            return View((Line(self.path),), self.report.verdict, self.report.grade)
        return View(tuple(Line(line) for line in self.text.split("\n")))


def write(ctx: Context, report: Report, checks: Iterable[Check], output: str = "") -> Written:
    """Write *report* as a page to *output* (``-``: nowhere; by default to the state folder).

    Raises CohesionError where the file cannot be written.
    """
    text = render(gathered(ctx, report, checks, read(ctx)))
    if output == "-":
        return Written(report, "", text)
    path = Path(output).expanduser() if output else ctx.state / "health-report.html"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, text.encode())
    except OSError as error:
        fix = "choose another place: --output FILE"
        raise CohesionError(f"`{path}` cannot be written", why=str(error), fix=fix) from error
    return Written(report, str(path), text)


def _replace(path: Path, content: bytes) -> None:
    """Put a file of mode 0600 in the place of *path* in one step: nobody reads half of it."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(content)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def gathered(ctx: Context, report: Report, checks: Iterable[Check], facts: Facts, refresh: float = 0) -> Material:
    """Return *report* with what else its page shows; a live one compares with what was an hour ago."""
    every = {check.id: check for check in checks}
    one = (ctx.watched_name, "replica" if facts.standby else "primary")
    hosts = tuple((name, host.role) for name, host in ctx.config.hosts.items()) or (one,)
    limits = {name: Limits.of(check, ctx.config.health.limits.get(name)) for name, check in every.items()}
    found: list[Curve] = []
    with kept(ctx) as history:
        if history:
            found = list(curves(history, every.values(), limits, report.at - SHOWN_BACK))
        if history and refresh:
            changes = compare(history, report.results, report.at - HOUR) or report.changes
            report = replace(report, changes=changes)
    return Material(report, every, facts, hosts, chosen(found, report), refresh)


def chosen(found: Iterable[Curve], report: Report) -> tuple[Curve, ...]:
    """Return at most MOST_CHARTS: of what is found, of what fills up, of what people look for, of what moves."""
    bad = {(one.check, one.host, one.database) for one in report.results if one.grade in BAD}

    def rank(curve: Curve) -> tuple[bool, bool, int, bool, str]:
        known = FIRST.index(curve.check) if curve.check in FIRST else len(FIRST)
        still = min(curve.values) == max(curve.values)
        return (curve.check, curve.host, curve.database) not in bad, curve.days is None, known, still, curve.name

    moving = (curve for curve in found if curve.span > 0 and any(curve.values))
    return tuple(sorted(moving, key=rank)[:MOST_CHARTS])


# --- the page ---------------------------------------------------------------------------------------------------


def render(made: Material) -> str:
    """Return the page."""
    from ..render import page

    return page(FOLDER, "report.html", values(made))


@cache
def _part(name: str) -> str:
    return (FOLDER / name).read_text("utf-8")


@cache
def policy(*, live: bool) -> str:
    """Return the Content-Security-Policy: our style and our script, by their hashes, and nothing from anywhere."""
    style, script = (b64encode(sha256(_part(f"report.{kind}").encode()).digest()).decode() for kind in ("css", "js"))
    own = "; connect-src 'self'" if live else ""
    return (
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; img-src data:; "
        f"base-uri 'none'; form-action 'none'{own}"
    )


def values(made: Material) -> dict[str, Any]:
    """Return what the template shows."""
    from .. import __version__

    report = made.report
    worst = sorted(report.results, key=lambda one: (-SEVERITY.index(one.grade), one.check, one.host, one.database))
    bad = [one for one in worst if one.grade in BAD]
    unjudged = [one for one in worst if one.grade in (Grade.UNKNOWN, Grade.SKIPPED)]
    drawn = [charts.chart(curve) for curve in made.curves]
    rest = list(_rest(worst))
    return {
        "style": _part("report.css"),
        "script": _part("report.js"),
        "policy": policy(live=bool(made.refresh)),
        "signs": SIGNS,
        "box": BOX,
        "version": __version__,
        "env": report.env,
        "report": report,
        "title": "PostgreSQL health",
        "at": _time(report.at),
        "zone": datetime.now().astimezone().strftime("%Z"),
        "refresh": f"{made.refresh:g}" if made.refresh else "",
        "sections": list(_sections(bad, drawn, unjudged, rest)),
        "findings": [_article(one, made.checks.get(one.check), report.changes) for one in bad],
        "changes": _changes(report),
        "charts": drawn,
        "unjudged": [_row(one) for one in unjudged],
        "facts": made.facts,
        "environment": list(_environment(made)),
        "hosts": list(_hosts(made)),
        "rest": rest,
    }


def _sections(
    bad: Sequence[Finding], drawn: Sequence[object], unjudged: Sequence[object], rest: Iterable[tuple[Any, ...]]
) -> Iterator[tuple[str, str]]:
    yield "findings", count(len(bad), "finding")
    yield "changes", "changes"
    if drawn:
        yield "trends", "trends"
    if unjudged:
        yield "unjudged", f"{len(unjudged)} not judged"
    yield "environment", "environment"
    yield from ((grade, f"{len(rows)} {grade}") for grade, _, _, rows, _ in rest)


def _time(at: float) -> dict[str, str]:
    when = datetime.fromtimestamp(at, UTC)
    return {"utc": when.isoformat(timespec="seconds"), "local": moment(when, when).partition(",")[0]}


def _places(finding: Finding) -> list[str]:
    named = (("host", finding.host), ("database", finding.database), ("", finding.object))
    return [f"{word} {name}".strip() for word, name in named if name]


def _row(finding: Finding) -> dict[str, Any]:
    return {
        "grade": finding.grade,
        "check": finding.check,
        "places": _places(finding),
        "text": finding.text,
        "fix": finding.fix,
    }


def _article(finding: Finding, check: Check | None, changes: Changes | None) -> dict[str, Any]:
    unit = unit_of(check) if check else ""
    facts = [
        ("measured", shown(finding.value, unit)),
        (f"limit ({finding.grade})", shown(finding.threshold, unit)),
        ("used up in", "" if finding.forecast is None else span(finding.forecast * DAY)),
        ("kind", finding.kind),
        ("fingerprint", finding.fingerprint),
    ]
    return {
        **_row(finding),
        "fingerprint": finding.fingerprint,
        "state": changes.state(finding) if changes else "",
        "title": check.title if check else "",
        "why": check.why if check else finding.why,
        "facts": [(name, value) for name, value in facts if value],
        "undo": finding.undo,
    }


def _changes(report: Report) -> dict[str, Any] | None:
    changes = report.changes
    if changes is None:
        return None
    now = [(changes.state(one), one.check, said(one)) for one in report.results]
    rows = [
        *(row for row in now if row[0]),
        *(("gone", one.check, f"{said(one)} (was {one.grade})") for one in changes.gone),
    ]
    order = ("new", "worse", "better", "gone")
    return {"since": _time(changes.since), "rows": sorted(rows, key=lambda row: order.index(row[0]))}


def _environment(made: Material) -> Iterator[tuple[str, str]]:
    facts = made.facts
    if facts.version:
        yield "PostgreSQL", facts.version
        yield "role", "standby" if facts.standby else "primary"
        yield "up", span(max(0.0, made.report.at - facts.started))
        yield "started", _time(facts.started)["local"]
    yield from ((f"database {name}", shown(size, "bytes")) for name, size in facts.databases)


def _hosts(made: Material) -> Iterator[tuple[str, str, Grade, str]]:
    for name, role in made.hosts:
        shown_as = "" if role == "primary" or len(made.hosts) == 1 else name
        of = (one for one in made.report.results if one.check == "availability" and one.host == shown_as)
        found = next(of, None)
        yield name, role, found.grade if found else Grade.UNKNOWN, found.text if found else "not asked"


def _rest(worst: Iterable[Finding]) -> Iterator[tuple[str, bool, str, list[dict[str, Any]], str]]:
    found = list(worst)
    for grade, folded, name in ((Grade.INFO, False, "For information"), (Grade.OK, True, "In order")):
        rows = [_row(one) for one in found if one.grade is grade]
        if rows:
            yield str(grade), folded, name, rows, count(len(rows), "result")
