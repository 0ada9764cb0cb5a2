"""A run of a script without a server: steps, dry run, ledger, cancellation, result."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

import pgcohesion as pg
from pgcohesion.context import Context, Options
from pgcohesion.errors import CohesionError, DeadlineExceeded, Interrupted, ServerError, Unreachable
from pgcohesion.opening import open_context
from pgcohesion.script import running
from pgcohesion.script.alone import key_of
from pgcohesion.script.ledger import Ledger
from pgcohesion.view import Line
from tests.support import Project, project

done: list[int] = []


@pytest.fixture(autouse=True)
def clean() -> None:
    done.clear()


@pytest.fixture(scope="module")
def bare() -> Iterator[Project]:
    with project() as made:
        yield made


@pytest.fixture
def ctx(bare: Project) -> Iterator[Context]:
    context = open_context("test", root=bare.root)
    yield context
    context.close()


def step(number: int, error: Exception | None = None, **more: Any) -> pg.Change:
    def call(_: object) -> None:
        if error is not None and number not in done:
            done.append(number)
            raise error
        done.append(number)

    return pg.Change("run", f"step {number}", pg.plan.Step(call), **more)


class Three(pg.Script):
    """Make three steps."""

    fail: bool = False
    parallel_copies = True

    def steps(self, ctx: pg.ScriptContext) -> Generator[pg.Change, None, dict[str, int]]:
        ctx.expect(3)
        yield step(1)
        yield step(2, CohesionError("no luck") if self.fail else None)
        yield step(3)
        return {"sum": sum(done)}


def test_steps_are_made_one_by_one_and_counted(ctx: Context) -> None:
    result = Three().call(ctx)
    assert done == [1, 2, 3]
    assert (result.state, result.made, result.skipped, result.left, result.failed) == ("ok", 3, 0, 0, False)
    assert result.values == {"sum": 6}
    document = result.as_dict()
    assert json.loads(json.dumps(document, default=str))["values"] == {"sum": 6}
    assert (document["state"], document["run"], document["dry_run"]) == ("ok", 3, False)
    assert result.view().verdict.startswith("0 created, 0 altered, 0 dropped, 3 run")


def test_a_dry_run_shows_the_same_changes_and_makes_none(bare: Project) -> None:
    ctx = open_context("test", root=bare.root, options=Options(env="test", dry_run=True))
    result = Three().call(ctx)
    assert done == []
    assert (result.state, result.made, result.left, result.pending, result.values) == ("planned", 0, 3, True, {})
    assert [change["what"] for change in result.as_dict()["changes"]] == ["step 1", "step 2", "step 3"]
    assert not (ctx.state / "scripts").exists()


def test_an_error_says_how_far_it_came(ctx: Context) -> None:
    with pytest.raises(CohesionError, match="no luck") as caught:
        Three(fail=True).call(ctx)
    result = caught.value.result
    assert (result.state, result.made, result.left, result.failed) == ("failed", 1, 2, True)
    assert done == [1, 2]


def test_a_script_that_reads_returns_values_or_an_answer(ctx: Context) -> None:
    class Reads(pg.Script):
        """Read."""

        parallel_copies = True
        what: str

        def run(self, ctx: pg.ScriptContext) -> Any:
            with ctx.progress("reading"):
                return {"what": self.what, "doing": ctx.doing}

    result = Reads(what="x").call(ctx)
    assert (result.values, result.answer, result.made) == ({"what": "x", "doing": "reading"}, None, 0)
    assert result.view().verdict.startswith("done (")
    assert result.view().blocks == (Line("what: x"), Line("doing: reading"))


def test_cancelling_from_another_thread_stops_a_pause_at_once(ctx: Context) -> None:
    class Waits(pg.Script):
        """Wait."""

        parallel_copies = True

        def run(self, ctx: pg.ScriptContext) -> None:
            threading.Timer(0.01, ctx.cancel).start()
            ctx.pause(60)

    with pytest.raises(Interrupted, match="was cancelled") as caught:
        Waits().call(ctx)
    assert caught.value.result.state == "interrupted"
    assert caught.value.result.elapsed < 10


def test_the_scripts_own_timeout_ends_it_between_steps_and_says_where_it_was(ctx: Context) -> None:
    class Slow(pg.Script):
        """Take too long."""

        timeout = 0.05
        parallel_copies = True

        def run(self, ctx: pg.ScriptContext) -> None:
            while True:
                with ctx.progress("counting sheep"):
                    ctx.pause(0.01)

    with pytest.raises(DeadlineExceeded, match=r"within 0.05 s") as caught:
        Slow().call(ctx)
    assert "it was at: counting sheep" in caught.value.why
    assert caught.value.result.state == "failed"


RETRYABLE = [
    (ServerError("x", sqlstate="40001"), False, True),
    (ServerError("x", sqlstate="40P01"), False, True),
    (ServerError("x", sqlstate="55P03"), False, True),
    (ServerError("x", sqlstate="40003"), False, False),
    (ServerError("x", sqlstate="40003"), True, True),
    (ServerError("x", sqlstate="57P01"), False, False),
    (ServerError("x", sqlstate="57P01"), True, True),
    (ServerError("x", sqlstate="08006"), True, True),
    (ServerError("x", sqlstate="23505"), True, False),
    (ServerError("x", sqlstate=None), True, False),
    (Unreachable("x"), False, False),
    (Unreachable("x"), True, True),
    (CohesionError("x"), True, False),
]


@pytest.mark.parametrize(("error", "idempotent", "again"), RETRYABLE)
def test_what_is_tried_again(
    ctx: Context, monkeypatch: pytest.MonkeyPatch, error: CohesionError, idempotent: bool, again: bool
) -> None:
    class Tries(pg.Script):
        """Try."""

        retries = 1
        parallel_copies = True

        def steps(self, ctx: pg.ScriptContext) -> list[pg.Change]:
            return [step(1, error, idempotent=idempotent)]

    monkeypatch.setattr(running, "BACKOFF", 0.0)
    if again:
        assert Tries().call(ctx).made == 1
        assert done == [1, 1]
    else:
        with pytest.raises(type(error)):
            Tries().call(ctx)
        assert done == [1]


def test_a_pause_is_random_and_bounded(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[tuple[float, float]] = []

    class Never(pg.Script):
        """Never get through."""

        retries = 8
        parallel_copies = True

        def steps(self, ctx: pg.ScriptContext) -> list[pg.Change]:
            def call(_: object) -> None:
                raise ServerError("deadlock", sqlstate="40P01")

            return [pg.Change("run", "it", pg.plan.Step(call))]

    def uniform(low: float, high: float) -> float:
        pauses.append((low, high))
        return 0

    monkeypatch.setattr("random.uniform", uniform)
    with pytest.raises(ServerError):
        Never().call(ctx)
    assert [low for low, _ in pauses] == [0] * 8
    assert [high for _, high in pauses] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


# --- the ledger ---------------------------------------------------------------------------------------


def test_the_ledger_knows_finished_steps_of_the_same_options_only(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "x", {"options": {"n": 1}})
    ledger.add(step(1))
    ledger.add(pg.Change("run", 'odd "name"\nof a \N{SNOWMAN}', pg.plan.Step(print)))
    ledger.add(step(1))
    again = Ledger(tmp_path, "x", {"options": {"n": 1}})
    assert again.read() == {("run", "step 1"): 2, ("run", 'odd "name"\nof a \N{SNOWMAN}'): 1}
    assert not Ledger(tmp_path, "x", {"options": {"n": 2}}).read()
    assert not Ledger(tmp_path, "y", {"options": {"n": 1}}).read()
    assert again.path.stat().st_mode & 0o777 == 0o600
    again.forget()
    assert not again.path.exists()
    again.forget()


def test_a_line_that_a_crash_has_torn_counts_for_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "x", {})
    ledger.add(step(1))
    whole = ledger.path.read_bytes()
    for length in range(1, len(whole) - 1):
        ledger.path.write_bytes(whole + whole[:length].replace(b"1", b"2"))
        ledger.add(step(3))
        assert ledger.read() == {("run", "step 1"): 1, ("run", "step 3"): 1}


def test_the_key_of_the_lock_is_a_bigint_of_script_and_database() -> None:
    keys = {key_of(script, database) for script in ("a", "b", "a\0c") for database in ("c", "d", "")}
    assert len(keys) == 9
    assert all(-(2**63) <= key < 2**63 for key in keys)
    assert key_of("kill-idle", "chanuka") == key_of("kill-idle", "chanuka")
