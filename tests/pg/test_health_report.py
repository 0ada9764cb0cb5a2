"""The report of a real run, looked at in a real browser."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from psycopg.sql import SQL, Identifier

from pgcohesion import health
from pgcohesion.opening import open_context
from tests.browser import Browser, browser
from tests.support import Project

pytestmark = pytest.mark.pg

HOSTILE = '"><script>alert(1)</script><img src=//x.test/'


@pytest.fixture(scope="module")
def written(shared: Project) -> Iterator[Path]:
    """A report of the third run of a server with a sequence that is nearly used up, of a hostile name."""
    with closing(open_context("test", root=shared.root)) as ctx:
        table = SQL("chanuka.{}").format(Identifier(HOSTILE))
        health.check(ctx)
        ctx.db.execute(SQL("CREATE TABLE {} (id smallint GENERATED ALWAYS AS IDENTITY (START 32000))").format(table))
        ctx.db.execute(SQL("INSERT INTO {} DEFAULT VALUES").format(table))
        try:
            health.check(ctx)
            done = shared.inv("health.report", "--env=test", "--output=report.html")
            assert done.returncode == 0, done.stderr
            assert done.stdout.splitlines()[0] == "report.html"
            yield shared.root / "report.html"
        finally:
            ctx.db.execute(SQL("DROP TABLE {}").format(table))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


def test_its_file_is_ours_alone_and_nothing_is_left_beside_it(written: Path) -> None:
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert not list(written.parent.glob(".report.html*"))


def test_in_a_browser(written: Path, chromium: Browser, tmp_path: Path) -> None:
    chromium.open(written.as_uri())
    found = chromium.eval("[...document.querySelectorAll('article')].map(one => one.innerText)")
    (about,) = (text for text in found if "sequences" in text)
    assert HOSTILE in about
    assert "bigint" in about
    assert chromium.eval("document.title").startswith("test: ")
    assert chromium.eval("document.querySelectorAll('svg path.curve').length") > 0
    assert chromium.eval("[...document.querySelectorAll('script, img, iframe, link')].map(e => e.tagName)") == [
        "LINK",
        "SCRIPT",
    ]
    assert chromium.eval("document.querySelector('#changes').innerText").count("new") == 0  # the run before had it
    chromium.screenshot(tmp_path / "report.png")
    assert (tmp_path / "report.png").stat().st_size > 50_000
    assert chromium.troubles() == []
    assert chromium.requests() == [written.as_uri()]


@pytest.mark.parametrize("dark", [False, True])
def test_on_a_phone_nothing_runs_over_the_edge(written: Path, chromium: Browser, dark: bool) -> None:
    chromium.open(written.as_uri(), width=390, height=844, dark=dark)
    chromium.eval("document.querySelectorAll('details').forEach(one => { one.open = true })")
    assert chromium.eval("document.documentElement.scrollWidth") == 390
    assert (
        chromium.eval("Math.max(...[...document.querySelectorAll('main *')].map(e => e.getBoundingClientRect().right))")
        <= 390
    )


CONTRAST = """(() => {
  const light = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map(Number).map(v => v / 255)
      .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b };
  const behind = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
      if (!c.startsWith('rgba(0, 0, 0, 0')) return c } };
  let worst = [99, ''];
  for (const e of document.querySelectorAll('#page *')) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || !e.getClientRects().length) continue;
    const style = getComputedStyle(e), ink = e instanceof SVGElement ? style.fill : style.color;
    const [a, b] = [light(ink), light(behind(e))].sort((x, y) => y - x), ratio = (a + .05) / (b + .05);
    if (ratio < worst[0]) worst = [ratio, e.outerHTML.slice(0, 80)];
  }
  return worst })()"""


@pytest.mark.parametrize("dark", [False, True])
def test_it_can_be_read_by_those_who_see_little_or_nothing(written: Path, chromium: Browser, dark: bool) -> None:
    chromium.open(written.as_uri(), dark=dark)
    worst, where = chromium.eval(CONTRAST)
    assert worst >= 4.5, where  # WCAG 2.2, 1.4.3
    for selector in ("header", "main", "nav[aria-label]", "footer", "h1", "html[lang]", "section[aria-labelledby]"):
        assert chromium.eval(f"document.querySelectorAll('{selector}').length") > 0, selector
    unnamed = "[...document.querySelectorAll('th:not([scope]), svg:not([aria-label]), section:not([aria-labelledby])')]"
    assert chromium.eval(f"{unnamed}.length") == 0
    levels = chromium.eval("[...document.querySelectorAll('h1, h2, h3')].map(one => Number(one.tagName[1]))")
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))


def test_the_copy_button_copies_the_fix(written: Path, chromium: Browser) -> None:
    chromium.open(written.as_uri())
    chromium.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    fix = chromium.eval("document.querySelector('article pre').textContent")
    chromium.click("article button.copy")
    chromium.wait_for("document.querySelector('#said').textContent === 'copied'")
    assert chromium.eval("navigator.clipboard.readText()") == fix
    assert chromium.troubles() == []


def test_without_a_clipboard_the_fix_is_selected(written: Path, chromium: Browser) -> None:
    chromium.open(written.as_uri())
    chromium.eval(
        "Object.defineProperty(navigator, 'clipboard', {value: undefined}); document.execCommand = () => false"
    )
    chromium.click("article button.copy")
    chromium.wait_for("document.querySelector('#said').textContent === 'selected: press Ctrl+C'")
    assert chromium.eval("getSelection().toString() === document.querySelector('article pre').textContent")


def test_without_scripts_all_is_there_but_the_button(written: Path, chromium: Browser) -> None:
    chromium.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        chromium.open(written.as_uri())
        assert chromium.eval("[...document.querySelectorAll('button')].every(one => one.hidden)")
        assert HOSTILE in chromium.eval("document.body.innerText")
    finally:
        chromium.call("Emulation.setScriptExecutionDisabled", value=False)


def test_in_print_nothing_stays_folded_and_paper_is_white(written: Path, chromium: Browser) -> None:
    folded = (
        "[...document.querySelectorAll('details')]"
        ".filter(one => getComputedStyle(one, '::details-content').contentVisibility === 'hidden').length"
    )
    chromium.open(written.as_uri(), dark=True)
    assert chromium.eval(folded) > 0
    chromium.call("Emulation.setEmulatedMedia", media="print")
    try:
        assert chromium.eval("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert chromium.eval(folded) == 0
    finally:
        chromium.call("Emulation.setEmulatedMedia", media="")


def test_a_report_goes_to_the_state_folder_or_to_stdout(shared: Project) -> None:
    answer = shared.json("health.report", "--env=test")
    assert answer["result"]["path"] == str(shared.root / ".pgcohesion/test/health-report.html")
    page = shared.inv("health.report", "--env=test", "--output=-")
    assert page.stdout.startswith("<!doctype html>")
    assert page.stdout.rstrip().endswith("</html>")


def test_a_place_that_cannot_be_written_is_an_error(shared: Project) -> None:
    done = shared.inv("health.report", "--env=test", "--output=environments")
    assert done.returncode == 1
    assert done.stderr.startswith("error: `environments` cannot be written\n  why: ")
    assert not list(shared.root.glob(".environments*"))


def test_a_server_that_is_down_has_a_report_too(fresh: Project) -> None:
    assert fresh.inv("db.setup", "--env=test").returncode == 0
    assert fresh.inv("db.stop", "--env=test").returncode == 0
    done = fresh.inv("health.report", "--env=test", "--output=-")
    assert done.returncode == 0
    assert "availability" in done.stdout
    assert "could not be asked for its settings" in done.stdout
