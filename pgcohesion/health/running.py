"""Ask the server: one transaction and one round trip a database; a refused statement does not lose the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg

from ..connections import translate
from ..view import Grade
from .registry import Check, Finding, Limits, findings

if TYPE_CHECKING:
    from ..context import Context

Answer = list[Any] | psycopg.Error
DATABASES = "SELECT datname FROM pg_database"
LIMITS = "SELECT set_config('statement_timeout', %s, true) AS a, set_config('lock_timeout', '200ms', true) AS b"
NOT_ALLOWED = "42501"


def run(ctx: Context, checks: Sequence[Check]) -> Iterator[Finding]:
    """Yield the findings of *checks*. Nothing waits for a lock, nothing can write."""
    cluster = [check for check in checks if check.scope == "cluster"]
    inside = [check for check in checks if check.scope == "database"]
    yield from _judged(ctx, cluster, "postgres", "")
    present = {row.datname for row in ctx.db.execute(DATABASES, database="postgres")}
    for name in ctx.config.databases:
        if name in present:
            yield from _judged(ctx, inside, name, name if len(ctx.config.databases) > 1 else "")
        else:
            fix = f"inv db.setup --env={ctx.env}"
            yield Finding(Grade.FAIL, f"database {name} is missing", fix, name, check="databases")


def _judged(ctx: Context, checks: Sequence[Check], database: str, shown: str) -> Iterator[Finding]:
    connection = ctx.db.connection(database)
    version = connection.info.server_version // 10000
    able = [check for check in checks if version >= check.min_version]
    try:
        timeout = ctx.config.health.timeout / 2  # one slow statement leaves time for the others
        refused = _refused(connection, able, timeout)
        yield from (Finding(Grade.SKIPPED, f"needs {check.needs}", check=check.id) for check in refused)
        able = [check for check in able if check not in refused]
        answers = ask(connection, [check.query_on(version) for check in able], timeout)
    except psycopg.Error as error:
        raise translate(error, "the health checks could not be run") from error
    for check, answer in zip(able, answers, strict=True):
        limits = Limits.of(check, ctx.config.health.limits.get(check.id))
        if isinstance(answer, psycopg.Error):
            grade = Grade.SKIPPED if answer.sqlstate == NOT_ALLOWED else Grade.UNKNOWN
            yield Finding(grade, str(answer.diag.message_primary or answer), check=check.id)
        else:
            yield from findings(check, answer, limits, shown)


def _refused(connection: psycopg.Connection[Any], checks: Sequence[Check], timeout: float) -> list[Check]:
    """Return the checks whose guard says that this role, or this server, cannot be asked: one round trip for all."""
    guarded = [check for check in checks if check.guard]
    if not guarded:
        return []
    columns = ", ".join(f"({check.guard}) AS g{position}" for position, check in enumerate(guarded))
    (answer,) = ask(connection, [f"SELECT {columns}"], timeout)
    if isinstance(answer, psycopg.Error):
        raise answer
    return [check for check, allowed in zip(guarded, answer[0], strict=True) if not allowed]


def ask(connection: psycopg.Connection[Any], queries: Sequence[str], timeout: float) -> list[Answer]:
    """Return the rows of each query, or its error; *timeout* in seconds is for each.

    All travel together; only when one fails they are asked one by one, to find out which.
    Raises psycopg.OperationalError when the connection breaks.
    """
    try:
        with _reading(connection, timeout), connection.pipeline():
            cursors = [connection.execute(query) for query in queries]
        return [cursor.fetchall() for cursor in cursors]
    except psycopg.Error:
        if connection.closed:
            raise
    return [_alone(connection, query, timeout) for query in queries]


def _alone(connection: psycopg.Connection[Any], query: str, timeout: float) -> Answer:
    try:
        with _reading(connection, timeout):
            return connection.execute(query).fetchall()
    except psycopg.Error as error:
        if connection.closed:
            raise
        return error


@contextmanager
def _reading(connection: psycopg.Connection[Any], timeout: float) -> Iterator[None]:
    with connection.transaction():
        connection.execute("SET TRANSACTION READ ONLY")
        connection.execute(LIMITS, (f"{round(timeout * 1000)}ms",))
        yield
