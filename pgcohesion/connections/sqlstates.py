"""What an error of the server or of libpq means for trying again (PostgreSQL's manual, appendix A).

A statement may run again when it is idempotent, or when it surely had no effect. The server's error report says the
latter: the transaction was rolled back. A connection that breaks says it only before COMMIT was sent.
"""

from __future__ import annotations

from enum import Enum

import psycopg

from ..errors import CohesionError

TRY_AGAIN = {
    "40001": "serialization_failure",
    "40P01": "deadlock_detected",
    "25006": "read_only_sql_transaction",  # after a failover: another host is the primary now
    "57P03": "cannot_connect_now",
    "53300": "too_many_connections",
    "57P01": "admin_shutdown",
    "57P02": "crash_shutdown",
    "57P05": "idle_session_timeout",
    "25P03": "idle_in_transaction_session_timeout",
    "25P04": "transaction_timeout",
}
"""States that pass by themselves, or on another host."""

ENDS_SESSION = {"57P01", "57P02", "57P05", "25P03", "25P04"}
"""FATAL: the connection is gone with them."""

PERMANENT_CLASSES = ("28", "3D", "42", "22", "0A")
"""Connecting fails with one of these until somebody mends it: password, database, role, option."""


class Effect(Enum):
    """What a failed statement left behind."""

    NONE = "rolled back: it may run again"
    UNKNOWN = "it may have been committed"
    FINAL = "refused: it would be refused again"


def lost(error: BaseException) -> bool:
    """Return whether the connection broke, by what libpq or the server's last words say."""
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate is None:
        return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
    return error.sqlstate in ENDS_SESSION or error.sqlstate.startswith("08")


def effect(error: BaseException, *, committing: bool) -> Effect:
    """Return what a failed statement or transaction left behind.

    *committing*: COMMIT, or a statement that commits by itself, was under way.
    """
    if lost(error):
        return Effect.UNKNOWN if committing else Effect.NONE
    if isinstance(error, psycopg.Error) and (error.sqlstate or "") in TRY_AGAIN:
        return Effect.NONE
    return Effect.FINAL


def permanent(error: Exception) -> bool:
    """Return whether connecting would fail again in the same way."""
    if not isinstance(error, psycopg.Error):
        return not isinstance(error, CohesionError)
    if error.sqlstate is None:
        return isinstance(error, psycopg.ProgrammingError) or "password" in str(error)
    return error.sqlstate.startswith(PERMANENT_CLASSES)
