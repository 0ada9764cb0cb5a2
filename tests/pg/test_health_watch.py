"""The live view in a real terminal, on a real server, which is frozen, killed and blocked meanwhile."""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgcohesion.context import Context
from pgcohesion.opening import open_context
from pgcohesion.setup import setup
from tests.support import Project, end_server, frozen, project
from tests.terminal import Terminal

pytestmark = pytest.mark.pg
BLOCKED = "SELECT 'waits \x1b[2J\x1b]0;pwned\x07' FROM bills -- \u202e 漢字"


@contextmanager
def watching(made: Project, *words: str, columns: int = 80, lines: int = 24, **env: str) -> Iterator[Terminal]:
    command = made.command("health.watch", "--env=test", *words)
    with Terminal(command, cwd=made.root, env=made.environment(**env), columns=columns, lines=lines) as terminal:
        yield terminal


def connect(ctx: Context, **parameters: Any) -> psycopg.Connection[Any]:
    given = {**ctx.server.parameters(), "dbname": "chanuka", "options": "-c search_path=chanuka", **parameters}
    return psycopg.connect(**given)


def aside(connection: psycopg.Connection[Any], statement: str) -> threading.Thread:
    def run() -> None:
        with suppress(psycopg.Error):
            connection.execute(statement.encode())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


@pytest.fixture
def blocked(ctx: Context) -> Iterator[tuple[int, int]]:
    """Somebody waits for a lock: the process ids of who holds it and of who waits."""
    with closing(connect(ctx, application_name="holder")) as holder, closing(connect(ctx)) as waiter:
        holder.execute("LOCK bills IN ACCESS EXCLUSIVE MODE")
        thread = aside(waiter, BLOCKED)
        yield holder.info.backend_pid, waiter.info.backend_pid
        holder.rollback()
        thread.join(10)


@pytest.fixture
def own() -> Iterator[Project]:
    """A server of one's own, to be killed."""
    with project() as made:
        context = open_context("test", root=made.root)
        setup(context)
        context.close()
        yield made


def postmaster(made: Project) -> tuple[int, Path]:
    context = open_context("test", root=made.root)
    data = Path(context.server.folder())
    context.close()
    return int((data / "postmaster.pid").read_text().split()[0]), data


# --- the screen ---------------------------------------------------------------------------------------------------


def test_the_screen_shows_who_blocks_whom_and_leaves_the_terminal_as_it_was(
    shared: Project, blocked: tuple[int, int]
) -> None:
    holder, waiter = blocked
    with watching(shared, "--interval=0.5") as terminal:
        terminal.until("1 session blocked")
        assert terminal.lines[0].startswith("test localhost  PostgreSQL 18")
        terminal.until(lambda: re.search(r"\d+ checks", terminal.text))
        terminal.press("2")
        terminal.until("[2 locks (1)]")
        tree = [line[1:] for line in terminal.lines if re.match(rf".\s*({holder}|{waiter}) ", line)]
        assert tree[0].startswith(f"{holder} ")
        assert "idle tx" in tree[0]
        assert tree[1].startswith(f"  {waiter} ")
        assert "AccessShare" in tree[1]
        assert "chanuka.bills" in tree[1]
        terminal.press("j\r")
        terminal.until("locks")
        terminal.until(f"process {waiter}")
        terminal.until("\\x1b[2J\\x1b]0;pwned\\x07")  # spelled out, not obeyed
        terminal.until("(waits)")
        assert "\\u202e" in terminal.text
        terminal.press("\x1b")
        terminal.until("[2 locks")
        terminal.press("q")
        assert terminal.ended() == 0
        assert terminal.restored()
        assert b"pwned\x07" not in terminal.raw


