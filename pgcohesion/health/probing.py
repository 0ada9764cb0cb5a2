"""The checks at an interval, in the background: who asks gets what was found last, and never waits for a server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from ..errors import CohesionError
from ..view import Grade
from .facts import Facts, read
from .registry import Finding
from .report import Report

if TYPE_CHECKING:
    from ..context import Context

EVERYTHING = 600.0
"""Seconds between two looks at what is not quick."""
LATE = 3
"""How many intervals without an answer make what is known too old."""
REST = 0.1
"""The least pause between two runs."""
Check = Callable[[str], Report]


class State(Struct, frozen=True):
    """What is known. *report* is None until the first run has ended; *facts* are as old as the last full one.

    *ended* is when the last run did (monotonic seconds), *answered* when a run last reached the primary (epoch seconds,
    0: never). *seconds* is how long the last run of each profile took, *runs* counts them by (profile, result).
    """

    report: Report | None = None
    facts: Facts = Facts()
    ended: float = 0.0
    answered: float = 0.0
    seconds: Mapping[str, float] = {}
    runs: Mapping[tuple[str, str], int] = {}

    def ready(self, oldest: float) -> tuple[bool, str]:
        """Return whether the primary can be asked, and if not why: a class, and what was said.

        *oldest*: so many seconds may have passed since a run ended.
        """
        if self.report is None:
            return False, "starting: the first run has not ended"
        if self.report.trouble:
            return False, self.report.trouble.text
        age = time.monotonic() - self.ended
        if age > oldest:
            return False, f"stale: the last run ended {age:.0f} s ago"
        return True, "ok"


class Prober:
    """Runs the quick checks every *interval* seconds, and all of the standard ones every ten minutes.

    *check* runs those of a profile. Whatever it raises, the next run comes; :attr:`state` is replaced as a whole.
    """

    def __init__(self, ctx: Context, check: Check, interval: float) -> None:
        self.ctx, self.interval = ctx, interval
        self.oldest = LATE * interval + ctx.config.health.timeout
        self.state = State()
        self._check = check
        self._full: Report | None = None
        self._due = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="health-prober", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether runs go on."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, patience: float) -> None:
        """End after the run that is going on, or leave it behind after *patience* seconds."""
        self._stop.set()
        self._thread.join(patience)

    def _run(self) -> None:
        while not self._stop.is_set():
            started = time.monotonic()
            self._look("standard" if started >= self._due else "quick")
            self._stop.wait(max(REST, self.interval - (time.monotonic() - started)))

    def _look(self, profile: str) -> None:
        started, before = time.monotonic(), self.state
        facts = before.facts
        try:
            report = self._check(profile)
            if profile == "standard" and not report.trouble:
                self._full, self._due, facts = report, started + EVERYTHING, read(self.ctx)
        except Exception as error:  # noqa: BLE001  (whatever goes wrong, the next run must come)
            report = self._failed(error)
        now, key = time.monotonic(), (profile, report.trouble.kind if report.trouble else "ok")
        self.state = State(
            self._whole(report),
            facts,
            now,
            before.answered if report.trouble else report.at,
            {**before.seconds, profile: now - started},
            {**before.runs, key: before.runs.get(key, 0) + 1},
        )
        self._tell(before.report, report)

    def _whole(self, report: Report) -> Report:
        """Return *report* and what the last full run found besides."""
        full = self._full or report
        return replace(report, results=report.over(full.results), changes=full.changes)

    def _tell(self, before: Report | None, report: Report) -> None:
        if bool(report.trouble) != bool(before and before.trouble):
            words = report.trouble.text if report.trouble else "it answers"
            self.ctx.log.warning("readiness changed", ready=not report.trouble, why=words)

    def _failed(self, error: Exception) -> Report:
        """Return the report of a run that did not end; it is no reason to end the service."""
        if isinstance(error, CohesionError):
            words, fix = f"{error.what}: {error.why}" if error.why else error.what, error.fix
        else:
            words, fix = f"{type(error).__name__}: {error}", ""
            self.ctx.log.warning("a run failed", exc_info=error)
        text = f"unreachable: {words}"
        finding = Finding(Grade.FAIL, text, fix, self.ctx.watched_name, check="availability", kind="unreachable")
        return Report((finding,), 0.0, self.ctx.env, time.time())
