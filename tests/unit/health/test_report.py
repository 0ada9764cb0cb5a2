"""What a run shows as text."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace

from pgcohesion.errors import ConfigError
from pgcohesion.health.changes import Changes, Known
from pgcohesion.health.door import trouble
from pgcohesion.health.formats import Formatted, named
from pgcohesion.health.registry import Finding
from pgcohesion.health.report import Report
from pgcohesion.health.running import damaged
from pgcohesion.view import Grade


def lines(*results: Finding) -> list[str]:
    return [line.text for line in Report(results, 0.1, "test").findings()]


def test_what_cannot_be_asked_in_several_databases_is_said_once() -> None:
    skipped = [Finding(Grade.SKIPPED, "needs x", check="c", database=name) for name in ("a", "b")]
    other = Finding(Grade.SKIPPED, "needs y", check="c", database="d")
    assert lines(*skipped, other) == ["c: a, b: needs x", "c: d: needs y"]


def test_what_cannot_be_asked_for_one_reason_is_said_once() -> None:
    names = ("a", "b", "c")
    assert lines(*(Finding(Grade.UNKNOWN, "it does not answer", check=name) for name in names)) == [
        "a, b, c: it does not answer"
    ]


def test_a_note_is_shown_when_it_is_on_its_way_to_a_limit() -> None:
    hidden = Finding(Grade.INFO, "it is so", check="c")
    coming = Finding(Grade.INFO, "it waits for 5 s", check="c", value=5, threshold=10)
    assert lines(hidden, coming) == ["c: it waits for 5 s"]


def test_damage_that_a_statement_stumbles_over_names_what_is_damaged() -> None:
    index = damaged("""item order invariant violated for index "it's" """.strip())
    assert (index.grade, index.object) == (Grade.FAIL, "it's")
    assert "relname = 'it''s'" in index.fix
    page = damaged("invalid page in block 3 of relation base/5/16411")
    assert (page.grade, page.object) == (Grade.FAIL, "base/5/16411")
    assert "pg_filenode_relation(0, 16411)" in page.fix
    page = damaged('invalid page in block 3 of relation "pg_tblspc/7/PG_18_2025/5/16411"')
    assert "pg_filenode_relation(7, 16411)" in page.fix


def test_what_a_run_did_not_look_at_is_kept_but_for_hosts_that_are_silent_now() -> None:
    def one(check: str, host: str = "", text: str = "") -> Finding:
        return Finding(Grade.OK, text, check=check, host=host)

    def shown(latest: Report) -> list[tuple[str, str, str]]:
        return [(found.check, found.host, found.text) for found in latest.over(before)]

    before = (one("connections", text="old"), one("sequences"), one("sequences", "db2"))
    down = Finding(Grade.FAIL, "no", check="availability", kind="refused")
    new = one("connections", text="new")
    assert shown(Report((new,), 0.1, "test")) == [
        ("connections", "", "new"),
        ("sequences", "", ""),
        ("sequences", "db2", ""),
    ]
    assert shown(Report((down,), 0.1, "test")) == [("availability", "", "no"), ("sequences", "db2", "")]
    assert shown(Report((new, replace(down, host="db2")), 0.1, "test"))[2:] == [("sequences", "", "")]


@pytest.mark.parametrize("format_", ["nagios", "github", "junit"])
def test_every_format_says_on_which_host_and_in_which_database(format_: str) -> None:
    found = Finding(Grade.FAIL, "it is stopped", "start it", check="c", host="db2", database="app")
    made = named(format_)(Report((found,), 0.1, "test"))
    assert isinstance(made, Formatted)
    assert "db2: app: it is stopped" in made.text


def test_what_is_gone_says_from_where() -> None:
    gone = Known("0", "c", Grade.FAIL, "", "", "db2", None, None, "it is stopped")
    shown = Report((), 0.1, "test", changes=Changes(0.0, (), (), (), (gone,)), differing=True).view()
    assert [getattr(block, "text", "") for block in shown.blocks] == ["c: db2: it is stopped (was fail)"]


def test_a_replica_whose_configuration_is_wrong_is_a_finding() -> None:
    ctx = cast("Any", SimpleNamespace(watched_name="db2"))
    row = trouble(ConfigError("sudo on `db2` asks for a password", fix="allow it"), ctx, 10)
    assert (row.kind, row.words, row.fix) == ("unreachable", "sudo on `db2` asks for a password", "allow it")
