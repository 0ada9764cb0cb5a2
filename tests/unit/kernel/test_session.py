"""One run of one task: exit codes, audit, debug log, locks, the local runner."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pgcohesion import errors
from pgcohesion.context import Context, Options
from pgcohesion.locks import local_lock
from pgcohesion.output import Output
from pgcohesion.plan import Change, Plan, Step, WriteFile
from pgcohesion.redact import Secret
from pgcohesion.runner import Local, Recorder
from pgcohesion.session import perform
from pgcohesion.view import Answer, Grade, Line, Table, Text, View, moment, size, span

pytestmark = pytest.mark.unit


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "development.toml").write_text("")
    return tmp_path


class Failing(Text, frozen=True):
    @property
    def failed(self) -> bool:
        return True


class Pending(Text, frozen=True):
    @property
    def pending(self) -> bool:
        return True


def raising(error: BaseException) -> Callable[..., Any]:
    def task(ctx: Context) -> None:
        raise error

    return task


@pytest.mark.parametrize(
    ("function", "code"),
    [
        (lambda ctx: Text(("x",)), 0),
        (lambda ctx: None, 0),
        (lambda ctx: 7, 7),
        (lambda ctx: Failing(("x",)), 1),
        (lambda ctx: Pending(("x",)), 6),
        (raising(errors.CohesionError("x")), 1),
        (raising(errors.ServerError("x")), 1),
        (raising(errors.UsageError("x")), 2),
        (raising(errors.ConfigError("x")), 2),
        (raising(errors.Unreachable("x")), 3),
        (raising(errors.DeadlineExceeded("x")), 4),
        (raising(errors.Refused("x")), 5),
        (raising(errors.Locked("x")), 5),
        (raising(errors.Stop(errors.Interrupted("x"))), 130),
        (raising(KeyboardInterrupt()), 130),
        (raising(ZeroDivisionError("x")), 1),
    ],
)
def test_exit_codes(root: Path, function: Callable[..., Any], code: int) -> None:
    assert perform(function, "t", root, Options(), {}, check=True) == code


def test_pending_changes_are_a_code_only_when_asked_for(root: Path) -> None:
    assert perform(lambda ctx: Pending(("x",)), "t", root, Options(), {}) == 0


def test_a_changing_task_is_alone_and_leaves_two_lines(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def task(ctx: Context) -> Text:
        assert perform(lambda ctx: None, "other", root, Options(), {}, changes=True) == 5
        return Text(("x",))

    assert perform(task, "t", root, Options(), {}, changes=True) == 0
    assert "another run works on `development`" in capsys.readouterr().err
    lines = [json.loads(line) for line in (root / ".pgcohesion" / "audit.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["start", "end"]
    assert lines[1]["result"] == "ok"


def test_a_dry_run_takes_no_lock_and_writes_nothing(root: Path) -> None:
    def task(ctx: Context) -> Answer:
        return ctx.apply(Plan("development", (Change("create", "x", Step(lambda c: (root / "made").touch())),)))

    assert perform(task, "t", root, Options(dry_run=True), {}, changes=True) == 0
    assert sorted(path.name for path in root.iterdir()) == ["environments"]
    assert perform(task, "t", root, Options(), {}, changes=True) == 0
    assert (root / "made").exists()


def test_a_plan_that_fails_says_how_far_it_came(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = (
        Change("create", "one", Step(lambda c: None)),
        Change("create", "two", Step(raising(errors.CohesionError("no")))),
    )
    assert perform(lambda ctx: ctx.apply(Plan("development", steps)), "t", root, Options(), {}) == 1
    err = capsys.readouterr().err
    assert "1 of 2 changes were made, 1 not: `two` was next" in err


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    holder = (
        "import sys, time; from pathlib import Path; from pgcohesion.locks import local_lock\n"
        f"with local_lock(Path({str(tmp_path)!r}), 'e', 't'):\n    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        with pytest.raises(errors.Locked, match="another run") as caught, local_lock(tmp_path, "e", "t"):
            pass
        assert f"process {process.pid}" in caught.value.why
        process.kill()
    with local_lock(tmp_path, "e", "t"):
        pass


def test_an_interrupted_command_ends_with_all_that_it_started() -> None:
    def stop(number: int, frame: object) -> None:
        raise errors.Stop(errors.DeadlineExceeded("x"))

    old = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    started = time.monotonic()
    try:
        with pytest.raises(errors.Stop):
            Local().run(("sh", "-c", "sleep 47.125; echo done"))
    finally:
        signal.signal(signal.SIGALRM, old)
    assert time.monotonic() - started < 5
    while "47.125" in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout:
        assert time.monotonic() - started < 5


def test_an_interrupt_that_another_thread_was_given_ends_a_wait(root: Path) -> None:
    def take() -> None:
        time.sleep(0.1)  # whatever the moment, it is heard; most often the main thread waits by now
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    def task(ctx: Context) -> None:
        threading.Thread(target=take).start()
        threading.Event().wait(60)

    started = time.monotonic()
    assert perform(task, "t", root, Options(), {}) == errors.Interrupted.exit_code
    assert time.monotonic() - started < 30


def test_the_recorder_answers_and_remembers() -> None:
    recorder = Recorder({"uname": "Linux\n", "false": 1}, {"/etc/x": b"1"})
    assert recorder.run(("uname", "-s")).stdout == "Linux\n"
    with pytest.raises(errors.CommandFailed):
        recorder.run(("false",))
    recorder.write(WriteFile("/etc/y", b"2"))
    assert (recorder.read("/etc/x"), recorder.read("/etc/y"), recorder.read("/etc/z")) == (b"1", b"2", None)
    assert recorder.calls == [("uname", "-s"), ("false",)]


def printed(answer: Answer, **how: Any) -> str:
    out = io.StringIO()
    Output(stdout=out, stderr=io.StringIO(), stdin=io.StringIO(), **how).answer("staging", "t", answer)
    return out.getvalue()


class Shown(Answer, frozen=True):
    def view(self) -> View:
        table = Table(("name", "state"), (("a", Grade.OK), ("longer", Grade.FAIL)))
        return View((table, Line("role x", mark="+", details=("below",))), "1 to create", next="inv next")

    def as_dict(self) -> dict[str, Any]:
        return {"n": 1}


def test_an_answer_is_text_or_one_json_document() -> None:
    assert printed(Shown()) == "name    state\na       ok\nlonger  fail\n+ role x\n    below\nstaging: 1 to create\n"
    document = json.loads(printed(Shown(), json=True))
    assert (document["ok"], document["env"], document["task"], document["result"]) == (True, "staging", "t", {"n": 1})
    assert document["schema_version"] == 1


def test_secrets_are_masked_in_all_that_is_printed() -> None:
    Secret("tell-nobody-1")
    assert printed(Text(("x tell-nobody-1 y",))) == "x *** y\n"
    assert "tell-nobody-1" not in printed(Text(("x tell-nobody-1",)), json=True)


def test_an_error_has_three_parts() -> None:
    err = io.StringIO()
    output = Output(stdout=io.StringIO(), stderr=err, stdin=io.StringIO())
    output.failure("e", "t", errors.UsageError("no `x`", why="one\ntwo", fix="do y"))
    assert err.getvalue() == "error: no `x`\n  why: one\n       two\n  fix: do y\n"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.84, "0.8 s"), (59, "59 s"), (3600, "60 min"), (7300, "2 h"), (200000, "2 d")]
)
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"), [(12, "12 B"), (1536, "1.5 KiB"), (3 * 1024**3, "3.0 GiB"), (5 * 1024**4, "5.0 TiB")]
)
def test_sizes(number: float, text: str) -> None:
    assert size(number) == text


def test_moments_have_offset_and_age() -> None:
    from datetime import UTC, datetime

    os.environ["TZ"] = "UTC"
    time.tzset()
    at = datetime(2026, 11, 22, 14, 3, tzinfo=UTC)
    assert moment(at, datetime(2026, 11, 22, 16, 3, 30, tzinfo=UTC)) == "2026-11-22 14:03 +00:00, 2 h ago"
    assert moment(at, datetime(2026, 11, 22, 12, 3, 0, tzinfo=UTC)) == "2026-11-22 14:03 +00:00, in 2 h"
