"""Standbys and subscriptions: whether they follow."""

from __future__ import annotations

from typing import Any

from ...view import Grade, count, size, span
from ..altering import RELOAD
from ..registry import LOG, Finding, Limits, check_of, most
from ..sessions import remark

MIB = 1024**2
GIB = 1024**3
JUST_STARTED = 60.0
"""Seconds in which a standby replays the WAL that it has, and has no receiver yet."""


@check_of(
    """SELECT coalesce(nullif(application_name, ''), host(client_addr), pid::text) AS name, state,
              host(client_addr) AS address, count(*) OVER (PARTITION BY application_name) AS namesakes,
              greatest(pg_wal_lsn_diff(here.lsn, coalesce(sent_lsn, here.lsn)), 0)::float AS unsent,
              greatest(pg_wal_lsn_diff(here.lsn, coalesce(flush_lsn, write_lsn, sent_lsn, here.lsn)), 0)::float
                  AS unflushed,
              greatest(pg_wal_lsn_diff(here.lsn, coalesce(replay_lsn, flush_lsn, write_lsn, sent_lsn, here.lsn)),
                       0)::float AS behind
         FROM pg_stat_replication,
              (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn()
                           ELSE pg_current_wal_lsn() END) here(lsn)
        WHERE state <> 'backup'
        ORDER BY behind DESC""",
    warn=100 * MIB,
    fail=1 * GIB,
    cost="quick",
)
def replication_lag(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Standbys that are behind (limits in bytes of WAL; an idle primary is never behind).

    What is not on a standby is lost when the primary is, and reads from it are old.
    """
    found = []
    for row in rows:
        if row.unsent >= row.behind / 2:
            where = "not sent: the network, or a slow reader"
            fix = "SELECT pid, client_addr, state, sent_lsn, pg_current_wal_lsn() FROM pg_stat_replication;"
        elif row.unflushed >= row.behind / 2:
            where = "sent and not written: the standby's disk"
            fix = (
                "-- on the standby:\nSELECT status, written_lsn, flushed_lsn, latest_end_lsn FROM pg_stat_wal_receiver;"
            )
        else:
            where = "written and not replayed: paused, held up by a query, or short of CPU"
            fix = (
                "-- on the standby:\nSELECT pg_get_wal_replay_pause_state(), pg_last_xact_replay_timestamp();\n"
                "SELECT pid, usename, now() - xact_start AS age FROM pg_stat_activity ORDER BY xact_start LIMIT 5;"
            )
        # A name that is not set is the cluster's, and on Debian the same on every host.
        shown = f"{row.name} at {row.address}" if row.address and row.address != row.name else row.name
        object = shown if row.namesakes > 1 else row.name  # noqa: A001  (what a finding calls it)
        found.append(
            limits.finding(row.behind, f"{shown} is {size(row.behind)} behind, {where}", fix=fix, object=object)
        )
    return most([one for one in found if one.grade is not Grade.OK]) or Finding(
        Grade.OK, f"{count(len(rows), 'standby', 'standbys')} up to date" if rows else "no standby is connected"
    )


@check_of(
    """SELECT CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END AS paused,
              CASE WHEN pg_is_in_recovery()
                   THEN pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) END::float AS waiting""",
    fail=1 * GIB,
    cost="quick",
)
def replay_paused(rows: list[Any], limits: Limits) -> Finding:
    """Replay that somebody has paused while WAL waits (limit in bytes that wait).

    The standby answers with old data, its disk fills up, and a failover takes as long as the replay that is due.
    """
    (row,) = rows
    # Without a receiver the standby reads an archive: how much waits there is not known to it.
    if not row.paused or row.waiting == 0:
        return Finding(Grade.OK, "replay is paused, and nothing waits" if row.paused else "replay is not paused")
    waits = "WAL waits in the archive" if row.waiting is None else f"{size(row.waiting)} of WAL wait"
    grade = Grade.FAIL if row.waiting is not None and limits.grade(row.waiting) is Grade.FAIL else Grade.WARN
    return Finding(
        grade,
        f"replay is paused, {waits}",
        "SELECT pg_wal_replay_resume();",
        value=row.waiting,
        undo="SELECT pg_wal_replay_pause();",
    )


@check_of(
    """SELECT pg_is_in_recovery() AS standby, current_setting('primary_conninfo') <> '' AS follows,
              current_setting('restore_command') <> '' AS restores,
              CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END AS paused,
              (SELECT status FROM pg_stat_wal_receiver) AS status,
              EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'startup'
                         AND wait_event = 'RecoveryRetrieveRetryInterval') AS waits,
              extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float AS age""",
    cost="quick",
    guard="pg_has_role('pg_read_all_settings', 'USAGE') AND pg_has_role('pg_read_all_stats', 'USAGE')",
    needs="pg_monitor: GRANT pg_monitor TO <role>;",
)
def wal_receiver(rows: list[Any], limits: Limits) -> Finding:
    """A standby that is told to follow a primary and has no connection to it, or is told to follow nobody.

    It falls behind by everything that is written from now on; without a slot the primary may throw away what it needs.
    """
    (row,) = rows
    if row.standby and not row.follows and not row.restores:
        text = "this standby follows nobody: primary_conninfo and restore_command are both empty"
        fix = f"-- ALTER SYSTEM SET primary_conninfo = 'host=... user=...';  -- where its primary is, then\n{RELOAD}"
        return Finding(Grade.FAIL, text, fix, "primary_conninfo")
    if not row.standby or not row.follows:
        return Finding(Grade.OK, "follows no primary")
    if row.status is not None:
        return Finding(Grade.OK, f"the receiver is {row.status}")
    fix = f"{LOG}why: no route, password, slot missing, or WAL already removed"
    if row.paused:  # a receiver that ended is started again by the replay only
        fix = "-- the receiver comes back with the replay, which is paused\nSELECT pg_wal_replay_resume();"
    elif row.age < JUST_STARTED and not row.waits:
        return Finding(Grade.INFO, f"started {span(row.age)} ago, and replays what it has before it connects", fix)
    return Finding(Grade.FAIL, "this standby has no wal receiver", fix)


@check_of(
    """SELECT s.subname AS name, quote_ident(s.subname) AS ident, d.datname AS home, s.subenabled AS enabled,
              coalesce(t.apply_error_count, 0) + coalesce(t.sync_error_count, 0) AS errors,
              EXISTS (SELECT FROM pg_stat_subscription w
                       WHERE w.subid = s.oid AND w.relid IS NULL AND w.pid IS NOT NULL
                         AND w.received_lsn IS NOT NULL) AS running
         FROM pg_subscription s
         JOIN pg_database d ON d.oid = s.subdbid
         LEFT JOIN pg_stat_subscription_stats t ON t.subid = s.oid
        WHERE NOT pg_is_in_recovery()
        ORDER BY s.subname""",
    min_version=15,
    cost="quick",
)
def subscriptions(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Subscriptions that fail: enabled without a worker, or disabled after errors.

    The tables grow old here, and the publisher keeps its WAL for them until its disk is full.
    Errors of a worker that runs again are over, and are not counted.
    """
    found = []
    for row in rows:
        errors = count(row.errors, "error") + " so far"
        if row.enabled and not row.running:
            fix = (
                f"{LOG}why; for a conflict: delete the row here, or skip its transaction:\n"
                f"-- in {remark(row.home)}: ALTER SUBSCRIPTION {remark(row.ident)} SKIP (lsn = 'the one in the log');\n"
                f"-- or until it is mended: ALTER SUBSCRIPTION {remark(row.ident)} DISABLE;"
            )
            found.append(Finding(Grade.FAIL, f"subscription {row.name} has no worker, {errors}", fix, row.name))
        elif not row.enabled and row.errors:
            fix = f"-- in {remark(row.home)}, after mending what the log names\nALTER SUBSCRIPTION {row.ident} ENABLE;"
            found.append(Finding(Grade.WARN, f"subscription {row.name} is disabled, {errors}", fix, row.name))
    return most(found) or Finding(Grade.OK, "every subscription that is enabled runs")


