"""Apply the pending migrations: psycopg and argparse, by hand."""

import argparse
import hashlib
import json
import os
import signal
import sys
from pathlib import Path

import psycopg

LOCK = 815_003
LEDGER = """
CREATE TABLE IF NOT EXISTS public.schema_migrations (
    name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT clock_timestamp())
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


def applied(conn):
    if conn.execute("SELECT to_regclass('public.schema_migrations')").fetchone()[0] is None:
        return {}
    return dict(conn.execute("SELECT name, checksum FROM public.schema_migrations").fetchall())


def line_of(error, text):
    position = error.diag.statement_position
    return text.count("\n", 0, int(position) - 1) + 1 if position else "?"


def apply(conn, path, text, checksum):
    with conn.transaction():
        conn.execute("SET LOCAL ROLE chanuka_owner")
        conn.execute("SET LOCAL search_path = chanuka, public")
        conn.execute("SET LOCAL lock_timeout = '5s'")
        conn.execute(text)
        conn.execute("RESET ROLE")
        conn.execute("INSERT INTO public.schema_migrations VALUES (%s, %s)", [path.name, checksum])


def work(args):
    files = sorted(Path(args.folder).glob("*.sql"))
    with psycopg.connect(args.dsn, autocommit=True, connect_timeout=10, application_name="migrate") as conn:
        if not args.dry_run:
            if not conn.execute("SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchone()[0]:
                holder = conn.execute(HOLDER, [LOCK]).fetchone()
                return fail(args, 5, f"running already: {holder}")
            conn.execute(LEDGER)
        known, made = applied(conn), []
        texts = {path: path.read_text() for path in files}
        sums = {path: hashlib.sha256(text.encode()).hexdigest() for path, text in texts.items()}
        for path in files:
            if known.get(path.name, sums[path]) != sums[path]:
                return fail(args, 2, f"{path} was edited after it was applied")
        for path in files:
            if path.name in known:
                continue
            if not args.dry_run:
                try:
                    apply(conn, path, texts[path], sums[path])
                except psycopg.Error as error:
                    if error.sqlstate is None:
                        raise
                    return fail(args, 1, f"{path}:{line_of(error, texts[path])}: {error} ({error.sqlstate})")
            made.append(path.name)
            print(f"{'would apply' if args.dry_run else 'applied'} {path.name}", file=sys.stderr)
    if args.json:
        print(json.dumps({"ok": True, "dry_run": args.dry_run, "migrations": made}))
    else:
        print(f"{len(made)} migrations {'to apply' if args.dry_run else 'applied'}")
    return 0


def main():
    parser = argparse.ArgumentParser(description="Apply the pending migrations.")
    parser.add_argument("--dsn", default=os.environ.get("DATABASE_URL", ""))
    parser.add_argument("--folder", default="migrations", help="the folder of the files")
    parser.add_argument("--dry-run", action="store_true", help="show what would be done")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--timeout", type=float, default=0, help="give up after so many seconds")
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
