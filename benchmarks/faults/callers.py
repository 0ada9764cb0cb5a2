"""The child: threads that call a candidate in a loop and tell on stdout what each call came to.

A process of its own, so that a caller that is stuck for good cannot keep the benchmark, and no thread or socket of one
run is left for the next. Times are CLOCK_MONOTONIC, which is the same in all processes of a machine.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from benchmarks.faults.candidates import Candidate, Measured, ReadsOwnWrites, candidate

KEYS_PER_CALLER = 10_000_000
_saying = threading.Lock()
_flying: dict[int, tuple[int, float]] = {}


def main() -> None:
    """Read the order from argv, say `ready`, wait for a line on stdin, call until stdin ends."""
    order: dict[str, Any] = json.loads(sys.argv[1])
    logging.getLogger().addHandler(logging.NullHandler())  # what callers see is measured, not what logs say
    subject = candidate(order["candidate"])
    say("ready")
    sys.stdin.readline()
    began, error = time.monotonic(), None
    try:
        subject.open([(host, port) for host, port in order["hosts"]], **order["login"])
    except Exception as caught:  # noqa: BLE001 (whatever a library raises is what its caller sees)
        error = describe(caught)
    say("opened", began, time.monotonic(), error)
    if error is None:
        call = calls(subject, order["call"])
        for who in range(order["callers"]):
            threading.Thread(target=loop, args=(who, call, order["pause"]), daemon=True).start()
    for _ in sys.stdin:  # each further line asks how many connections there are
        say("connections", subject.connections() if isinstance(subject, Measured) else None)
    say("flying", [[who, key, start] for who, (key, start) in list(_flying.items())])
    os._exit(0)


def calls(subject: Candidate, kind: str) -> Callable[[int], object]:
    """What a caller does with its next key."""
    if kind == "write":
        return subject.increment
    if kind == "own":
        if not isinstance(subject, ReadsOwnWrites):
            raise SystemExit(f"candidate {subject.name} has no write_then_read")
        own = subject.write_then_read
        return lambda key: own(key // KEYS_PER_CALLER)  # a row for each caller
    if kind == "mixed":
        return lambda key: subject.increment(key) if key % 2 else subject.read()
    return lambda _: subject.read()


def loop(who: int, call: Callable[[int], object], pause: float) -> None:
    """Call, tell, pause (s), for ever. Each caller has its own range of keys."""
    for number in itertools.count():
        key = who * KEYS_PER_CALLER + number
        start, error, result = time.monotonic(), None, None
        _flying[who] = key, start
        try:
            result = call(key)
        except Exception as caught:  # noqa: BLE001 (as above)
            error = describe(caught)
        end = time.monotonic()
        del _flying[who]
        say("call", who, key, start, end, error, result)
        time.sleep(pause)


def describe(error: BaseException | None) -> str:
    """An error with its causes, as a log would show it: `Outer: text <- Cause: text`."""
    parts: list[str] = []
    while error is not None and len(parts) < 10:
        parts.append(f"{type(error).__name__}: {' '.join(str(error).split())}")
        error = error.__cause__
    return " <- ".join(parts)


def say(*words: object) -> None:
    """Tell the parent."""
    line = json.dumps(words)
    with _saying:
        try:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
        except BrokenPipeError:  # nobody listens any more
            os._exit(1)


if __name__ == "__main__":
    main()
