"""Several statements in one round trip; an error names the statement that caused it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import psycopg
from psycopg.pq import ExecStatus
from psycopg.sql import SQL, Composed

from .database import Connection
from .errors import translate

_GOOD = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)


def execute(connection: Connection, statements: Sequence[tuple[str, SQL | Composed]], *, transaction: bool) -> None:
    """Run (what, statement) pairs, in one transaction and one pipeline unless *transaction* is False.

    Raises ServerError that names what failed; then nothing of the transaction stands.
    """
    cursors: list[psycopg.Cursor[object]] = []
    together = transaction and len(statements) > 1
    try:
        with (
            connection.transaction() if together else nullcontext(),
            connection.pipeline() if together else nullcontext(),
        ):
            for _, statement in statements:
                cursors.append(connection.cursor())
                cursors[-1].execute(statement)
    except psycopg.Error as error:
        raise translate(error, f"`{statements[_culprit(cursors)][0]}` failed") from error


def _culprit(cursors: Sequence[psycopg.Cursor[object]]) -> int:
    for position, cursor in enumerate(cursors):
        if cursor.pgresult is None or cursor.pgresult.status not in _GOOD:
            return position
    return len(cursors) - 1
