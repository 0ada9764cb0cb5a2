"""Errors that no waiting mends: how long until the first caller hears, and whether it hears the cause."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import NamedTuple

from .crowd import Crowd
from .lab import PORT, Lab

WATCH = 40.0  # s


class Mistake(NamedTuple):
    """A wrong word in an application's configuration, and the words (any of them) of its cause."""

    title: str
    login: dict[str, str]
    cause: tuple[str, ...]
    host: tuple[str, int] | None = None


MISTAKES = (
    Mistake("no such database", {"dbname": "nowhere"}, ('database "nowhere" does not exist',)),
    Mistake("no such role", {"user": "nobody_here"}, ("authentication failed", "does not exist")),
    Mistake("wrong password", {"password": "wrong"}, ("password authentication failed",)),
    Mistake("no such host name", {}, ("resolve", "not known"), ("nowhere.invalid", PORT)),
    Mistake("port refuses", {}, ("refused",), ("", 1)),
    Mistake("unknown option", {"nonsense": "1"}, ("nonsense",)),
)


def measure(lab: Lab, candidate: str) -> list[str]:
    """One cell for each mistake, all met at the same time by processes of their own."""
    with ExitStack() as stack:
        made = [Crowd(candidate, _hosts(lab, mistake), callers=1, login=mistake.login) for mistake in MISTAKES]
        crowds = [stack.enter_context(crowd) for crowd in made]
        for crowd in crowds:
            crowd.go()
        end = time.monotonic() + WATCH
        while time.monotonic() < end and not all(_heard(crowd) for crowd in crowds):
            time.sleep(0.02)
    return [_cell(crowd, mistake) for crowd, mistake in zip(crowds, MISTAKES, strict=True)]


def _hosts(lab: Lab, mistake: Mistake) -> list[tuple[str, int]]:
    if mistake.host is None:
        return lab.hosts()[:1]
    return [(mistake.host[0] or lab.primary.address, mistake.host[1])]


def _heard(crowd: Crowd) -> tuple[float, str] | None:
    """Seconds from opening to the first error, and its text."""
    if crowd.opened is None:
        return None
    began, opened, error = crowd.opened
    if error:
        return opened - began, error
    return next(((call.end - began, call.error) for call in crowd.calls if call.error and call.end), None)


def _cell(crowd: Crowd, mistake: Mistake) -> str:
    heard = _heard(crowd)
    if heard is None:
        return f"nothing in {WATCH:.0f} s"
    seconds, text = heard
    return f"{seconds:.2f} s, {'cause shown' if any(word in text for word in mistake.cause) else 'cause hidden'}"
