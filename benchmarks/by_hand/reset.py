"""Drop the database and set it up again: psycopg and argparse, by hand; setup.py does the second half."""

import argparse
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg

LOCK = 815_006
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
    folder = Path(args.folder)
    os.environ["PGPASSWORD"] = (folder / "superuser.password").read_text().strip()
    dsn = f"host={folder} port={args.port} user=postgres dbname=postgres"
    if not args.dry_run and args.yes != folder.name:
        return fail(args, 5, f"it drops all data: add --yes {folder.name}")
    with psycopg.connect(dsn, autocommit=True, connect_timeout=10, application_name="reset") as conn:
        if args.dry_run:
            print(json.dumps({"ok": True, "dry_run": True, "drop": ["chanuka"]}) if args.json else "drop chanuka")
            return 0
        if not conn.execute("SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchone()[0]:
            holder = conn.execute(HOLDER, [LOCK]).fetchone()
            return fail(args, 5, f"running already: {holder}")
        conn.execute("DROP DATABASE IF EXISTS chanuka WITH (FORCE)")
        print("dropped chanuka", file=sys.stderr)
        command = [sys.executable, str(Path(__file__).with_name("setup.py")), args.folder, "--port", str(args.port)]
        command += ["--bin", args.bin, "--migrations", args.migrations, "--seeds", args.seeds]
        command += ["--run-as", args.run_as] if args.run_as else []
        code = subprocess.run(command, check=False, stdout=sys.stderr).returncode
        if code:
            return fail(args, code, "setup.py failed")
    print(json.dumps({"ok": True, "dry_run": False}) if args.json else "dropped and set up again")
    return 0


def main():
    parser = argparse.ArgumentParser(description="Drop the database and set it up again.")
    parser.add_argument("folder", help="where the server, its socket and its secrets lie")
    parser.add_argument("--port", type=int, default=5432)
    parser.add_argument("--bin", default="/usr/lib/postgresql/18/bin", help="the folder of PostgreSQL's programs")
    parser.add_argument("--run-as", help="the user that the server runs as")
    parser.add_argument("--migrations", default="migrations")
    parser.add_argument("--seeds", default="seeds")
    parser.add_argument("--yes", default="", help="the folder's name: go on")
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
    except OSError as error:
        return fail(args, 1, str(error))
    except psycopg.OperationalError as error:
        return fail(args, 1 if error.sqlstate else 3, str(error))
    except psycopg.Error as error:
        return fail(args, 1, str(error))


if __name__ == "__main__":
    sys.exit(main())
