"""What the server's counters say of the work: by what they have gained, never by what they are."""

from __future__ import annotations

import re
from typing import Any

from ...view import Grade, count, size, span
from ..altering import alter_system
from ..catalogue import COUNTING
from ..registry import YOUNG, Finding, Limits, check_of, most
from ..sessions import NEEDS, SEES_ALL

HOUR, DAY = 3600.0, 86400.0
AGE = f"extract(epoch FROM now() - coalesce(stats_reset, {COUNTING}))::float AS age"
DATABASES = "FROM pg_stat_database WHERE datname IS NOT NULL AND datname NOT LIKE 'template_'"
MIB = 1024**2
STATEMENTS = "pg_stat_statements"
SHOWN = 100  # characters of a statement


def one_line(query: str) -> str:
    """Return the beginning of a statement as it may stand in a sentence."""
    words = " ".join(query.split())
    return words if len(words) <= SHOWN else words[: SHOWN - 3] + "..."


def _nothing(rows: list[Any], good: str) -> Finding:
    """Return what no evidence means: nothing, where the counters are young and no run has looked at them before."""
    seconds = max((row.seconds for row in rows), default=0.0)
    young = all(row.age is not None and row.age < DAY for row in rows)
    if young and seconds < HOUR / 2:
        return Finding(Grade.UNKNOWN, f"{good} in {span(seconds)}, which is too short to tell", kind=YOUNG)
    return Finding(Grade.OK, f"{good} in {span(seconds)}")


