"""End sessions that are idle in a transaction, or too long: psycopg and argparse, by hand."""

import argparse
import json
import os
import signal
import sys

import psycopg

LOCK = 815_002
IDLE = """
SELECT pid, backend_start, state_change, usename, application_name, state,
       extract(epoch FROM clock_timestamp() - state_change)::int
  FROM pg_stat_activity
 WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
   AND clock_timestamp() - state_change
       > make_interval(secs => CASE WHEN state LIKE 'idle in%%' THEN %s WHEN state = 'idle' THEN %s::float END)
 ORDER BY state_change, pid
"""
END = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE pid = %s AND backend_start = %s AND state_change = %s AND state LIKE 'idle%%'
"""
HOLDER = """
SELECT a.pid, a.application_name, a.backend_start FROM pg_locks l JOIN pg_stat_activity a USING (pid)
 WHERE l.locktype = 'advisory' AND l.granted AND l.objid = %s
"""


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


def work(args):
    with psycopg.connect(args.dsn, autocommit=True, connect_timeout=10, application_name="kill_idle") as conn:
        if not args.dry_run and not conn.execute("SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchone()[0]:
            holder = conn.execute(HOLDER, [LOCK]).fetchone()
            return fail(args, 5, f"running already: {holder}")
        sessions = conn.execute(IDLE, [args.in_transaction, args.idle]).fetchall()
        for pid, start, since, role, program, state, seconds in sessions:
            if not args.dry_run:
                conn.execute(END, [pid, start, since])
            word = "would end" if args.dry_run else "ended"
            print(f"{word} session {pid} ({role}, {program}: {state} for {seconds} s)", file=sys.stderr)
    if args.json:
        print(json.dumps({"ok": True, "dry_run": args.dry_run, "sessions": [row[0] for row in sessions]}))
    else:
        print(f"{len(sessions)} sessions {'to end' if args.dry_run else 'ended'}")
    return 0


def main():
    parser = argparse.ArgumentParser(description="End sessions that are idle in a transaction, or too long.")
    parser.add_argument("--dsn", default=os.environ.get("DATABASE_URL", ""))
    parser.add_argument("--in-transaction", type=float, default=600, help="seconds that a transaction may be idle")
    parser.add_argument("--idle", type=float, help="seconds that a session may be idle (default: for ever)")
    parser.add_argument("--dry-run", action="store_true", help="show what would be done")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--timeout", type=float, default=60, help="give up after so many seconds")
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
