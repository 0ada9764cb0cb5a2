"""Load the seed files that are new or have changed: psycopg and argparse, by hand."""

import argparse
import hashlib
import json
import os
import signal
import sys
from pathlib import Path

import psycopg

LOCK = 815_004
LEDGER = """
CREATE TABLE IF NOT EXISTS public.seed_files (
    name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT clock_timestamp())
"""
WRITE = """
INSERT INTO public.seed_files VALUES (%s, %s)
ON CONFLICT (name) DO UPDATE SET checksum = excluded.checksum, applied_at = excluded.applied_at
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


def loaded(conn):
    if conn.execute("SELECT to_regclass('public.seed_files')").fetchone()[0] is None:
        return {}
    return dict(conn.execute("SELECT name, checksum FROM public.seed_files").fetchall())


def load(conn, name, text, checksum):
    with conn.transaction():
        conn.execute("SET LOCAL ROLE chanuka_owner")
        conn.execute("SET LOCAL search_path = chanuka, public")
        conn.execute(text)
        conn.execute("RESET ROLE")
        conn.execute(WRITE, [name, checksum])


def work(args):
    folder = Path(args.folder)
    files = [path for name in args.sets.split(",") for path in sorted((folder / name).glob("*.sql"))]
    with psycopg.connect(args.dsn, autocommit=True, connect_timeout=10, application_name="seed") as conn:
        if not args.dry_run:
            if not conn.execute("SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchone()[0]:
                holder = conn.execute(HOLDER, [LOCK]).fetchone()
                return fail(args, 5, f"running already: {holder}")
            conn.execute(LEDGER)
        known, made = loaded(conn), []
        for path in files:
            name, text = str(path.relative_to(folder)), path.read_text()
            checksum = hashlib.sha256(text.encode()).hexdigest()
            if known.get(name) == checksum:
                continue
            if not args.dry_run:
                try:
                    load(conn, name, text, checksum)
                except psycopg.Error as error:
                    if error.sqlstate is None:
                        raise
                    return fail(args, 1, f"{path}: {error} ({error.sqlstate})")
            made.append(name)
            print(f"{'would load' if args.dry_run else 'loaded'} {name}", file=sys.stderr)
    if args.json:
        print(json.dumps({"ok": True, "dry_run": args.dry_run, "seeds": made}))
    else:
        print(f"{len(made)} seed files {'to load' if args.dry_run else 'loaded'}")
    return 0


def main():
    parser = argparse.ArgumentParser(description="Load the seed files that are new or have changed.")
    parser.add_argument("--dsn", default=os.environ.get("DATABASE_URL", ""))
    parser.add_argument("--folder", default="seeds", help="the folder of the sets")
    parser.add_argument("--sets", default="reference,sample", help="which sets, with commas")
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
