"""Where calls go: the primary, a replica that is near enough, the survivor of a failover."""

from __future__ import annotations

import pytest

from pgcohesion.config.model import Breaker, Connections, Replicas
from pgcohesion.connections.fleet import Fleet, Host, Seen
from pgcohesion.conninfo import Target
from pgcohesion.testing import FrozenClock


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


def fleet(clock: FrozenClock, *names: str, replicas: bool = True) -> Fleet:
    settings = Connections(replicas=Replicas(max_lag=10), breaker=Breaker(patience=30))
    targets = [Target(name, 5432, "", "db", "app", {"host": name}) for name in names]
    return Fleet(targets, settings, replicas=replicas, clock=clock)


def primary(lsn: int = 100, timeline: int = 1, *, read_only: bool = False) -> Seen:
    return Seen("primary", read_only, lsn, timeline)


def standby(lsn: int = 100) -> Seen:
    return Seen("standby", False, lsn)


def names(hosts: object) -> list[str]:
    return [host.target.host for host in hosts]  # type: ignore[attr-defined]


def idle(_: Host) -> int:
    return 0


def test_a_single_host_is_the_primary_without_being_asked(clock: FrozenClock) -> None:
    one = fleet(clock, "a")
    assert names(one.writable()) == ["a"]


def test_writes_go_to_the_host_that_was_seen_as_primary(clock: FrozenClock) -> None:
    two = fleet(clock, "a", "b")
    assert names(two.writable()) == ["a", "b"]  # nobody knows yet: as they were given
    a, b = two.hosts
    two.report(a, standby())
    two.report(b, primary())
    assert names(two.writable()) == ["b"]


def test_reads_go_to_the_least_loaded_replica_then_to_the_primary(clock: FrozenClock) -> None:
    three = fleet(clock, "a", "b", "c")
    a, b, c = three.hosts
    three.report(a, primary())
    three.report(b, standby())
    three.report(c, standby())
    load = {a: 0, b: 5, c: 1}
    assert names(three.readable(load.__getitem__)) == ["c", "b", "a"]


def test_without_the_feature_reads_go_to_the_primary(clock: FrozenClock) -> None:
    two = fleet(clock, "a", "b", replicas=False)
    two.report(two.hosts[0], primary())
    two.report(two.hosts[1], standby())
    assert names(two.readable(idle)) == ["a"]


def test_a_replica_that_lags_or_is_not_looked_at_any_more_gets_no_reads(clock: FrozenClock) -> None:
    two = fleet(clock, "a", "b")
    a, b = two.hosts
    two.report(a, primary(100))
    two.report(b, standby(100))
    assert names(two.readable(idle)) == ["b", "a"]
    clock.now += 1
    two.report(a, primary(200))
    two.report(b, standby(100))
    assert b.lag == 0.0  # it is behind since now
    clock.now += 6
    two.report(b, standby(150))
    assert b.lag == 6.0
    assert names(two.readable(idle)) == ["b", "a"]
    clock.now += 5
    assert names(two.readable(idle)) == ["a"]
    two.report(b, standby(200))
    assert b.lag == 0.0
    assert names(two.readable(idle)) == ["b", "a"]


def test_a_replica_that_has_a_session_s_writes_comes_first(clock: FrozenClock) -> None:
    three = fleet(clock, "a", "b", "c")
    a, b, c = three.hosts
    three.report(a, primary(200))
    three.report(b, standby(150))
    three.report(c, standby(180))
    assert names(three.readable(idle, lsn=170)) == ["c", "b", "a"]


def test_a_failover_is_told_and_the_old_primary_is_obsolete(clock: FrozenClock) -> None:
    two = fleet(clock, "a", "b")
    a, b = two.hosts
    told: list[tuple[str, str]] = []
    two.watchers.append(lambda event, host: told.append((event, host.target.host)))
    two.report(a, primary(timeline=1))
    two.report(b, standby())
    two.down(a, "no answer")
    two.report(b, primary(timeline=2))
    assert names(two.writable()) == ["b"]
    assert told == [("primary", "a"), ("down", "a"), ("failover", "b"), ("obsolete", "a")]


def test_of_two_primaries_the_one_with_the_later_timeline_counts(clock: FrozenClock) -> None:
    two = fleet(clock, "a", "b")
    a, b = two.hosts
    two.report(b, primary(timeline=2))
    two.report(a, primary(timeline=1))
    assert names(two.writable()) == ["b"]
    two.report(a, primary(timeline=3))
    assert names(two.writable()) == ["a"]


def test_a_primary_that_turned_read_only_gets_no_writes(clock: FrozenClock) -> None:
    two = fleet(clock, "a", "b")
    a, b = two.hosts
    two.report(a, primary())
    two.not_primary(a, read_only=True)
    assert two.primary is None
    two.report(a, primary(read_only=True))
    assert two.primary is None
    two.report(b, primary(timeline=2))
    assert names(two.writable()) == ["b"]


def test_calls_are_refused_when_all_hosts_were_down_for_long(clock: FrozenClock) -> None:
    two = fleet(clock, "a", "b")
    a, b = two.hosts
    two.down(a, "gone")
    clock.now += 100
    assert not two.hopeless()  # b is well
    two.down(b, "gone")
    assert not two.hopeless()
    clock.now += 31
    assert two.hopeless()
    two.report(b, primary())
    assert not two.hopeless()
