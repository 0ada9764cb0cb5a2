"""Set up everything: server, roles, schema, data. psycopg and argparse, by hand; migrate.py and seed.py do the rest."""

import argparse
import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
from psycopg import sql

CONF = """
listen_addresses = 'localhost'
fsync = off
full_page_writes = off
idle_in_transaction_session_timeout = '10min'
log_checkpoints = on
log_line_prefix = '%m [%p] %q%u@%d/%a '
log_lock_waits = on
log_timezone = 'UTC'
password_encryption = 'scram-sha-256'
shared_buffers = '32MB'
synchronous_commit = off
timezone = 'UTC'
track_io_timing = on
"""
ROLES = {
    "chanuka_owner": [],
    "chanuka_app": [
        "ALTER ROLE chanuka_app SET statement_timeout TO '30s'",
        "ALTER ROLE chanuka_app SET lock_timeout TO '5s'",
        "ALTER ROLE chanuka_app SET search_path TO 'chanuka', 'public'",
    ],
    "chanuka_readonly": [
        "ALTER ROLE chanuka_readonly SET default_transaction_read_only TO 'on'",
        "ALTER ROLE chanuka_readonly SET statement_timeout TO '2min'",
        "ALTER ROLE chanuka_readonly SET search_path TO 'chanuka', 'public'",
    ],
}
DATABASE = "CREATE DATABASE chanuka OWNER chanuka_owner ENCODING 'UTF8' TEMPLATE template0"
ACCESS = """
REVOKE ALL ON DATABASE chanuka FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE chanuka TO chanuka_app, chanuka_readonly;
"""
SCHEMA = """
CREATE SCHEMA chanuka AUTHORIZATION chanuka_owner;
CREATE EXTENSION pg_trgm;
GRANT USAGE ON SCHEMA chanuka TO chanuka_app, chanuka_readonly;
ALTER DEFAULT PRIVILEGES FOR ROLE chanuka_owner IN SCHEMA chanuka
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO chanuka_app;
ALTER DEFAULT PRIVILEGES FOR ROLE chanuka_owner IN SCHEMA chanuka GRANT USAGE ON SEQUENCES TO chanuka_app;
ALTER DEFAULT PRIVILEGES FOR ROLE chanuka_owner IN SCHEMA chanuka GRANT EXECUTE ON FUNCTIONS TO chanuka_app;
ALTER DEFAULT PRIVILEGES FOR ROLE chanuka_owner IN SCHEMA chanuka GRANT SELECT ON TABLES TO chanuka_readonly;
"""
HERE = Path(__file__).parent


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


def secret(folder, name):
    path = folder / f"{name}.password"
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(24) + "\n")
    return path.read_text().strip()


def run(args, *command):
    user = {"user": args.run_as, "extra_groups": []} if args.run_as else {}
    subprocess.run(command, check=True, capture_output=True, text=True, cwd="/", **user)


def create_server(args, data, password):
    aside, file = data.with_name("data.partial"), data.with_name(".password")
    shutil.rmtree(aside, ignore_errors=True)
    file.write_text(password + "\n")
    if args.run_as:
        shutil.chown(file, args.run_as)
    try:
        run(
            args, f"{args.bin}/initdb", f"--pgdata={aside}", "--username=postgres", f"--pwfile={file}",
            "--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
            "--locale=C", "--data-checksums", "--no-instructions",
        )  # fmt: skip
    finally:
        file.unlink()
    with (aside / "postgresql.conf").open("a") as conf:
        conf.write(f"{CONF}port = {args.port}\nunix_socket_directories = '{data.parent}'\n")
    aside.rename(data)


def running(args, data):
    try:
        run(args, f"{args.bin}/pg_ctl", "-D", str(data), "status")
    except subprocess.CalledProcessError:
        return False
    return True


def make_roles(conn, folder, done):
    known = {name for (name,) in conn.execute("SELECT rolname FROM pg_roles")}
    for name, settings in ROLES.items():
        if name in known:
            continue
        with conn.transaction():
            conn.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)))
            if settings:
                password = secret(folder, name).encode()
                verifier = conn.pgconn.encrypt_password(password, name.encode(), b"scram-sha-256").decode()
                login = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}")
                conn.execute(login.format(sql.Identifier(name), sql.Literal(verifier)))
            for statement in settings:
                conn.execute(statement)
        done.append(f"role {name}")


def child(name, dsn, *words):
    command = [sys.executable, str(HERE / name), "--dsn", dsn, *words]
    return subprocess.run(command, check=False, stdout=sys.stderr).returncode


def work(args):
    folder = Path(args.folder)
    data, done = folder / "data", []
    if args.dry_run:
        missing = [] if data.exists() else ["server", *(f"role {name}" for name in ROLES), "database chanuka"]
        print(json.dumps({"ok": True, "dry_run": True, "missing": missing}) if args.json else "\n".join(missing))
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    if args.run_as:
        shutil.chown(folder, args.run_as)
    lock = (folder / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return fail(args, 5, "running already")
    password = secret(folder, "superuser")
    if not data.exists():
        create_server(args, data, password)
        done.append("server")
    if not running(args, data):
        run(args, f"{args.bin}/pg_ctl", "-D", str(data), "-l", str(data / "server.log"), "-s", "-w", "start")
    os.environ["PGPASSWORD"] = password
    dsn = f"host={folder} port={args.port} user=postgres"
    with psycopg.connect(dsn, dbname="postgres", autocommit=True, connect_timeout=10) as conn:
        make_roles(conn, folder, done)
        if not conn.execute("SELECT FROM pg_database WHERE datname = 'chanuka'").fetchall():
            conn.execute(DATABASE)
            done.append("database chanuka")
        conn.execute(ACCESS)
    with psycopg.connect(dsn, dbname="chanuka", autocommit=True, connect_timeout=10) as conn:
        if not conn.execute("SELECT FROM pg_namespace WHERE nspname = 'chanuka'").fetchall():
            with conn.transaction():
                conn.execute(SCHEMA)
    for name, words in (("migrate.py", ["--folder", args.migrations]), ("seed.py", ["--folder", args.seeds])):
        code = child(name, f"{dsn} dbname=chanuka", *words)
        if code:
            return fail(args, code, f"{name} failed")
    print(json.dumps({"ok": True, "dry_run": False, "made": done}) if args.json else f"set up: {', '.join(done)}")
    return 0


def main():
    parser = argparse.ArgumentParser(description="Set up everything: server, roles, schema, data.")
    parser.add_argument("folder", help="where the server, its socket and its secrets lie")
    parser.add_argument("--bin", default="/usr/lib/postgresql/18/bin", help="the folder of PostgreSQL's programs")
    parser.add_argument("--port", type=int, default=5432)
    parser.add_argument("--run-as", help="the user that the server runs as")
    parser.add_argument("--migrations", default="migrations")
    parser.add_argument("--seeds", default="seeds")
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
    except subprocess.CalledProcessError as error:
        return fail(args, 1, f"{error.cmd[0]} failed: {error.stderr}")
    except OSError as error:
        return fail(args, 1, str(error))
    except psycopg.OperationalError as error:
        return fail(args, 1 if error.sqlstate else 3, str(error))
    except psycopg.Error as error:
        return fail(args, 1, str(error))


if __name__ == "__main__":
    sys.exit(main())
