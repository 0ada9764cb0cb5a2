"""A transaction of another library, done again under the rules of ``ConnectionManager.run``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import count
from typing import TypeVar

import psycopg

from ..connections import ConnectionManager
from ..connections.sqlstates import Effect, effect
from ..errors import CohesionError

C = TypeVar("C")
T = TypeVar("T")


def run(
    manager: ConnectionManager,
    begin: Callable[[], AbstractContextManager[C]],
    function: Callable[[C], T],
    *,
    readonly: bool,
    idempotent: bool,
    timeout: float | None,
) -> T:
    """Call *function* with what *begin* gives, which commits at its end; return what it returns.

    Again, until *timeout* seconds have passed, when the transaction surely left nothing behind; *readonly* or
    *idempotent*: also when that is unknown. Raises OutcomeUnknown when the connection was lost during COMMIT.
    """
    until = manager.until(timeout)
    for attempt in count():
        committing = False
        try:
            with begin() as given:
                result = function(given)
                committing = True
            return result  # noqa: TRY300  (within try: what fails is what stands above)
        except Exception as error:
            problem = cause(error)
            if problem is None:
                raise
            if committing and not (readonly or idempotent) and effect(problem, committing=True) is Effect.UNKNOWN:
                raise manager.unknown(problem) from error
            if not manager.worth(problem, readonly) or not manager.pause(attempt, until):
                raise
    raise AssertionError


def cause(error: Exception) -> psycopg.Error | None:
    """Return the server's error within a library's own; None for what a manager refused: that is final."""
    problem = error if isinstance(error, psycopg.Error) else getattr(error, "orig", None) or error.__cause__
    if not isinstance(problem, psycopg.Error) or isinstance(problem.__cause__, CohesionError):
        return None
    return problem
