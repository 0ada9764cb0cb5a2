"""The checks behind a live view: in a thread and on connections of their own; the screen never waits for them."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from threading import Event, Thread
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ...output import Output
from ..registry import Limits
from .past import Past
from .snapshot import Judged

if TYPE_CHECKING:
    from ...context import Context
    from ..report import Report
    from .reader import Reader

QUICK_EVERY, STANDARD_EVERY, TICK = 30.0, 600.0, 10.0


class Judge:
    """Keeps :attr:`judged` up to date; *wake* is called, in the thread, after each run."""

    def __init__(self, ctx: Context, reader: Reader, past: Past, wake: Callable[[], None]) -> None:
        self.ctx, self._reader, self._past, self._wake = ctx, reader, past, wake
        self.judged = Judged()
        self.error: BaseException | None = None
        self._due = {"quick": 0.0, "standard": 0.0}
        self._reachable = False
        self._ended, self._poked = Event(), Event()
        self._thread = Thread(target=self._run, daemon=True, name="health-judge")

    def start(self) -> None:
        """Begin to judge."""
        self._thread.start()

    def again(self) -> None:
        """Run all checks now: something was mended."""
        self._due = dict.fromkeys(self._due, 0.0)
        self._poked.set()

    def end(self) -> None:
        """Stop; a run that hangs ends with the process."""
        self._ended.set()
        self._poked.set()
        self._thread.join(0.2)

    def noticed(self) -> None:
        """Be told that the reader has looked: a server that came back is judged anew."""
        reachable = self._reader.seen.facts is not None and self._reader.seen.trouble is None
        if reachable and not self._reachable:
            self.again()
        self._reachable = reachable

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                if self._able:
                    self._judge()
                self._past.keep(self._reader.seen.points)
                left = min(self._due.values()) - time.monotonic() if self._able else TICK
                self._poked.wait(max(0.1, min(TICK, left)))
                self._poked.clear()
        except BaseException as error:  # noqa: BLE001  (raised again in the main thread)
            self.error = error
            self._wake()

    @property
    def _able(self) -> bool:
        return self._reachable and not self._reader.paused

    def _judge(self) -> None:
        if not self.judged.checks:
            self.judged = self._prepared()
        for profile, every in (("quick", QUICK_EVERY), ("standard", STANDARD_EVERY)):
            if not self._ended.is_set() and time.monotonic() >= self._due[profile]:
                self._due[profile] = time.monotonic() + every
                report = self._report(profile)
                self.judged = replace(self.judged, findings=report.over(self.judged.findings), at=time.time())
                self._wake()

    def _prepared(self) -> Judged:
        from .. import every

        checks = {check.id: check for check in every(self.ctx)}
        changed = self.ctx.config.health.limits
        return Judged(checks=checks, limits={name: Limits.of(one, changed.get(name)) for name, one in checks.items()})

    def _report(self, profile: str) -> Report:
        """Run the checks; only the thorough runs are kept, or they would push each other out of the history.

        Where the history cannot be used, a full disk for one, the checks are run without.
        """
        from .. import check

        ctx = self.ctx.another(Output(quiet=True))
        try:
            return check(ctx, profile=profile, keep=profile == "standard")
        except sqlite3.Error as error:
            ctx.log.warning("no history", why=str(error))
            return check(ctx, profile=profile, remember=False)
        finally:
            ctx.close()
