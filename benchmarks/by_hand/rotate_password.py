"""Give a role a new password, in the server and its file: psycopg and argparse, by hand."""

import argparse
import json
import os
import secrets
import signal
import sys
from pathlib import Path

import psycopg
from psycopg import sql

LOCK = 815_005
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


def write(path, text):
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def rotate(args, conn, path, aside):
    if not aside.exists():
        write(aside, secrets.token_urlsafe(24) + "\n")
    password = aside.read_text().strip()
    verifier = conn.pgconn.encrypt_password(password.encode(), args.role.encode(), b"scram-sha-256").decode()
    conn.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(args.role), sql.Literal(verifier)))
    print("the server has a new verifier", file=sys.stderr)
    write(path, password + "\n")
    print(f"{path} has the new password", file=sys.stderr)
    info = conn.info
    login = {"host": args.login_host, "port": info.port, "dbname": info.dbname}
    psycopg.connect(**login, user=args.role, password=password, connect_timeout=10).close()
    print("the new password logs in", file=sys.stderr)
    aside.unlink()


def work(args):
    path = Path(args.file)
    aside = path.with_name(path.name + ".new")
    with psycopg.connect(args.dsn, autocommit=True, connect_timeout=10, application_name="rotate_password") as conn:
        if not args.dry_run and not conn.execute("SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchone()[0]:
            holder = conn.execute(HOLDER, [LOCK]).fetchone()
            return fail(args, 5, f"running already: {holder}")
        row = conn.execute("SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", [args.role]).fetchone()
        if row is None or not row[0]:
            return fail(args, 2, f"no role {args.role} that logs in")
        if not args.dry_run:
            rotate(args, conn, path, aside)
    if args.json:
        print(json.dumps({"ok": True, "dry_run": args.dry_run, "role": args.role}))
    else:
        print(f"{args.role} {'would get' if args.dry_run else 'has'} a new password")
    return 0


def main():
    parser = argparse.ArgumentParser(description="Give a role a new password, in the server and its file.")
    parser.add_argument("role", help="a role that logs in")
    parser.add_argument("file", help="the file of its password")
    parser.add_argument("--login-host", default="localhost", help="where the role logs in")
    parser.add_argument("--dsn", default=os.environ.get("DATABASE_URL", ""))
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
    except OSError as error:
        return fail(args, 1, str(error))
    except psycopg.OperationalError as error:
        return fail(args, 1 if error.sqlstate else 3, str(error))
    except psycopg.Error as error:
        return fail(args, 1, str(error))


if __name__ == "__main__":
    sys.exit(main())
