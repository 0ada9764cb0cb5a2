"""What an error left behind decides whether work may run again: a write never runs twice."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from pgcohesion.connections.sqlstates import Effect, effect, lost, permanent


@pytest.mark.parametrize(
    ("error", "before", "during"),
    [
        (errors.SerializationFailure("x"), Effect.NONE, Effect.NONE),
        (errors.DeadlockDetected("x"), Effect.NONE, Effect.NONE),
        (errors.ReadOnlySqlTransaction("x"), Effect.NONE, Effect.NONE),
        (errors.AdminShutdown("x"), Effect.NONE, Effect.UNKNOWN),
        (errors.CrashShutdown("x"), Effect.NONE, Effect.UNKNOWN),
        (psycopg.OperationalError("server closed the connection unexpectedly"), Effect.NONE, Effect.UNKNOWN),
        (errors.ConnectionFailure("x"), Effect.NONE, Effect.UNKNOWN),
        (errors.UniqueViolation("x"), Effect.FINAL, Effect.FINAL),
        (errors.SyntaxError("x"), Effect.FINAL, Effect.FINAL),
        (errors.QueryCanceled("x"), Effect.FINAL, Effect.FINAL),
        (errors.LockNotAvailable("x"), Effect.FINAL, Effect.FINAL),
        (errors.TransactionResolutionUnknown("x"), Effect.NONE, Effect.UNKNOWN),
        (psycopg.ProgrammingError("the query has 1 placeholder"), Effect.FINAL, Effect.FINAL),
        (ValueError("not the database's"), Effect.FINAL, Effect.FINAL),
    ],
)
def test_the_table(error: Exception, before: Effect, during: Effect) -> None:
    assert effect(error, committing=False) is before
    assert effect(error, committing=True) is during


def test_only_what_ends_the_session_is_lost() -> None:
    assert lost(errors.IdleInTransactionSessionTimeout("x"))
    assert not lost(errors.QueryCanceled("x"))
    assert not lost(KeyError())


def test_what_is_permanent() -> None:
    assert permanent(psycopg.ProgrammingError('invalid connection option "x"'))
    assert permanent(psycopg.OperationalError('FATAL: password authentication failed for user "x"'))
    assert not permanent(psycopg.OperationalError("Connection refused"))
