"""Refresh planner statistics of tables that changed a lot: psycopg and argparse, by hand."""

import argparse
import json
import os
import random
import signal
import sys
import time

import psycopg
from psycopg import sql

LOCK = 815_001
STALE = """
SELECT schemaname, relname, n_mod_since_analyze FROM pg_stat_user_tables
 WHERE n_mod_since_analyze > %s ORDER BY n_mod_since_analyze DESC, 1, 2
"""
HOLDER = """
SELECT a.pid, a.application_name, a.backend_start FROM pg_locks l JOIN pg_stat_activity a USING (pid)
 WHERE l.locktype = 'advisory' AND l.granted AND l.objid = %s
"""
RETRIES = 3


class Late(KeyboardInterrupt):
    """The timeout; psycopg cancels the statement on a KeyboardInterrupt."""


def stop(number, frame):
    raise KeyboardInterrupt


def late(number, frame):
    raise Late


def fail(args, code, what):
    if args.json:
        print(json.dumps({"ok": False, "error": what}))
    print(f"error: {what}", file=sys.stderr)
    return code


def analyze(conn, schema, table):
    for attempt in range(RETRIES + 1):
        try:
            conn.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(schema, table)))
        except psycopg.Error as error:
            state = error.sqlstate or ""
            if attempt == RETRIES or not (state.startswith("40") or state == "55P03"):
                raise
            time.sleep(random.uniform(0, min(5, 0.1 * 2**attempt)))
        else:
            return


def work(args):
    with psycopg.connect(args.dsn, autocommit=True, connect_timeout=10, application_name="analyze_stale") as conn:
        if not args.dry_run and not conn.execute("SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchone()[0]:
            holder = conn.execute(HOLDER, [LOCK]).fetchone()
            return fail(args, 5, f"running already: {holder}")
        tables = conn.execute(STALE, [args.min_changes]).fetchall()
        for number, (schema, table, changed) in enumerate(tables, 1):
            if not args.dry_run:
                analyze(conn, schema, table)
            word = "would analyze" if args.dry_run else "analyzed"
            print(f"{number} of {len(tables)}: {word} {schema}.{table} ({changed} rows changed)", file=sys.stderr)
    if args.json:
        names = [f"{schema}.{table}" for schema, table, _ in tables]
        print(json.dumps({"ok": True, "dry_run": args.dry_run, "tables": names}))
    else:
        print(f"{len(tables)} tables {'to analyze' if args.dry_run else 'analyzed'}")
    return 0


def main():
    parser = argparse.ArgumentParser(description="Refresh planner statistics of tables that changed a lot.")
    parser.add_argument("--dsn", default=os.environ.get("DATABASE_URL", ""))
    parser.add_argument("--min-changes", type=int, default=1000, help="rows changed since the last ANALYZE")
    parser.add_argument("--dry-run", action="store_true", help="show what would be done")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--timeout", type=float, default=1800, help="give up after so many seconds")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGALRM, late)
    try:
        signal.setitimer(signal.ITIMER_REAL, args.timeout)
        return work(args)
    except Late:
        return fail(args, 4, f"it did not end within {args.timeout:g} s")
    except KeyboardInterrupt:
        return fail(args, 130, "interrupted")
    except psycopg.OperationalError as error:
        return fail(args, 1 if error.sqlstate else 3, str(error))
    except psycopg.Error as error:
        return fail(args, 1, str(error))


if __name__ == "__main__":
    sys.exit(main())
