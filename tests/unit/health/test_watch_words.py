"""Texts fit into cells of a terminal, and none of them can move its cursor."""

from __future__ import annotations

import unicodedata

import pytest

from pgcohesion.health.live.words import age, cells, cut, fit, percent, rate, spark, tidy, wrap
from pgcohesion.redact import remember

HOSTILE = [
    "\x1b[2J\x1b]0;pwned\x07", "a\x00b", "\x9b31m", "\u202egnp.exe", "line\u2028line", "\u2066x\u2069", "\r\nover",
    "\ufeffx", "a\u200bb",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_no_control_character_is_left(text: str) -> None:
    assert not [one for one in tidy(text) if unicodedata.category(one) in ("Cc", "Cf", "Zl", "Zp")]


def test_white_space_is_one_blank_and_secrets_are_masked() -> None:
    remember("hunter2!")
    assert tidy("ALTER ROLE a\n\tPASSWORD  'hunter2!'") == "ALTER ROLE a PASSWORD '***'"
    assert tidy(None) == ""


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("abc", 3, "abc"), ("abcd", 3, "ab~"), ("abc", 0, ""), ("abc", -1, ""), ("漢字", 4, "漢字"), ("漢字", 3, "漢~"),
        ("漢字", 2, "~"), ("e\u0301e\u0301e", 3, "e\u0301e\u0301e"), ("", 5, ""),
    ],
)  # fmt: skip
def test_cut(text: str, width: int, shown: str) -> None:
    assert cut(text, width) == shown
    assert cells(cut(text, width)) <= max(width, 0)


@pytest.mark.parametrize("text", ["", "abc", "漢字漢字漢字", "e\u0301" * 9, "a漢" * 5])
@pytest.mark.parametrize("width", range(1, 12))
def test_fit_has_exactly_the_width(text: str, width: int) -> None:
    assert cells(fit(text, width)) == width
    assert cells(fit(text, width, right=True)) == width


def test_wrap_loses_nothing_and_is_never_wider() -> None:
    text = "SELECT " + "漢字 " * 30 + "x" * 50 + "\n    indented"
    lines = wrap(text, 20)
    assert max(map(cells, lines)) <= 20
    assert "".join(lines).replace(" ", "") == text.replace(" ", "").replace("\n", "")
    assert lines[-1] == "    indented"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, ""), (-1, "0.0s"), (0.44, "0.4s"), (9.99, "10s"), (59.4, "59s"), (125, "2m05s"), (7800, "2h10m"),
     (432000, "5d")],
)  # fmt: skip
def test_age(seconds: float | None, shown: str) -> None:
    assert age(seconds) == shown


def test_numbers() -> None:
    assert [rate(None), rate(0), rate(0.26), rate(1234.5)] == ["-", "0", "0.3", "1,234"]
    assert [percent(None), percent(0.5), percent(0.9987, 1)] == ["-", "50%", "99.9%"]


def test_bars_are_between_nothing_and_the_highest() -> None:
    assert spark([0, 1, 4, 8], 10) == "▁▂▅█"
    assert spark([1, 2, 3], 2) == "▆█"
    assert spark([0, 0], 5) == "▁▁"
    assert spark([0, 8], 5, ascii_only=True).isascii()
    assert spark([], 5) == spark([1], 0) == ""
