"""The faults: what begins and ends each, how long it lasts, and what the callers do meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from .crowd import Crowd
from .lab import Lab
from .verdict import Moments, Verdict, judge

DECIDE = 1.0  # s until a failover manager has made up its mind about a primary that is gone
SETTLE = 2.0  # s that callers are watched after all are good: an error in them counts


def _nothing(lab: Lab) -> None:
    """End a fault that is over when it has begun."""


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong for `seconds`. `goal` is the cell that ours must reach (core.md, orchestrator)."""

    name: str
    title: str
    goal: str
    begin: Callable[[Lab], None]
    end: Callable[[Lab], None] = _nothing
    seconds: float = 0
    call: str = "read"
    failover: bool = False  # the clock starts when it begins, and the lab must be put together again
    patience: float = 30  # s that callers are waited for after it ended


FAULTS = (
    Fault("terminate", "backends terminated", "0 / 0.10 / 0.11", Lab.terminate),
    Fault(
        "restart",
        "restart, fast",
        "0 / 0.29 / 0.15",
        lambda lab: lab.primary.stop("fast"),
        lambda lab: lab.primary.start(),
        seconds=0.15,
    ),
    Fault(
        "crash",
        "kill -9, recovery of 1.7 s",
        "0 / 1.95 / 0.23",
        lambda lab: lab.primary.kill(),
        lambda lab: lab.primary.start(recovery=1.7),
    ),
    Fault(
        "down",
        "down 10 s",
        "8 / 6.1 / 1.5",
        lambda lab: lab.primary.stop("fast"),
        lambda lab: lab.primary.start(),
        seconds=10,
    ),
    Fault(
        "frozen",
        "frozen (SIGSTOP) 15 s",
        "8 / 6.2 / 0.09",
        lambda lab: lab.primary.freeze(),
        lambda lab: lab.primary.thaw(),
        seconds=15,
    ),
    Fault(
        "blackhole",
        "black hole 20 s",
        "12 / 6.1 / 0.5",
        lambda lab: lab.black_hole(lab.primary),
        lambda lab: lab.heal(lab.primary),
        seconds=20,
    ),
    Fault(
        "failover-clean",
        "failover, clean stop",
        "0 / 1.4 / 0.08 + x",
        lambda lab: lab.primary.stop("fast"),
        Lab.promote,
        seconds=DECIDE,
        failover=True,
    ),
    Fault(
        "failover-killed",
        "failover, kill -9",
        "0 / 1.4 / 0.4 + x",
        lambda lab: lab.primary.kill(),
        Lab.promote,
        seconds=DECIDE,
        failover=True,
    ),
    Fault(
        "failover-blackhole",
        "failover, primary black-holed",
        "0 / 3.5 / 4.0 + x",
        lambda lab: lab.black_hole(lab.primary),
        Lab.promote,
        seconds=DECIDE,
        failover=True,
        patience=45,
    ),
    Fault(
        "read-only",
        "old primary read-only, other promoted",
        "0 / 0.17 / 0.13 + x",
        lambda lab: lab.read_only(lab.primary),
        Lab.promote,
        call="write",
        failover=True,
        patience=20,
    ),
)


def measure(lab: Lab, candidate: str, fault: Fault, call: str | None = None) -> tuple[Verdict, Moments, list[str]]:
    """Let callers of a candidate meet a fault; what they felt, when it was, and the kinds of error they saw."""
    lab.settle()
    with Crowd(candidate, lab.hosts(), call=call or fault.call) as crowd:
        crowd.go()
        crowd.warm()
        began = time.monotonic()
        fault.begin(lab)
        time.sleep(max(0.0, began + fault.seconds - time.monotonic()))
        fault.end(lab)
        ended = time.monotonic()
        at = Moments(began, ended, began if fault.failover else ended, ended)
        while True:
            time.sleep(0.05)
            at = at._replace(until=time.monotonic())
            good = judge(list(crowd.calls), crowd.callers, at).good
            if at.until > ended + fault.patience or (good is not None and at.until > at.origin + good + SETTLE):
                break
        crowd.stop()
    if fault.failover:
        lab.repair()
    kinds = sorted({call.error for call in crowd.calls if call.error})
    return judge(crowd.calls, crowd.callers, at), at, kinds
