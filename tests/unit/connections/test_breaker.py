"""The breaker: when it opens, whom it lets through, and that nobody waits for it."""

from __future__ import annotations

import threading

import pytest

from pgcohesion.config.model import Breaker as Settings
from pgcohesion.connections.breaker import LONGEST_PAUSE, Breaker
from pgcohesion.testing import FrozenClock


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


def broken(clock: FrozenClock, **settings: float) -> Breaker:
    breaker = Breaker(Settings(**settings), clock)  # type: ignore[arg-type]
    while breaker.closed:
        breaker.failure()
    return breaker


def test_failures_in_a_row_open_it(clock: FrozenClock) -> None:
    breaker = Breaker(Settings(failures=3), clock)
    for good in (False, False, True, False, False):
        (breaker.success if good else breaker.failure)()
    assert breaker.closed
    breaker.failure()
    assert breaker.state == "open"
    assert not breaker.allow()
    assert breaker.rejected == 1


def test_a_share_of_a_full_window_opens_it(clock: FrozenClock) -> None:
    breaker = Breaker(Settings(failures=100, window=10, share=0.5), clock)
    for _ in range(4):
        breaker.failure()
        breaker.success()
    assert breaker.closed
    breaker.failure()
    assert breaker.closed  # the window is not full
    breaker.failure()
    assert not breaker.closed


def test_exactly_one_of_32_threads_probes(clock: FrozenClock) -> None:
    breaker = broken(clock, pause=1)
    clock.now += 1
    gate, let = threading.Barrier(32), []

    def ask() -> None:
        gate.wait()
        let.append(breaker.allow())

    threads = [threading.Thread(target=ask) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(let) == [False] * 31 + [True]
    assert breaker.state == "half_open"


def test_a_good_probe_closes_it_and_a_bad_one_doubles_the_pause(clock: FrozenClock) -> None:
    breaker = broken(clock, pause=1)
    for pause in (1, 2, 4, 8, 8):
        assert pause <= LONGEST_PAUSE
        clock.now += pause / 2 - 0.01  # the pause is spread over its second half
        assert not breaker.allow()
        clock.now += pause / 2 + 0.02
        assert breaker.allow()
        breaker.failure()
    clock.now += LONGEST_PAUSE
    assert breaker.allow()
    breaker.success()
    assert breaker.state == "closed"
    breaker.failure()
    assert breaker.closed  # what was before is forgotten


def test_a_probe_that_never_answers_is_given_up(clock: FrozenClock) -> None:
    breaker = broken(clock, pause=1, probe_timeout=5)
    clock.now += 1
    assert breaker.allow()
    clock.now += 4
    assert not breaker.allow()
    clock.now += 2
    assert breaker.allow()


def test_somebody_who_knows_opens_and_closes_it(clock: FrozenClock) -> None:
    breaker = Breaker(Settings(), clock)
    breaker.trip()
    assert breaker.opened_at == clock.now
    breaker.reset()
    assert breaker.allow()
    assert breaker.opened == 1