@check_of(
    """SELECT s.subname AS name, quote_ident(s.subname) AS ident, s.subenabled AS enabled,
              count(*) FILTER (WHERE r.srsubstate IN ('s', 'r'))::int AS copied,
              count(*) FILTER (WHERE r.srsubstate IN ('i', 'd', 'f'))::int AS missing,
              min(r.srrelid) FILTER (WHERE r.srsubstate IN ('i', 'd', 'f'))::regclass::text AS first,
              coalesce(t.sync_error_count, 0) AS failed, coalesce(t.apply_error_count, 0) AS errors,
              EXISTS (SELECT FROM pg_stat_subscription w
                       WHERE w.subid = s.oid AND w.relid IS NOT NULL AND w.pid IS NOT NULL) AS copying
         FROM pg_subscription s
         JOIN pg_subscription_rel r ON r.srsubid = s.oid
         LEFT JOIN pg_stat_subscription_stats t ON t.subid = s.oid
        WHERE NOT pg_is_in_recovery()
          AND s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
        GROUP BY s.oid, s.subname, s.subenabled, t.sync_error_count, t.apply_error_count
        ORDER BY s.subname""",
    scope="database",
    min_version=15,
    cost="quick",
)
def subscribed_tables(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Tables that a subscription has stopped to follow, because somebody disabled it, or whose first copy fails.

    They grow old or stay empty here while the worker looks well, and the publisher keeps WAL for them.
    """
    found = []
    for row in rows:
        if row.enabled and row.missing and row.failed and not row.copying:
            text = (
                f"subscription {row.name} cannot copy {count(row.missing, 'table')}, {row.first} first,"
                f" {count(row.failed, 'error')} so far"
            )
            fix = (
                f"{LOG}why; often a row that is here already, or a table that differs\n"
                "-- once that is out of the way the copy begins by itself"
            )
            found.append(Finding(Grade.FAIL, text, fix, row.name))
        elif not row.enabled and row.copied and not row.failed and not row.errors:  # else `subscriptions` has said so
            text = f"subscription {row.name} is disabled and leaves {count(row.copied, 'table')} to grow old here"
            fix, undo = (f"ALTER SUBSCRIPTION {row.ident} {verb};" for verb in ("ENABLE", "DISABLE"))
            found.append(Finding(Grade.WARN, text, fix, row.name, undo=undo))
    return most(found) or Finding(Grade.OK, "what is subscribed here is followed")