def test_views_keys_and_sizes(shared: Project) -> None:
    with watching(shared, "--interval=0.5") as terminal:
        terminal.until("q quit")
        terminal.press("?")
        terminal.until("start the guarded fix")
        terminal.press("q4")
        terminal.until("pg_stat_statements is not in this database")
        terminal.press("\t")
        terminal.until("[5 progress")
        terminal.press("p")
        terminal.until("paused")
        terminal.press("p+")
        terminal.until("every 1 s")
        terminal.press("1/nothing-has-this\r")
        terminal.until("/nothing-has-this")
        terminal.resize(120, 40)
        terminal.until(lambda: len(terminal.lines[0]) > 110 and terminal.lines[39].startswith("q quit"))
        terminal.resize(30, 6)
        terminal.until(lambda: terminal.lines[0].startswith("test ") and terminal.lines[5].startswith("q quit"))
        terminal.press("q")
        assert terminal.ended() == 0
        assert terminal.restored()


def select(terminal: Terminal, check: str) -> None:
    """Move to the finding of a check."""
    terminal.until(check, 60)
    terminal.press("3")
    terminal.until("[3 findings")
    while not re.search(rf"^>\w+ +{check}", terminal.text, re.MULTILINE):
        terminal.press("j")
        terminal.pump(0.3)


def test_a_fix_is_shown_and_copied(shared: Project, blocked: tuple[int, int]) -> None:
    sets = ("--set", "health.limits.blocked_sessions.warn=0.1")
    with watching(shared, "--interval=0.5", *sets, lines=35) as terminal:
        select(terminal, "blocked_sessions")
        terminal.press("\r")
        terminal.until("pg_terminate_backend")
        terminal.until("why")
        terminal.press("c")
        terminal.until("copied the fix")
        (copied,) = re.findall(rb"\x1b\]52;c;([^\x07]*)\x07", terminal.raw)
        assert str(blocked[0]) in base64.b64decode(copied).decode()
        terminal.press("f")  # to end sessions is opt-in, and this environment has not
        terminal.until("not done")
        terminal.press("\x1b")
        terminal.until("[3 findings")
        terminal.press("q")
        assert terminal.ended() == 0


def test_a_finding_is_mended_after_the_name_was_typed(own: Project) -> None:
    with closing(open_context("test", root=own.root)) as ctx, closing(connect(ctx, autocommit=True)) as db:
        db.execute("CREATE TABLE lately WITH (autovacuum_enabled = off) AS SELECT generate_series(1, 20000) AS i")
        db.execute("SELECT pg_stat_force_next_flush()")
        db.execute("SELECT 1")

        def analyzed() -> bool:
            return bool(db.execute("SELECT count(*) FROM pg_stats WHERE tablename = 'lately'").fetchall()[0][0])

        with watching(own, "--interval=0.5", lines=35) as terminal:
            select(terminal, "never_analyzed")
            terminal.press("f")
            terminal.until("this would be done")
            terminal.until("ANALYZE")
            terminal.press("tset\r")
            terminal.until("`test` was not typed")
            assert not analyzed()
            terminal.press("f")
            terminal.until("type test to do it")
            terminal.press("test\r")
            terminal.until("1 mended, 0 left")
            assert analyzed()
            terminal.press("\x1b")
            terminal.until(lambda: "never_analyzed" not in terminal.text)  # the checks have run again
            terminal.press("q")
            assert terminal.ended() == 0


@pytest.mark.parametrize(("no_color", "coloured"), [("1", False), ("", True)])
def test_colour_is_never_the_only_carrier(shared: Project, no_color: str, coloured: bool) -> None:
    with watching(shared, "--count=2", "--interval=0.5", NO_COLOR=no_color) as terminal:
        assert terminal.ended(60) == 0
        assert bool(re.search(rb"\x1b\[[0-9;]*[1-9]m", terminal.raw)) is coloured
        assert terminal.restored()


# --- the end of it -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["ctrl-c", "SIGTERM", "SIGINT", "a bug"])
def test_the_terminal_is_given_back_however_it_ends(shared: Project, how: str) -> None:
    with watching(shared, "--interval=0.5") as terminal:
        terminal.until("q quit")
        if how == "ctrl-c":
            terminal.press("\x03")
        elif how == "a bug":
            for view in "12345":  # keys in bursts, and what is no key
                terminal.press(view + "\x1b[999;999R\x1b[\x00\xff" * 20)
            terminal.press("\x1b")
            terminal.pump(0.2)
            terminal.press("\x1bq")
        else:
            os.kill(terminal.process.pid, getattr(signal, how))
        assert terminal.ended() == (0 if how == "a bug" else 130)
        assert terminal.restored()
        if how != "a bug":
            assert "interrupted" in terminal.text


