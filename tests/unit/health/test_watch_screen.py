"""The screen: right at every size, whatever stands in it; keys move it; lines and JSON say the same."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from pgcohesion.health.live.facts import Facts, Node
from pgcohesion.health.live.keys import Desk, Effect, begun, press
from pgcohesion.health.live.lines import Refresh
from pgcohesion.health.live.screen import Size, draw, settled
from pgcohesion.health.live.snapshot import Judged, Mending, Seen, Snapshot, Trouble
from pgcohesion.health.live.tables import VIEWS, sections, tree
from pgcohesion.health.live.words import cells
from pgcohesion.view import Grade
from tests.unit.health.watching import COUNTERS, FACTS, FOUND, HELD, NODES, NOW, SESSIONS, SNAPSHOT, counted, moment

DESK = Desk(2.0, env="test")
NOTHING = Snapshot("test", "db1", NOW, 2.0)


def shown(snapshot: Snapshot = SNAPSHOT, desk: Desk = DESK, columns: int = 80, lines: int = 24) -> str:
    drawn = draw(snapshot, desk, Size(columns, lines))
    return "\n".join("".join(text for text, _ in row).rstrip() for row in drawn)


def after(keys: str | list[str], snapshot: Snapshot = SNAPSHOT, desk: Desk = DESK) -> tuple[Desk, Effect | None]:
    effect = None
    for key in keys:
        desk, effect = press(desk, key, snapshot)
    return desk, effect


# --- the screen ----------------------------------------------------------------------------------------------------

LONG = "漢字 e\u0301 " * 60
HOSTILE = replace(
    FACTS,
    sessions=tuple(replace(SESSIONS[1], pid=n, query=LONG, role=LONG, application=LONG) for n in range(300)),
    nodes=tuple(replace(NODES[0], pid=n, blockers=(n - 1,) if n else (), query=LONG, relation=LONG) for n in range(99)),
)  # fmt: skip


@pytest.mark.parametrize("over", ["", "help", "detail", "fix"])
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("facts", [FACTS, HOSTILE, None], ids=["usual", "hostile", "none"])
def test_every_size_is_filled_and_never_exceeded(facts: Facts | None, view: str, over: str) -> None:
    snapshot = replace(moment(facts=facts), mending=Mending(FOUND, "ready", (LONG,)))
    desk = replace(DESK, view=view, note=LONG if view == "locks" else "")
    desk = press(desk, "enter", snapshot)[0] if over == "detail" else replace(desk, over=over)
    for columns in (1, 2, 5, 39, 80, 100, 250):
        for lines in (1, 2, 3, 8, 24, 40):
            rows = draw(snapshot, desk, Size(columns, lines))
            assert len(rows) == lines
            assert max(sum(cells(text) for text, _ in row) for row in rows) <= columns


def test_eighty_columns_and_twenty_four_lines() -> None:
    lines = shown().splitlines()
    assert lines[0].startswith("test db1  PostgreSQL 18.1 primary, up 1h00m")
    assert lines[1] == "fail: 1 fail of 1 check 12s ago; 2 sessions blocked, 9.0s"
    assert lines[2] == "connections 7/100: 3 active, 1 idle in transaction, 2 idle, 2 waiting"
    assert lines[3] == "tps 12  rollbacks 0/s  hit 98.0%  temp 0 B/s  deadlocks 0/s"
    assert lines[4] == "wal 976.6 KiB/s  checkpoint 2m00s ago  standbys 1: 2.0 KiB 0.3s  slots 1: 2.8 G~"
    assert "▇█ 12" in lines[5]
    assert lines[6] == "waits of the last minute: CPU 60%  Lock:relation 40%"
    assert lines[7] == "[1 sessions]  2 locks (2)   3 findings (1)   4 queries   5 progress (1)"
    assert lines[8].split() == ["pid", "role", "database", "state", "wait", "age", "query"]
    assert lines[9].split()[:6] == [">", "14", "app", "shop", "active", "1m10s"]
    assert lines[-1].startswith("q quit")


def test_sixty_columns_still_show_ages_and_queries() -> None:
    lines = shown(columns=60).splitlines()
    assert lines[8].split() == ["pid", "role", "state", "wait", "age", "query"]
    assert "1m10s " in lines[9]


def test_the_screen_is_ascii_where_the_terminal_is() -> None:
    rows = draw(SNAPSHOT, replace(DESK, view="progress"), Size(80, 24, ascii_only=True))
    assert "".join(text for row in rows for text, _ in row).isascii()


def test_a_tall_screen_shows_what_else_there_is() -> None:
    text = shown(columns=120, lines=40)
    assert all(
        word in text for word in ("\nlocks\n", "\nfindings\n", "\nprogress\n", "AccessExclusive", "3 GiB", "25%")
    )


def test_rows_that_do_not_fit_are_reached_by_moving() -> None:
    many = tuple(replace(SESSIONS[1], pid=n, seconds=1000.0 - n) for n in range(100))
    snapshot = moment(facts=replace(FACTS, sessions=many))
    desk, _ = after(["end"], snapshot)
    assert ">     99 " in shown(snapshot, desk)
    assert "pid role" in shown(snapshot, desk)  # the header stays
    desk, _ = after(["home"], snapshot, desk)
    assert ">      0 " in shown(snapshot, desk)


# --- the verdict ---------------------------------------------------------------------------------------------------

REFUSED = Trouble("refused", "Connection refused\nIs the server running?", "start it", NOW - 12)


@pytest.mark.parametrize(
    ("snapshot", "verdict", "grade"),
    [
        (NOTHING, "connecting to db1 ...", Grade.UNKNOWN),
        (replace(NOTHING, asking=NOW - 1.9), "connecting to db1 ...", Grade.UNKNOWN),
        (replace(NOTHING, seen=Seen(facts=Facts(COUNTERS))), "so far healthy: the checks are not done yet", Grade.OK),
        (replace(NOTHING, asking=NOW - 5), "fail: no answer for 5 s", Grade.FAIL),
        (replace(NOTHING, seen=Seen(trouble=REFUSED)), "fail: refused since 12 s: Connection refused Is", Grade.FAIL),
        (counted(hidden=3), "healthy: 0 checks 12s ago; 3 sessions hidden: needs pg_monitor", Grade.OK),
        (counted(waiting=0), "healthy: 0 checks 12s ago", Grade.OK),
        (counted(total=85), "warn: 0 checks 12s ago; 85 of 100 connections", Grade.WARN),
        (counted(total=100), "fail: 0 checks 12s ago; 100 of 100 connections", Grade.FAIL),
        (moment(facts=Facts(COUNTERS)), "fail: 1 fail of 1 check 12s ago", Grade.FAIL),
    ],
)
def test_verdict(snapshot: Snapshot, verdict: str, grade: Grade) -> None:
    assert snapshot.verdict.startswith(verdict)
    assert snapshot.grade is grade


def test_a_long_wait_is_worse_than_a_short_one() -> None:
    waits = (replace(NODES[0], waits=400.0), NODES[2])
    snapshot = replace(moment(facts=Facts(COUNTERS, nodes=waits)), judged=replace(SNAPSHOT.judged, findings=()))
    assert snapshot.verdict == "fail: 0 checks 12s ago; 1 session blocked, 6m40s"


# --- locks -----------------------------------------------------------------------------------------------------------


def node(pid: int, *blockers: int) -> Node:
    return replace(NODES[0], pid=pid, blockers=blockers, waits=float(pid))


@pytest.mark.parametrize(
    ("nodes", "shape"),
    [
        ([], []),
        (NODES, [(0, 11), (1, 12), (2, 13)]),
        ([node(1), node(2, 1), node(3, 2), node(4, 1)], [(0, 1), (1, 4), (1, 2), (2, 3)]),
        ([node(1, 2), node(2, 1)], [(0, 1), (1, 2)]),  # a circle
        ([node(5, 5)], [(0, 5)]),
        ([node(3, 0), node(0)], [(0, 0), (1, 3)]),  # a prepared transaction
        ([node(1), node(2, 1), node(7), node(8, 7), node(9, 7)], [(0, 7), (1, 9), (1, 8), (0, 1), (1, 2)]),
        ([node(2, 99)], [(0, 2)]),  # its blocker has gone meanwhile
    ],
)
def test_tree(nodes: list[Node], shape: list[tuple[int, int]]) -> None:
    assert [(depth, one.pid) for depth, one in tree(nodes)] == shape


# --- keys ------------------------------------------------------------------------------------------------------------


def test_a_selection_stays_with_its_row() -> None:
    desk, _ = after(["down"])
    assert sections(SNAPSHOT, "sessions")[0].rows[1].key == desk.keys["sessions"] == ("session", 11)
    fewer = moment(facts=replace(FACTS, sessions=tuple(one for one in SESSIONS if one.pid != 14)))
    assert ">     11" in shown(fewer, desk)
    gone = moment(facts=replace(FACTS, sessions=tuple(one for one in SESSIONS if one.pid != 11)))
    assert ">     12" in shown(gone, desk)  # what stands in its place now


@pytest.mark.parametrize(
    ("keys", "view"), [("2", "locks"), ("5", "progress"), (["tab"], "locks"), (["backtab"], "progress")]
)
def test_views(keys: str | list[str], view: str) -> None:
    assert after(keys)[0].view == view


def test_sort_and_filter() -> None:
    desk, _ = after("s")
    assert desk.note == "sorted by transaction"
    assert [row.key[1] for row in sections(SNAPSHOT, "sessions", "pid")[0].rows] == [11, 12, 13, 14, 15]
    desk, _ = after("/DROPx")
    assert "/DROPx_" in shown(desk=desk)
    desk, _ = after(["backspace", "enter"], desk=desk)
    assert (desk.needle, desk.typing) == ("DROP", "")
    assert [row.key[1] for row in sections(SNAPSHOT, "sessions", "", desk.needle)[0].rows] == [13]
    (none,) = sections(SNAPSHOT, "sessions", "", "no such")
    assert (none.rows, none.empty) == ((), "no row has `no such`")
    assert after(["escape"], desk=desk)[0].needle == ""
    assert after("/q")[1] is None


def test_pause_interval_and_quit() -> None:
    assert after("p")[0].paused
    assert not after("pp")[0].paused
    assert [after("+")[0].interval, after("-")[0].interval, after("-----")[0].interval] == [5.0, 1.0, 0.5]
    assert after("q")[1] == Effect("quit")
    assert after("?q") == (DESK, None)  # it leaves the help


def test_a_session_is_explained_with_its_locks() -> None:
    desk, _ = after(["2", "enter"])
    assert desk.pid == 11
    assert "asking ..." in shown(desk=desk)
    text = shown(moment(facts=replace(FACTS, held=HELD)), desk)
    assert "IN ACCESS EXCLUSIVE MODE" in text
    assert "AccessExclusiveLock        relation       public.t" in text


def test_a_finding_is_explained_copied_and_mended() -> None:
    desk, _ = after(["3", "enter"])
    text = shown(desk=desk)
    assert all(word in text for word in ("Slots that nobody reads.", "WAL is kept", "pg_drop_replication_slot", "undo"))
    assert after("c", desk=desk)[1] == after("3c")[1] == Effect("copy", FOUND.fix)
    assert after("c")[1] == Effect("copy", "SELECT busy")
    assert after("f")[0].note.startswith("a fix starts from a finding")
    assert after("3f")[1] == Effect("plan", finding=FOUND)


@pytest.mark.parametrize(
    ("typed", "effect", "over"), [("test", "do", "fix"), ("tset", "forget", ""), ("", "forget", "")]
)
def test_a_fix_needs_the_name_of_the_environment(typed: str, effect: str, over: str) -> None:
    desk, _ = after("3f")
    assert begun(desk, replace(SNAPSHOT, mending=Mending(FOUND, "planning"))) == desk
    ready = replace(SNAPSHOT, mending=Mending(FOUND, "ready", ("- slot s",)))
    desk = begun(desk, ready)
    assert "- slot s" in shown(ready, desk)
    assert "type test to do it" in shown(ready, desk)
    desk, found = after([*typed, "enter"], ready, desk)
    assert (found, desk.over, desk.typing) == (Effect(effect), over, "")


# --- lines and JSON ------------------------------------------------------------------------------------------------


def test_lines_say_what_has_changed() -> None:
    first = Refresh(SNAPSHOT, None).view()
    assert [block.text for block in first.blocks] == [  # type: ignore[union-attr]
        "fail: inactive_slots: slot s keeps 3 GiB",
        "process 11 (app, idle in transaction) blocks 2 sessions: LOCK t",
        "process 14: vacuum public.big scanning heap 25%",
        "process 14 (app) runs for 1m10s: SELECT busy",
    ]
    assert first.verdict.endswith("blocked, 9.0s; 7 of 100 connections, 3 active, 2 waiting, tps 12, hit 98.0%")
    assert Refresh(SNAPSHOT, SNAPSHOT).view().blocks == ()
    gone = Refresh(counted(), SNAPSHOT).view().blocks
    assert {block.mark for block in gone} == {"-"}  # type: ignore[union-attr]
    assert len(gone) == 4


def test_a_document_has_everything() -> None:
    document = json.loads(json.dumps(Refresh(SNAPSHOT).as_dict()))
    assert (document["grade"], document["counters"]["total"], document["rates"]["tps"]) == ("fail", 7, 12.0)
    assert [one["pid"] for one in document["sessions"]] == [11, 12, 13, 14, 15]
    assert document["nodes"][0]["blockers"] == [11, 12]
    assert document["findings"][0]["fingerprint"] == FOUND.fingerprint
    assert document["queries"]["statements"][0]["query"] == "SELECT slow"
    assert "error" not in document
    assert Refresh(SNAPSHOT).code == 0


def test_a_server_out_of_reach_is_an_error() -> None:
    down = Refresh(replace(NOTHING, seen=Seen(trouble=REFUSED), judged=Judged()))
    assert (down.code, down.failed) == (3, True)
    assert down.as_dict()["error"]["kind"] == "refused"
    assert Refresh(replace(NOTHING, asking=NOW - 9)).as_dict()["error"]["what"] == "fail: no answer for 9 s"


def test_what_lies_on_top_scrolls_as_far_as_it_goes() -> None:
    desk, _ = after(["?", "end"])
    desk = settled(SNAPSHOT, desk, Size(80, 12))
    assert "this help" in shown(desk=desk, lines=12)
    assert after(["up"], desk=desk)[0].scroll == desk.scroll - 1
    assert settled(SNAPSHOT, after(["home"], desk=desk)[0], Size(80, 12)).scroll == 0


def test_sessions_that_are_not_listed_are_counted() -> None:
    many = tuple(replace(SESSIONS[1], pid=n) for n in range(200))
    snapshot = moment(facts=replace(FACTS, counters=replace(COUNTERS, total=951), sessions=many))
    assert "[1 sessions (200 of 950)]" in shown(snapshot)