@check_of(
    f"SELECT datname AS name, deadlocks::float AS deadlocks, {AGE} {DATABASES}",
    warn=1,
    fail=60,
    cost="quick",
    counters=("deadlocks",),
    key="name",
)
def deadlocks(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Deadlocks (limits in an hour).

    Each ends one of the transactions. Programs take the same locks in different order; the log names both statements.
    """
    found = []
    for row in rows:
        rate = row.deadlocks / max(row.seconds, HOUR) * HOUR
        text = f"{count(int(row.deadlocks), 'deadlock')} in {row.name} in {span(row.seconds)}"
        fix = (
            "-- both statements stand in the server's log; take the locks in one order, or retry on SQLSTATE 40P01\n"
            + alter_system("log_lock_waits = on")
        )
        found.append(limits.finding(rate, text, fix=fix, object=row.name))
    return [one for one in found if one.grade is not Grade.OK] or _nothing(rows, "no deadlock")


@check_of(
    f"""SELECT datname AS name, xact_commit::float AS commits, xact_rollback::float AS rollbacks, {AGE}
          {DATABASES}""",
    warn=0.2,
    fail=0.6,
    cost="quick",
    counters=("commits", "rollbacks"),
    key="name",
)
def rollbacks(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Transactions that are rolled back, where there are 500 or more (limits as a share).

    Something fails again and again: a constraint, a timeout, a program that uses errors for its logic.
    """
    found = []
    for row in rows:
        total = row.commits + row.rollbacks
        if total < LEAST_TRANSACTIONS or row.rollbacks < LEAST_TRANSACTIONS / 5:
            continue
        share = row.rollbacks / total
        text = (
            f"{row.rollbacks:,.0f} of {total:,.0f} transactions of {row.name} in {span(row.seconds)} were rolled back"
        )
        fix = "-- the errors are in the server's log; which statements fail:\n" + alter_system(
            "log_min_error_statement = 'error'"
        )
        found.append(limits.finding(share, text, fix=fix, object=row.name))
    return [one for one in found if one.grade is not Grade.OK] or _nothing(rows, "few rollbacks")


LEAST_TRANSACTIONS = 500


def _temp(worst: str) -> str:
    return f"""SELECT datname AS name, temp_bytes::float AS bytes, temp_files::float AS files, {AGE},
              current_setting('work_mem') AS work_mem, {worst} AS worst {DATABASES}"""


@check_of(
    _temp("NULL"),
    extended=(
        STATEMENTS,
        _temp(
            """CASE WHEN temp_bytes >= 10485760 THEN (SELECT left(s.query, 200) FROM {schema}.pg_stat_statements s
                WHERE s.dbid = datid AND s.temp_blks_written > 0 ORDER BY s.temp_blks_written DESC LIMIT 1) END"""
        ),
    ),
    warn=100 * MIB,
    fail=100 * 1024 * MIB,
    cost="quick",
    counters=("bytes", "files"),
    key="name",
)
def temp_files(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Sorts and hashes that did not fit in work_mem and went to disk (limits in bytes an hour).

    They are slow, and enough of them at once fill the disk. temp_file_limit bounds one session.
    """
    found = []
    for row in rows:
        rate = row.bytes / max(row.seconds, HOUR) * HOUR
        text = f"{size(row.bytes)} in {row.files:,.0f} temporary files of {row.name} in {span(row.seconds)}"
        text += f"; most were written by: {one_line(row.worst)}" if row.worst else ""
        fix = (
            "-- which statement: inv health.queries --by temp; more memory for the role that runs it (it has "
            f"{row.work_mem}), or an index that spares the sort\n" + alter_system("log_temp_files = '10MB'")
        )
        found.append(limits.finding(rate, text, fix=fix, object=row.name))
    return [one for one in found if one.grade is not Grade.OK] or _nothing(rows, "few temporary files")


@check_of(
    f"""SELECT datname AS name, blks_hit::float AS hits, blks_read::float AS reads, {AGE},
              current_setting('shared_buffers') AS buffers,
              (SELECT setting::float FROM pg_settings WHERE name = 'shared_buffers') AS pages,
              extract(epoch FROM now() - pg_postmaster_start_time())::float AS up,
              EXISTS (SELECT FROM pg_stat_activity a WHERE a.datid = pg_stat_database.datid
                         AND a.application_name = 'pg_dump') AS dumped {DATABASES}""",  # noqa: S608  (constants)
    warn=0.10,
    cost="quick",
    counters=("hits", "reads"),
    key="name",
)
def cache_misses(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Pages that were not in shared_buffers, where 10,000 or more were read (limit as a share of all).

    What is read often does not fit: shared_buffers are small, or a query reads a whole large table again and again.
    While a dump reads everything once, nothing can be told.
    """
    found = []
    for row in rows:
        cold = 2 * row.pages if row.up < WARM else 0.0
        if row.reads < max(LEAST_READS, cold) or row.dumped:
            continue
        share = row.reads / (row.hits + row.reads)
        text = f"{share:.0%} of the pages of {row.name} were not in shared_buffers in {span(row.seconds)}"
        fix = (
            f"-- shared_buffers are {row.buffers}; a quarter of the memory is usual ([settings], then\n"
            "-- inv provision.apply); which statement reads most: inv health.queries --by io"
        )
        found.append(limits.finding(share, text, fix=fix, object=row.name))
    return [one for one in found if one.grade is not Grade.OK] or _nothing(rows, "the cache serves what is read")


LEAST_READS = 10_000
WARM = 600  # seconds after a start in which it is nothing to wonder at that the cache is filled


@check_of(
    f"""SELECT datname AS name, sessions::float AS sessions, sessions_abandoned::float AS abandoned,
              sessions_fatal::float AS fatal, sessions_killed::float AS killed, {AGE} {DATABASES}""",
    warn=5,
    cost="quick",
    counters=("sessions", "abandoned", "fatal", "killed"),
    key="name",
)
def connection_churn(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Sessions that are opened all the time (limit in a second).

    Each costs the server a process and the program a login. A pool in the program, or a pooler, keeps them open.
    """
    found = []
    for row in rows:
        rate = row.sessions / max(row.seconds, BURST)
        text = f"{rate:.1f} new sessions a second in {row.name} ({row.sessions:,.0f} in {span(row.seconds)})"
        fix = (
            "-- who they are; they need a pool (pgcohesion's orchestrator has one) or a pooler:\n"
            "SELECT usename, application_name, client_addr, count(*) FROM pg_stat_activity\n"
            " GROUP BY 1, 2, 3 ORDER BY 4 DESC;"
        )
        found.append(limits.finding(rate, text, fix=fix, object=row.name))
    return [one for one in found if one.grade is not Grade.OK] or _nothing(rows, "few new sessions")


@check_of(
    f"""SELECT datname AS name, sessions::float AS sessions, sessions_abandoned::float AS abandoned,
              sessions_fatal::float AS fatal, sessions_killed::float AS killed, {AGE} {DATABASES}""",
    warn=0.2,
    cost="quick",
    counters=("sessions", "abandoned", "fatal", "killed"),
    key="name",
)
def lost_sessions(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Sessions that did not end by themselves, where there are 20 or more (limit as a share of all).

    Clients that vanish without a word are killed, time out or lose their network; others meet a fatal error.
    """
    found = []
    for row in rows:
        lost = row.abandoned + row.fatal + row.killed
        if lost < LEAST_LOST:
            continue
        text = (
            f"{row.name} lost {lost:,.0f} of {max(row.sessions, lost):,.0f} sessions in {span(row.seconds)}: "
            f"{row.abandoned:.0f} abandoned, {row.fatal:.0f} by a fatal error, {row.killed:.0f} killed"
        )
        fix = "-- the log says who; dead clients are noticed sooner with\n" + alter_system(
            "client_connection_check_interval = '10s'", "log_disconnections = on"
        )
        found.append(limits.finding(lost / max(row.sessions, lost), text, fix=fix, object=row.name))
    return [one for one in found if one.grade is not Grade.OK] or _nothing(rows, "sessions end by themselves")


BURST = 600  # seconds: a start of everything at once is no churn
LEAST_LOST = 20


@check_of(
    f"""SELECT c.datname AS name, (c.confl_tablespace + c.confl_lock + c.confl_snapshot + c.confl_bufferpin
                + c.confl_deadlock)::float AS conflicts, pg_is_in_recovery() AS standby,
              extract(epoch FROM now() - coalesce(d.stats_reset, {COUNTING}))::float AS age
         FROM pg_stat_database_conflicts c JOIN pg_stat_database d USING (datid)""",  # noqa: S608  (a constant)
    warn=1,
    cost="quick",
    counters=("conflicts",),
    key="name",
)
def recovery_conflicts(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Queries on a standby that replay has cancelled (limit in an hour).

    They read rows that the primary has removed. max_standby_streaming_delay lets them finish, hot_standby_feedback
    keeps the rows.
    """
    if not any(row.standby for row in rows):
        return Finding(Grade.OK, "only a standby has such conflicts")
    found = []
    for row in rows:
        rate = row.conflicts / max(row.seconds, HOUR) * HOUR
        text = f"replay cancelled {row.conflicts:,.0f} queries of {row.name} in {span(row.seconds)}"
        found.append(limits.finding(rate, text, fix=alter_system("hot_standby_feedback = on"), object=row.name))
    return most([one for one in found if one.grade is not Grade.OK]) or _nothing(rows, "no conflict")


MADE = "CREATE EXTENSION pg_stat_statements;"


def _known(evicted: str, age: str) -> str:
    return f"""SELECT current_setting('shared_preload_libraries') ~ 'pg_stat_statements' AS loaded,
              EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_stat_statements') AS made,
              EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_stat_statements') AS available,
              current_setting('pg_stat_statements.max', true) AS most,
              (SELECT string_agg(quote_literal(btrim(x, ' "')) || ', ', '')
                 FROM unnest(string_to_array(current_setting('shared_preload_libraries'), ',')) AS x) AS others,
              {evicted}::float AS evicted, {age}::float AS age"""  # noqa: S608  (constants)


@check_of(
    _known("0", "NULL"),
    extended=(
        STATEMENTS,
        _known("dealloc", "extract(epoch FROM now() - stats_reset)") + " FROM {schema}.pg_stat_statements_info",
    ),
    cost="quick",
    counters=("evicted",),
)
def statement_statistics(rows: list[Any], limits: Limits) -> Finding:
    """Statistics of statements: without them nobody can say which query costs most."""
    (row,) = rows
    if row.loaded and row.made and row.evicted:
        text = f"pg_stat_statements forgot rare statements {row.evicted:,.0f} times in {span(row.seconds)}: "
        fix = "ALTER SYSTEM SET pg_stat_statements.max = 20000;  -- with a restart"
        return Finding(Grade.INFO, f"{text}it keeps {row.most}", fix, value=row.evicted)
    if row.loaded and row.made:
        return Finding(Grade.OK, "pg_stat_statements is at work")
    if not row.available:
        return Finding(Grade.INFO, "pg_stat_statements is not installed on the host")
    if not row.loaded:
        fix = (
            f"ALTER SYSTEM SET shared_preload_libraries = {row.others or ''}'pg_stat_statements';  -- with a restart\n"
        )
        return Finding(Grade.INFO, "pg_stat_statements is not loaded", f"{fix}{MADE}  -- after it")
    return Finding(Grade.INFO, "pg_stat_statements is loaded, not made", MADE)


@check_of(
    "SELECT NULL AS name, 0 AS calls, 0 AS ms, 0 AS total, NULL AS query, NULL::float AS age",
    extended=(
        STATEMENTS,
        """WITH top AS (SELECT queryid, dbid, userid, toplevel, calls, total_exec_time AS ms,
                           sum(total_exec_time) OVER () AS total
                      FROM {schema}.pg_stat_statements(false) ORDER BY total_exec_time DESC LIMIT 20)
       SELECT concat_ws(' ', s.queryid, d.datname, r.rolname, s.toplevel) AS name, s.queryid::text AS id,
              coalesce(d.datname, '') AS database, s.calls::float AS calls, s.ms, s.total,
              CASE WHEN s.calls >= 100 AND s.ms >= 20 * s.calls AND s.ms >= 0.1 * s.total THEN (
                   SELECT q.query FROM {schema}.pg_stat_statements(true) q
                    WHERE (q.queryid, q.dbid, q.userid, q.toplevel) = (s.queryid, s.dbid, s.userid, s.toplevel)
                    LIMIT 1) END AS query,
              extract(epoch FROM now() - (SELECT stats_reset FROM {schema}.pg_stat_statements_info))::float AS age
         FROM top s LEFT JOIN pg_database d ON d.oid = s.dbid LEFT JOIN pg_roles r ON r.oid = s.userid
        WHERE s.queryid IS NOT NULL""",
    ),
    warn=0.2,
    guard=SEES_ALL,
    needs=NEEDS,
    counters=("calls", "ms", "total"),
    key="name",
)
def slow_statements(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Statements of 20 ms and more that ran 100 times, and took much of all execution time (limit as a share).

    One better plan or one index there helps more than anything else.
    """
    if any(row.name is None for row in rows):
        return Finding(Grade.UNKNOWN, "nobody counts statements: pg_stat_statements is not at work")
    found = []
    for row in rows:
        if row.calls < LEAST_CALLS or row.ms < SLOW * row.calls or not row.total or _ours(row.query or ""):
            continue
        share = row.ms / row.total
        text = (
            f"{share:.0%} of all execution time in {span(row.seconds)} went to {row.calls:,.0f} calls of "
            f"{row.ms / row.calls:,.0f} ms in {row.database}: "
            f"{one_line(row.query or row.id)}"
        )
        fix = f"-- why it is slow: inv health.queries --plan {row.id}; which index may help: inv health.indexes"
        found.append(limits.finding(share, text, fix=fix, object=row.id))
    return most([one for one in found if one.grade is not Grade.OK]) or _nothing(rows, "no slow statement prevails")


def _ours(query: str) -> bool:
    """Return whether a statement only looks at the catalogue, as who watches a server does."""
    return re.search(r"\bpg_(stat|class|catalog|attribute|index|constraint|locks)", query) is not None


LEAST_CALLS, SLOW = 100, 20.0  # what the query above asks the texts for, too


@check_of(
    f"""SELECT datname AS name, blks_read::float AS reads, blk_read_time AS ms, {AGE},
              current_setting('track_io_timing')::bool AS timed {DATABASES}""",
    warn=10,
    fail=50,
    cost="quick",
    counters=("reads", "ms"),
    key="name",
)
def slow_reads(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Reads of pages that take long, where there are 10,000 or more (limits in milliseconds on average).

    The disk is slow or has too much to do; what the kernel has in its cache comes in hundredths of a millisecond.
    """
    if not all(row.timed for row in rows):
        return Finding(Grade.INFO, "nobody measures how long reads take", alter_system("track_io_timing = on"))
    found = []
    for row in rows:
        if row.reads < LEAST_READS:
            continue
        each = row.ms / row.reads
        text = f"{row.reads:,.0f} pages of {row.name} took {each:.1f} ms each to read in {span(row.seconds)}"
        fix = "-- what reads: inv health.queries --by io; whether the disk is busy: iostat -x 5, on the host"
        found.append(limits.finding(each, text, fix=fix, object=row.name))
    return [one for one in found if one.grade is not Grade.OK] or _nothing(rows, "reads are quick")


@check_of(
    f"SELECT name, blks_hit::float AS hits, blks_read::float AS reads, {AGE} FROM pg_stat_slru",  # noqa: S608  (a constant)
    warn=0.1,
    cost="quick",
    counters=("hits", "reads"),
    key="name",
)
def slru_misses(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Small caches of transaction states that are too small, where 10,000 pages or more were read (limit as a share).

    Many savepoints, row locks shared by many, or long transactions: every backend then waits for the same few pages.
    """
    found = []
    for row in rows:
        if row.reads < LEAST_READS:
            continue
        share = row.reads / (row.hits + row.reads)
        if limits.of_object(row.name).grade(share) is not Grade.OK:
            text = f"{share:.0%} of the pages of {row.name} were not in its cache in {span(row.seconds)}"
            fix = "-- who waits for it: SELECT wait_event, count(*) FROM pg_stat_activity GROUP BY 1 ORDER BY 2 DESC;"
            found.append(Finding(Grade.INFO, text, fix, row.name, share, threshold=limits.warn))
    return found or _nothing(rows, "the small caches suffice")
