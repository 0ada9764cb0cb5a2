"""Wait until the database answers: psycopg and argparse, by hand."""

import argparse
import json
import os
import signal
import sys
import time

import psycopg

NEVER = ("authentication failed", "pg_hba.conf", "no password supplied")


class Late(Exception):
    """The timeout."""


def stop(number, frame):
    raise KeyboardInterrupt


def late(number, frame):
    raise Late


def fail(args, code, what, why=""):
    if args.json:
        print(json.dumps({"ok": False, "error": what, "why": why}))
    print(f"error: {what}: {why}" if why else f"error: {what}", file=sys.stderr)
    return code


def main():
    parser = argparse.ArgumentParser(description="Wait until the database answers.")
    parser.add_argument("--dsn", default=os.environ.get("DATABASE_URL", ""))
    parser.add_argument("--every", type=float, default=0.2, help="seconds between two tries")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--timeout", type=float, default=60, help="give up after so many seconds")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGALRM, late)
    started, why = time.monotonic(), ""
    try:
        signal.setitimer(signal.ITIMER_REAL, args.timeout)
        while True:
            try:
                with psycopg.connect(args.dsn, connect_timeout=10) as conn:
                    conn.execute("SELECT 1")
                break
            except psycopg.Error as error:
                why = str(error)
                if any(words in why for words in NEVER):
                    return fail(args, 3, "the database does not let us in", why)
            time.sleep(args.every)
    except Late:
        return fail(args, 4, f"no database within {args.timeout:g} s", why)
    except KeyboardInterrupt:
        return fail(args, 130, "interrupted", why)
    waited = round(time.monotonic() - started, 1)
    print(json.dumps({"ok": True, "waited": waited}) if args.json else f"the database answers after {waited} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
