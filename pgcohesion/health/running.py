"""Ask the server: one connection and one pipeline a database; a refused statement does not lose the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import psycopg

from ..connections import translate
from ..view import Grade
from .registry import Check, Finding, Limits, findings

if TYPE_CHECKING:
    from ..context import Context

Answer = list[Any] | psycopg.Error


def run(ctx: Context, checks: Sequence[Check]) -> Iterator[Finding]:
    """Yield the findings of *checks*. Nothing waits for a lock."""
    cluster = [check for check in checks if check.scope == "cluster"]
    inside = [check for check in checks if check.scope == "database"]
    yield from _judged(ctx, cluster, "postgres", "")
    databases = {row.datname for row in ctx.db.execute("SELECT datname FROM pg_database", database="postgres")}
    for name in ctx.config.databases:
        if name in databases:
            yield from _judged(ctx, inside, name, name if len(ctx.config.databases) > 1 else "")
        else:
            yield Finding(Grade.FAIL, f"database {name} is missing", f"inv db.setup --env={ctx.env}", name, check="databases")


def _judged(ctx: Context, checks: Sequence[Check], database: str, shown: str) -> Iterator[Finding]:
    connection = ctx.db.connection(database)
    version = connection.info.server_version // 10000
    able = [check for check in checks if version >= check.min_version]
    for check, answer in zip(able, _ask(ctx, connection, able), strict=True):
        limits = Limits.of(check, ctx.config.health.limits.get(check.id))
        if isinstance(answer, psycopg.Error):
            grade = Grade.SKIPPED if answer.sqlstate == "42501" else Grade.UNKNOWN
            yield Finding(grade, str(answer.diag.message_primary or answer), check=check.id)
        else:
            yield from findings(check, answer, limits, shown)


def _ask(ctx: Context, connection: psycopg.Connection[Any], checks: Sequence[Check]) -> Iterable[Answer]:
    """Send all queries in one pipeline, a transaction each."""
    milliseconds = round(ctx.config.health.timeout * 1000)
    limits = "SELECT set_config('statement_timeout', %s, false) AS a, set_config('lock_timeout', '200ms', false) AS b"
    try:
        connection.execute(limits, (f"{milliseconds}ms",))
        return _pipelined(connection, [check.query for check in checks])
    except psycopg.Error as error:
        raise translate(error, "the health checks could not be run") from error


def _pipelined(connection: psycopg.Connection[Any], queries: Sequence[str]) -> list[Answer]:
    """Return the rows, or the error, of each query; all of them travel in one round trip."""
    answers: list[Answer] = []
    cursors = []
    with connection.pipeline() as pipeline:
        for query in queries:
            cursors.append(connection.cursor())
            cursors[-1].execute(query)  # type: ignore[call-overload]
            pipeline.sync()
    for cursor in cursors:
        answers.append(cursor.fetchall())
    return answers
