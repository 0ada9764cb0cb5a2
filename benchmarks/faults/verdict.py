"""From what callers recorded to the three numbers of a cell. Pure: no clock, no server."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

from .crowd import Call


class Moments(NamedTuple):
    """A fault on the timeline, in s of CLOCK_MONOTONIC."""

    began: float
    ended: float  # the lab could serve again: the fault was undone, or another primary took writes
    origin: float  # what `good` counts from
    until: float  # the callers were watched until then


class Verdict(NamedTuple):
    """What callers felt. `errors`: calls that raised. `longest`: s of one call, at least, when `stuck`.

    `good`: s from the origin until every caller had a good call that ended after the fault did and was followed by no
    error while it was watched; None when that never came.
    """

    errors: int
    longest: float
    stuck: bool
    good: float | None
    watched: float

    def __str__(self) -> str:
        longest = f"> {self.longest:.1f}" if self.stuck else f"{self.longest:.2f}"
        good = f"not in {self.watched:.0f} s" if self.good is None else f"{self.good:.2f}"
        return f"{self.errors} / {longest} / {good}"


def judge(calls: Sequence[Call], callers: int, at: Moments) -> Verdict:
    """Judge the calls that had not returned when the fault began."""
    felt = [call for call in calls if call.end is None or call.end > at.began]
    longest, stuck = 0.0, False
    for call in felt:
        took = (at.until if call.end is None else call.end) - call.start
        if took > longest:
            longest, stuck = took, call.end is None
    good = [_good(felt, who, at.ended) for who in range(callers)]
    never = any(moment is None for moment in good)
    return Verdict(
        errors=sum(call.error is not None for call in felt),
        longest=longest,
        stuck=stuck,
        good=None if never else max(moment for moment in good if moment is not None) - at.origin,
        watched=at.until - at.origin,
    )


def middle(verdicts: Sequence[Verdict]) -> Verdict:
    """The median of each number over several runs (of an even number of runs the worse one of the two)."""
    half = len(verdicts) // 2
    longest = sorted(verdicts, key=lambda one: one.longest)[half]
    good = sorted(verdicts, key=lambda one: inf if one.good is None else one.good)[half]
    return longest._replace(errors=sorted(one.errors for one in verdicts)[half], good=good.good, watched=good.watched)


def _good(calls: Sequence[Call], caller: int, ended: float) -> float | None:
    """When a caller was good again."""
    own = [call for call in calls if call.caller == caller and call.end is not None]
    since = max([ended, *(call.end for call in own if call.error and call.end)])
    return min((call.end for call in own if call.end and call.end > since and not call.error), default=None)