def test_ctrl_z_gives_the_terminal_to_the_shell_and_fg_takes_it_again(shared: Project) -> None:
    command = shlex.join(shared.command("health.watch", "--env=test", "--interval=0.5"))
    environment = shared.environment(PS1="prompt> ")
    with Terminal(["bash", "--norc", "--noprofile", "-i"], cwd=shared.root, env=environment) as terminal:
        terminal.until("prompt>")
        terminal.press(f"{command}\n")
        terminal.until("q quit")
        terminal.press("\x1a")
        terminal.until("Stopped")
        terminal.press("echo $((40 + 2))\n")  # the shell echoes and edits lines
        terminal.until("42")
        terminal.press("fg\n")
        terminal.until("q quit")
        terminal.press("q")
        terminal.until(lambda: "".join(terminal.lines[-24:]).endswith("prompt>"))  # what is typed before is thrown away
        terminal.press("exit\n")
        assert terminal.ended() == 0


def test_an_environment_without_a_server_is_an_error(fresh: Project) -> None:
    with watching(fresh) as terminal:
        assert terminal.ended(30) == 2
        assert "has no database yet" in terminal.text
        assert terminal.restored()


# --- a server in trouble -------------------------------------------------------------------------------------------


def test_a_frozen_server_does_not_freeze_the_keys(own: Project) -> None:
    with watching(own, "--interval=0.5") as terminal:
        terminal.until(lambda: re.search(r"\d+ checks", terminal.text))
        with frozen(own):
            terminal.until(lambda: re.search(r"fail: no answer for [3-5] s", terminal.lines[1]), 15)
            started = time.monotonic()
            terminal.press("?")
            terminal.until("start the guarded fix", 2)
            terminal.press("q3")
            terminal.until("[3 findings", 2)
            assert time.monotonic() - started < 2
            terminal.until(lambda: re.search(r"fail: no answer.* since \d+ s", terminal.lines[1]), 20)
        terminal.until(lambda: not terminal.lines[1].startswith("fail: no answer"), 20)
        terminal.press("q")
        assert terminal.ended() == 0
        assert terminal.restored()


def test_a_frozen_server_does_not_hold_up_the_end(own: Project) -> None:
    with watching(own, "--interval=0.5") as terminal:
        terminal.until("connections ")
        with frozen(own):
            terminal.until(lambda: terminal.lines[1].startswith("fail: no answer"), 15)
            started = time.monotonic()
            terminal.press("q")
            assert terminal.ended() == 0
            assert time.monotonic() - started < 3
            assert terminal.restored()


def test_a_server_that_is_killed_is_out_of_reach_and_comes_back(own: Project) -> None:
    with watching(own, "--interval=0.5") as terminal:
        terminal.until("connections ")
        end_server(postmaster(own)[1])
        terminal.until(lambda: re.search(r"^fail: refused since [1-9]\d* s", terminal.lines[1]), 20)
        done = own.inv("db.start", "--env=test")
        assert done.returncode == 0, done.stderr
        terminal.until(lambda: not terminal.lines[1].startswith("fail: refused"), 20)
        terminal.until(lambda: re.search(r"up \d+(\.\d)?s", terminal.lines[0]))
        terminal.press("q")
        assert terminal.ended() == 0


# --- off a terminal ------------------------------------------------------------------------------------------------


def test_json_is_a_document_a_line(shared: Project, blocked: tuple[int, int]) -> None:
    done = shared.inv("health.watch", "--env=test", "--json", "--interval=0.5", "--count=3")
    documents = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr, len(documents)) == (0, "", 3)
    last = documents[-1]
    assert (last["task"], last["env"], last["schema_version"]) == ("health.watch", "test", 1)
    result = last["result"]
    assert result["counters"]["slots"] == 97
    assert result["rates"]["tps"] is not None
    nodes = {node["pid"]: node for node in result["nodes"]}
    assert nodes[blocked[1]]["blockers"] == [blocked[0]]
    assert nodes[blocked[0]]["application"] == "holder"
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", json.dumps(result, ensure_ascii=False))


