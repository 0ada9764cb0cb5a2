"""What a page is made of: nothing of a database gets out of its text, no secret into it, and plots tell the truth."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pgcohesion.health.changes import Changes, Known
from pgcohesion.health.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, chart
from pgcohesion.health.curves import Curve
from pgcohesion.health.facts import Facts
from pgcohesion.health.facts import shown as setting_shown
from pgcohesion.health.forecast import DAY
from pgcohesion.health.page import FIRST, Material, _replace, chosen, policy, render
from pgcohesion.health.registry import Finding, load
from pgcohesion.health.report import Report
from pgcohesion.redact import remember
from pgcohesion.view import Grade

pytestmark = pytest.mark.unit

NOW = 1_800_000_000.0
HOSTILE = "\"'><script>alert(1)</script></style></title><svg/onload=alert(1)>{{ 7 * 7 }}&amp;\x00\u2028\U0001f600"


class Read(HTMLParser):
    """What a browser would see."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def material(*findings: Finding, **more: object) -> Material:
    checks = {check.id: check for check in load()}
    known = Known("f" * 10, HOSTILE, Grade.WARN, HOSTILE, HOSTILE, HOSTILE, 1.0, 1.0, HOSTILE)
    changes = Changes(NOW - 600, tuple(one.fingerprint for one in findings), (), (), (known,))
    return Material(Report(findings, 0.5, "test", NOW, changes), checks, **{"facts": Facts(), **more})  # type: ignore[arg-type]


def everywhere(words: str) -> str:
    """Return a page that has *words* wherever something of a server can stand."""
    bad = Finding(Grade.FAIL, words, words, words, 0.5, words, words, 0.4, words, words, words, 3.0, words)
    grades = (Grade.WARN, Grade.UNKNOWN, Grade.SKIPPED, Grade.INFO, Grade.OK)
    facts = Facts(words, NOW, False, ((words, 1),), ((words, words, words),), words)
    curve = Curve(words, words, ((NOW - DAY, 1.0), (NOW, 2.0)), "", words, words, words)
    others = (Finding(grade, words, words, words, check=words, host=words) for grade in grades)
    return render(material(bad, *others, facts=facts, hosts=((words, words),), curves=(curve,)))


def test_a_hostile_name_is_only_ever_text() -> None:
    page = Read(everywhere(HOSTILE))
    assert page.tags.count("script") == page.tags.count("style") == page.tags.count("title") == 1
    assert [(name, value) for name, value in page.attributes if name.startswith("on")] == []
    links = [value for name, value in page.attributes if name in ("href", "src", "action")]
    assert all(value == "data:," or re.fullmatch(r"#[a-z]+", value) for value in links), links
    assert "49" not in page.text.partition(HOSTILE.partition("{{")[0])[2][:40]
    assert page.text.count("alert(1)</script>") > 15


def test_a_secret_is_masked_wherever_it_stands() -> None:
    secret = "s3cret<&>'\"word"
    remember(secret)
    page = everywhere(f"before {secret} after")
    assert "s3cret" not in page
    assert Read(page).text.count("before *** after") > 15


def test_only_our_own_style_and_script_may_run() -> None:
    page = render(material())
    assert "unsafe" not in policy(live=True)
    assert "connect-src" not in policy(live=False)
    assert policy(live=False) in page.replace("&#39;", "'")
    assert 'http-equiv="refresh"' not in page
    assert 'http-equiv="refresh" content="15"' in render(material(refresh=15.0))


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("primary_conninfo", "host=db1 password=hush", "***"),
        ("archive_command", "PGPASSWORD=hush wal-push %p", "PGPASSWORD=*** wal-push %p"),
        ("archive_command", "push --token='hu sh' %p", "push --token=*** %p"),
        ("restore_command", "curl https://me:hush@store/%f", "curl https://me:***@store/%f"),
        ("work_mem", "4MB", "4MB"),
        ("primary_conninfo", "", ""),
    ],
)
def test_passwords_in_settings_are_masked(name: str, value: str, wanted: str) -> None:
    assert setting_shown(name, value) == wanted


def test_the_curves_that_come_first_are_those_of_checks() -> None:
    assert set(FIRST) <= {check.id for check in load()}


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    path.chmod(0o644)
    _replace(path, b"new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        _replace(tmp_path / "folder", b"x")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["folder", "report.html"]


# --- plots --------------------------------------------------------------------------------------------------------


def line(days: int, start: float, slope: float) -> tuple[tuple[float, float], ...]:
    hours = days * 24
    return tuple((NOW - (hours - n) * 3600, start + slope * n / 24) for n in range(hours + 1))


def numbers(path: str) -> list[tuple[float, float]]:
    found = [float(number) for number in re.findall(r"-?[\d.]+", path)]
    return list(zip(found[::2], found[1::2], strict=True))


def test_a_rising_line_rises_and_leads_on_to_full() -> None:
    made = chart(Curve("disk", "", line(7, 0.5, 0.05), "share", warn=0.8, fail=0.9, full=1.0))
    points = numbers(made.lines[0])
    assert points[0][1] > points[-1][1]
    assert points[-1][0] < WIDTH - RIGHT - 50  # room for what comes
    ahead = numbers(made.ahead)
    assert ahead[0] == points[-1] or abs(ahead[0][0] - points[-1][0]) < 2
    full = next(level.at for level in made.levels if level.text == "full")
    assert ahead[-1] == pytest.approx((WIDTH - RIGHT, full), abs=0.2)
    assert [tick.text for tick in made.up] == ["60 %", "80 %", "100 %"]
    assert [level.text for level in made.levels] == ["full", "fail", "warn"]
    assert "full in 3 d" in made.curve.forecast


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        ([0.0, 0.0], ""),
        ([5.0, 5.0], "bytes"),
        ([-7.0, 3.0], "days"),
        ([1e-6, 2e-6], "seconds"),
        ([1e15, 3e15], "bytes"),
        ([0.0, 1e7], "seconds"),
        ([1e9, 1e9 + 1], "transactions"),
    ],
)
def test_whatever_is_drawn_stays_in_its_frame(values: list[float], unit: str) -> None:
    points = tuple((NOW + n, value) for n, value in enumerate(values))
    made = chart(Curve("a", "", points, unit))
    for x, y in (point for path in made.lines for point in numbers(path)):
        assert LEFT <= x <= WIDTH - RIGHT
        assert TOP <= y <= HEIGHT - BOTTOM
    assert 1 <= len(made.up) <= 6
    assert len({tick.text for tick in made.up}) == len(made.up)
    assert made.across


def test_a_gap_is_a_gap() -> None:
    points = [point for point in line(3, 1, 1) if not NOW - 2 * DAY < point[0] < NOW - DAY]
    assert len(chart(Curve("a", "", tuple(points))).lines) == 2


def test_the_most_important_plots_come_first() -> None:
    moving, still = line(1, 0.1, 0.1), tuple((at, 1.0) for at, _ in line(1, 0, 0))
    zero = tuple((at, 0.0) for at, _ in moving)
    found = [
        Curve("a_still", "", still),
        Curve("b_moving", "", moving),
        Curve("connections", "", still),
        Curve("zero", "", zero),
        Curve("z_found", "", moving),
        Curve("fills", "", line(3, 0.1, 0.2), full=1.0),
    ]
    report = Report((Finding(Grade.WARN, "", check="z_found"),), 0.1, "test", NOW)
    assert [curve.check for curve in chosen(found, report)] == [
        "z_found",
        "fills",
        "connections",
        "b_moving",
        "a_still",
    ]
