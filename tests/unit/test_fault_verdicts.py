"""What benchmarks/faults makes of recorded calls: tables of values."""

from __future__ import annotations

from benchmarks.faults.crowd import Call
from benchmarks.faults.increments import account
from benchmarks.faults.soak import Sample, growth
from benchmarks.faults.verdict import Moments, Verdict, judge, middle

AT = Moments(began=10.0, ended=12.0, origin=12.0, until=20.0)


def test_a_call_that_spans_the_fault_is_the_longest() -> None:
    calls = [Call(0, 1, 9.0, 9.5, "before"), Call(0, 2, 9.9, 12.5), Call(1, 3, 11.0, 11.5, "gone"), Call(1, 4, 12, 13)]
    assert str(judge(calls, 2, AT)) == "1 / 2.60 / 1.00"


def test_a_good_call_does_not_count_when_an_error_follows() -> None:
    calls = [Call(0, 1, 12.1, 12.2), Call(0, 2, 13.0, 13.1, "late"), Call(0, 3, 14.0, 14.5)]
    assert judge(calls, 1, AT).good == 2.5


def test_a_good_call_during_the_fault_does_not_count() -> None:
    assert judge([Call(0, 1, 10.5, 11.0)], 1, AT).good is None


def test_a_caller_that_never_returned_is_told_with_what_it_waited() -> None:
    assert str(judge([Call(0, 1, 10.5, None)], 1, AT)) == "0 / > 9.5 / not in 8 s"


def test_the_clock_of_a_failover_starts_when_it_begins() -> None:
    assert judge([Call(0, 1, 9.9, 13.0)], 1, AT._replace(origin=10.0)).good == 3.0


def test_of_several_runs_each_number_is_the_median() -> None:
    runs = [Verdict(0, 1.0, False, None, 20.0), Verdict(4, 9.0, True, 0.1, 2.0), Verdict(5, 2.0, False, 0.3, 2.0)]
    assert str(middle(runs)) == "4 / 2.00 / 0.30"


def test_lost_double_and_unknown_writes_are_told_apart() -> None:
    calls = [Call(0, 1, 0, 1), Call(0, 2, 0, 1), Call(0, 3, 0, 1, "e"), Call(0, 4, 0, None), Call(0, 5, 0, 1, "e")]
    found = account(calls, [1, 1, 3])
    assert found == (2, 1, 1, 3, 1)
    assert not found.clean
    assert account(calls, [1, 2, 4]).clean


def test_growth_is_what_a_fitted_line_rises_after_the_warm_up() -> None:
    samples = [Sample(float(at), 50.0 + (at > 3) * at, 10, 20, None) for at in range(31)]
    assert {one.what: one.flat for one in growth(samples)} == {"rss": False, "threads": True, "files": True}
    assert growth(samples[:2]) == []