def test_lines_say_the_verdict_and_what_has_changed(shared: Project, blocked: tuple[int, int]) -> None:
    done = shared.inv("health.watch", "--env=test", "--interval=0.5", "--count=2")
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert f"+ process {blocked[0]} (postgres, idle in transaction) blocks 1 session: LOCK bills" in done.stdout
    assert sum(line.startswith("test: ") for line in lines) == 2
    assert "of 97 connections" in lines[-1]
    assert "\x1b" not in done.stdout


def test_lines_of_a_stopped_server_end_with_its_exit_code(own: Project) -> None:
    end_server(postmaster(own)[1])
    done = own.inv("health.watch", "--env=test", "--interval=0.5", "--count=2")
    assert done.returncode == 3
    assert "fail: refused since" in done.stdout
    document = json.loads(own.inv("health.watch", "--env=test", "--json", "--count=1").stdout)
    assert (document["ok"], document["error"]["code"], document["error"]["kind"]) == (False, "unreachable", "refused")


def test_it_ends_when_nobody_reads(shared: Project) -> None:
    command = shared.command("health.watch", "--env=test", "--json", "--interval=0.2")
    with subprocess.Popen(
        command, cwd=shared.root, env=shared.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait(20) == 0


@pytest.mark.parametrize("word", ["--interval=0", "--interval=-1", "--interval=nan", "--count=-1"])
def test_numbers_that_make_no_sense_are_refused(shared: Project, word: str) -> None:
    assert shared.inv("health.watch", "--env=test", word).returncode == 2


# --- what it asks --------------------------------------------------------------------------------------------------


def test_its_session_has_a_name_is_one_and_only_reads(shared: Project, ctx: Context) -> None:
    with watching(shared, "--interval=0.5") as terminal:
        terminal.until(lambda: re.search(r"\d+ checks", terminal.text))
        terminal.pump(2)

        def ours() -> list[Any]:
            return ctx.db.execute(
                "SELECT pid, state FROM pg_stat_activity WHERE application_name = 'pgcohesion health.watch'"
            )

        terminal.until(lambda: len(ours()) == 1)
        terminal.press("q")
        assert terminal.ended() == 0
        terminal.until(lambda: ours() == [])


def test_a_new_view_begins_with_the_bars_of_the_last(own: Project) -> None:
    with closing(open_context("test", root=own.root)) as ctx, closing(connect(ctx)) as busy:
        with watching(own, "--interval=0.5") as terminal:
            path = own.root / ".pgcohesion" / "test" / "health.sqlite"

            def kept() -> int:
                busy.execute("SELECT 1")
                busy.commit()
                with closing(sqlite3.connect(path)) as history:
                    return int(history.execute("SELECT count(*) FROM watched").fetchone()[0])

            terminal.until("connections ")
            terminal.until(lambda: kept() >= 1, 40)
            terminal.press("q")
            assert terminal.ended() == 0
        with watching(own, "--interval=0.5") as terminal:
            terminal.until("waiting ")
            bars = re.search(r"tps (\S+)", terminal.lines[5])
            assert bars
            assert len(set(bars[1])) > 1
            terminal.press("q")
            assert terminal.ended() == 0


def test_a_history_that_cannot_be_used_is_none(own: Project) -> None:
    file = own.root / ".pgcohesion" / "test" / "health.sqlite"
    with closing(sqlite3.connect(file)) as history:  # of another version, say
        history.execute("CREATE TABLE watched (other TEXT)")
        history.execute("CREATE TABLE findings (run INTEGER, fingerprint TEXT, check_id TEXT, grade TEXT)")
        history.execute("CREATE TABLE runs (id INTEGER PRIMARY KEY, at REAL)")
        history.commit()
    with watching(own, "--interval=0.5") as terminal:
        terminal.until(lambda: re.search(r"\d+ checks", terminal.text))
        assert "no history" not in terminal.text  # the log waits for the end
        terminal.press("q")
        assert terminal.ended() == 0
        assert "warning no history" in terminal.text
