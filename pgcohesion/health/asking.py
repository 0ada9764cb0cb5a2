"""Ask a server many things in one round trip: nothing waits for a lock, nothing writes, an error loses one answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.pq import ExecStatus

Answer = list[Any] | psycopg.Error
BEGIN = "BEGIN TRANSACTION READ ONLY"
# Whose search_path it is does not matter then: names are read as they were meant, and come back with their schema.
# Before that it does: a database's owner may have set one that finds functions of his own first.
PATH = "pg_catalog"
EXTENSIONS = """(SELECT json_object_agg(e.extname, quote_ident(n.nspname))
    FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
   WHERE e.extname <> 'pg_stat_statements' OR current_setting('pg_stat_statements.max', true) IS NOT NULL
       ) AS extensions"""  # a standby has the extension of its primary, and not always the library
LIMITS = """SELECT pg_catalog.set_config('statement_timeout', %s, true) AS a,
    pg_catalog.set_config('lock_timeout', '200ms', true) AS b, pg_catalog.set_config('jit', 'off', true) AS c,
    pg_catalog.set_config('search_path', coalesce(%s, pg_catalog.current_setting('search_path')), true) AS d"""


def ask(
    connection: psycopg.Connection[Any], queries: Sequence[str], timeout: float, path: str | None = PATH
) -> list[Answer]:
    """Return the rows of each query, or its error; *timeout* in seconds is for each, *path* None is the role's own.

    All travel together; where one fails, those behind it travel again. Raises psycopg.OperationalError when the
    connection breaks, DeadlineExceeded when its deadline has passed.
    """
    answers: list[Answer] = []
    while len(answers) < len(queries):
        answers += _as_far_as_it_goes(connection, queries[len(answers) :], (f"{round(timeout * 1000)}ms", path))
    return answers


def _as_far_as_it_goes(
    connection: psycopg.Connection[Any], queries: Sequence[str], limits: tuple[str, str | None]
) -> list[Answer]:
    """Return the answers up to the first error, which is the last of them."""
    cursors: list[psycopg.Cursor[Any]] = []
    try:
        with connection.pipeline():
            connection.execute(BEGIN)
            connection.execute(LIMITS, limits)
            for query in queries:
                cursors.append(connection.execute(query))  # noqa: PERF401  (an error may come in the middle)
            connection.execute("COMMIT")
    except psycopg.Error as error:
        if connection.closed:
            raise
        connection.execute("ROLLBACK")
        done = [cursor for cursor in cursors if cursor.pgresult and cursor.pgresult.status == ExecStatus.TUPLES_OK]
        if len(done) == len(queries):
            raise
        return [*(cursor.fetchall() for cursor in done), error]
    return [cursor.fetchall() for cursor in cursors]
