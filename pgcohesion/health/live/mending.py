"""From a finding to its guarded fix: the plan is shown, the environment's name is typed, then it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from threading import Thread
from typing import TYPE_CHECKING, Any

from ...errors import CohesionError
from ...output import Output
from ...view import Answer, Line
from .. import healing
from ..registry import Finding
from .snapshot import Mending

if TYPE_CHECKING:
    from ...context import Context
    from ..healing import Healing


def heal(ctx: Context, finding: Finding, *, apply: bool) -> Healing:
    """Plan the fix of a finding, or with *apply* make it. Raises as :func:`pgcohesion.health.healing.heal`."""
    return healing.heal(ctx, apply=apply, check=finding.check, object=finding.object)


class Mender:
    """One fix at a time, in a thread; :attr:`mending` says how far it is, *wake* is called when that changes."""

    def __init__(self, ctx: Context, wake: Callable[[], None]) -> None:
        self._ctx, self._wake = ctx, wake
        self.mending: Mending | None = None

    def plan(self, finding: Finding) -> None:
        """Begin to plan a fix."""
        if self.mending is None or self.mending.stage != "doing":
            self._begin(finding, "planning")

    def do(self) -> None:
        """Do what was planned."""
        if self.mending is not None and self.mending.stage == "ready":
            self._begin(self.mending.finding, "doing")

    def forget(self) -> None:
        """Put a plan, or its result, aside."""
        if self.mending is not None and self.mending.stage != "doing":
            self.mending = None

    def _begin(self, finding: Finding, stage: str) -> None:
        self.mending = Mending(finding, stage)
        Thread(target=self._work, args=(finding, stage), daemon=True, name="health-mend").start()

    def _work(self, finding: Finding, stage: str) -> None:
        try:
            result = self._planned(finding) if stage == "planning" else self._done(finding)
        except CohesionError as error:
            parts = (("error", error.what), ("why", error.why), ("fix", error.fix))
            words = (f"{name}: {line}" for name, text in parts for line in text.splitlines())
            result = Mending(finding, "failed", tuple(words))
        except Exception as error:  # noqa: BLE001  (a bug in a fix must not take the view with it)
            result = Mending(finding, "failed", (f"unexpected error: {type(error).__name__}: {error}",))
        current = self.mending
        if current is not None and current.finding is finding:  # else it was put aside meanwhile
            self.mending = result
        self._wake()

    def _planned(self, finding: Finding) -> Mending:
        if finding.check not in healing.HEALED:
            fix = (f"    {line}" for line in finding.fix.splitlines() or ["there is no line that mends it"])
            words = f"nothing mends `{finding.check}` by itself; by hand (Esc, then c copies it):"
            return Mending(finding, "failed", (words, *fix))
        with self._opened() as ctx:
            answer = heal(ctx, finding, apply=False)
        able = any(one.act for one in answer.proposals)
        return Mending(finding, "ready" if able else "failed", tuple(_lines(answer)))

    def _done(self, finding: Finding) -> Mending:
        with self._opened(yes=self._ctx.env) as ctx, ctx.alone():
            answer = heal(ctx, finding, apply=True)
        return Mending(finding, "done", tuple(_lines(answer)))

    @contextmanager
    def _opened(self, **options: Any) -> Iterator[Context]:
        """Give a context that says nothing: the screen is taken."""
        silent = Output(quiet=True, stdin=StringIO(), stdout=StringIO(), stderr=StringIO())
        ctx = self._ctx.another(silent, verbose=True, **options)
        try:
            yield ctx
        finally:
            ctx.close()


def _lines(answer: Answer) -> Iterator[str]:
    """Yield an answer as lines of text."""
    view = answer.view()
    for block in view.blocks:
        if isinstance(block, Line):
            yield " ".join(filter(None, (block.mark, block.grade, block.text)))
            yield from (f"    {detail}" for detail in block.details)
        else:
            yield from ("  ".join(map(str, row)) for row in (block.header, *block.rows))
    if view.verdict:
        yield view.verdict
