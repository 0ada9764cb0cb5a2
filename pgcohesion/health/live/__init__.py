"""The live view: a reader asks the server, a judge runs the checks, each in a thread; this one draws and hears keys."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ...errors import UsageError
from ...output import Output
from .judging import Judge
from .keys import Desk, Effect, begun, press
from .lines import Refresh
from .mending import Mender
from .past import Past
from .reader import Reader
from .screen import Size, draw, settled
from .snapshot import SLOW, Snapshot

if TYPE_CHECKING:
    from ...context import Context
    from ...output.live import Terminal

LEAST = 0.2  # seconds: to look more often costs more than it shows
BEAT = 0.5  # seconds between two drawings, while nothing comes


def run(ctx: Context, interval: float, count: int) -> int:
    """Show an environment live until ``q``, or for *count* refreshes; return the exit code.

    On a terminal a screen with keys; else lines, or with ``--json`` one document a line. *interval* in seconds.
    Raises UsageError for numbers that make no sense, ConfigError when there is no server yet.
    """
    if not interval >= LEAST:
        raise UsageError(f"`--interval {interval:g}` is too short", fix="--interval 1")
    if count < 0:
        raise UsageError(f"`--count {count}` is less than nothing", fix="--count 10, or leave it out")
    if not ctx.output.live:
        return _written(ctx, interval, count)
    from ...output.live import Terminal

    with Terminal(ctx.output) as terminal, Watch(ctx, interval, terminal.wake) as watch:
        return _drawn(watch, terminal, Desk(interval, env=ctx.env), count)


class Watch:
    """What works behind a view; *wake* is called in its threads when there is something new."""

    def __init__(self, ctx: Context, interval: float, wake: Callable[[], None]) -> None:
        self._ctx, self._wake = ctx, wake
        past = Past(ctx)
        self.reader = Reader(ctx.another(Output(quiet=True)), interval, self._looked)
        self.reader.remember(past.recall())
        self.judge = Judge(ctx, self.reader, past, wake)
        self.mender = Mender(ctx, self._mended)

    def __enter__(self) -> Self:
        self.reader.start()
        self.judge.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.reader.end()
        self.judge.end()

    def _looked(self) -> None:
        self.judge.noticed()
        self._wake()

    def _mended(self) -> None:
        if self.mender.mending and self.mender.mending.stage == "done":
            self.judge.again()
        self._wake()

    def snapshot(self) -> Snapshot:
        """Return what is known now. Raises what has ended a thread."""
        for part in (self.reader, self.judge):
            if part.error is not None:
                raise part.error
        return Snapshot(
            env=self._ctx.env,
            host=self._ctx.watched_name,
            now=time.time(),
            interval=self.reader.interval,
            seen=self.reader.seen,
            asking=self.reader.asking,
            judged=self.judge.judged,
            mending=self.mender.mending,
        )

    def follow(self, before: Desk, desk: Desk) -> None:
        """Look as the desk says; at once where it asks for something else than before."""
        reader = self.reader
        reader.interval, reader.paused, reader.pid = desk.interval, desk.paused, desk.pid
        if (before.pid, before.paused, before.interval) != (desk.pid, desk.paused, desk.interval):
            reader.poke()

    def do(self, effect: Effect) -> None:
        """Plan a fix, do it, or put it aside."""
        if effect.kind == "plan" and effect.finding is not None:
            self.mender.plan(effect.finding)
        elif effect.kind == "do":
            self.mender.do()
        elif effect.kind == "forget":
            self.mender.forget()


def _drawn(watch: Watch, terminal: Terminal, desk: Desk, count: int) -> int:
    while True:
        snapshot = watch.snapshot()
        size = Size(*terminal.size, ascii_only=not terminal.unicode)
        desk = settled(snapshot, begun(desk, snapshot), size)
        terminal.show(draw(snapshot, desk, size))
        if count and snapshot.seen.number >= count:
            return Refresh(snapshot).code
        before = desk
        for key in terminal.keys(BEAT):
            desk, effect = press(desk, key, snapshot)
            if effect is None:
                continue
            if effect.kind == "quit":
                return 0
            if effect.kind == "copy":
                terminal.copy(effect.text)
            watch.do(effect)
        watch.follow(before, desk)


def _written(ctx: Context, interval: float, count: int) -> int:
    """Print a refresh after each look; one that takes too long is told, too."""
    came = Event()
    before, printed = None, 0
    with Watch(ctx, interval, came.set) as watch:
        while not ctx.output.gone:
            number = before.seen.number if before else 0
            until = time.monotonic() + max(interval, SLOW + BEAT)
            while watch.snapshot().seen.number == number and time.monotonic() < until:
                came.wait(until - time.monotonic())
                came.clear()
            answer = Refresh(watch.snapshot(), before)
            ctx.output.answer(ctx.env, ctx.task, answer)
            before, printed = answer.now, printed + 1
            if printed == count:
                return answer.code
    return 0
