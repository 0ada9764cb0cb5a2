"""Export some bills with all that belongs to them, anonymised: psycopg and argparse, by hand."""

import argparse
import json
import os
import signal
import sys
from pathlib import Path

import psycopg
from psycopg import sql

LOCK = 815_007
# What leaves, in the order of the foreign keys: a table or a column that is not named here stays at home.
PARTS = {
    "parties": "SELECT * FROM parties",
    "topics": "SELECT * FROM topics",
    "legislators": "SELECT legislator_id, slug, full_name, created_at, updated_at FROM legislators",
    "legislator_terms": "SELECT * FROM legislator_terms",
    "committees": "SELECT * FROM committees",
    "committee_members": "SELECT * FROM committee_members",
    "bills": """
        SELECT bill_id, session, number, title, summary, origin, status, topic_id, committee_id, introduced_on,
               updated_at
          FROM bills WHERE bill_id = ANY ({bills})""",
    "bill_versions": """
        SELECT bill_id, version, label, body, published_on FROM bill_versions WHERE bill_id = ANY ({bills})""",
    "sponsors": "SELECT * FROM sponsors WHERE bill_id = ANY ({bills})",
    "bill_actions": "SELECT * FROM bill_actions WHERE bill_id = ANY ({bills})",
    "votes": "SELECT * FROM votes WHERE bill_id = ANY ({bills})",
    "vote_positions": "SELECT p.* FROM vote_positions p JOIN votes USING (vote_id) WHERE bill_id = ANY ({bills})",
    "users": """
        SELECT user_id, 'user_' || user_id AS handle, 'User ' || user_id AS display_name,
               'user' || user_id || '@example.invalid' AS email, role, date_trunc('year', created_at) AS created_at,
               date_trunc('year', updated_at) AS updated_at
          FROM users
         WHERE user_id IN (SELECT user_id FROM comments WHERE bill_id = ANY ({bills})
                           UNION SELECT r.user_id FROM comment_reactions r JOIN comments USING (comment_id)
                                  WHERE bill_id = ANY ({bills})
                           UNION SELECT user_id FROM follows WHERE bill_id = ANY ({bills}))""",
    "comments": """
        SELECT comment_id, bill_id, user_id, parent_id, stance, state, created_at, updated_at,
               'Comment ' || comment_id || repeat(' lorem ipsum', length(body) / 12) AS body
          FROM comments WHERE bill_id = ANY ({bills})""",
    "comment_reactions": """
        SELECT r.* FROM comment_reactions r JOIN comments USING (comment_id) WHERE bill_id = ANY ({bills})""",
    "follows": "SELECT * FROM follows WHERE bill_id = ANY ({bills})",
}
NEWEST = "SELECT bill_id FROM bills ORDER BY introduced_on DESC, bill_id LIMIT %s"
COUNTED = "SELECT attname AS name FROM pg_attribute WHERE attrelid = %s::regclass AND attidentity <> ''"
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


def part(conn, table, query):
    columns = [column.name for column in conn.execute(sql.SQL("{} LIMIT 0").format(query)).description]
    names = sql.SQL(", ").join(map(sql.Identifier, columns)).as_string()
    name = sql.Identifier(table).as_string()
    yield f"ALTER TABLE {name} DISABLE TRIGGER USER;\nCOPY {name} ({names}) FROM stdin;\n".encode()
    with conn.cursor().copy(sql.SQL("COPY ({}) TO STDOUT").format(query)) as rows:
        yield from map(bytes, rows)
    yield f"\\.\nALTER TABLE {name} ENABLE TRIGGER USER;\n".encode()
    for (column,) in conn.execute(COUNTED, [table]):
        count_on = sql.SQL("SELECT setval(pg_get_serial_sequence({}, {}), max({})) FROM {};\n")
        made = count_on.format(sql.Literal(table), sql.Literal(column), sql.Identifier(column), sql.Identifier(table))
        yield made.as_string().encode()


def write(args, conn, file):
    with conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        conn.execute("SET LOCAL search_path = chanuka")
        bills = [bill for (bill,) in conn.execute(NEWEST, [args.bills])]
        file.write(b"BEGIN;\nSET LOCAL search_path = chanuka;\n")
        for table, query in PARTS.items():
            print(f"copy {table}", file=sys.stderr)
            file.writelines(part(conn, table, sql.SQL(query).format(bills=sql.Literal(bills))))
        file.write(b"COMMIT;\n")


def work(args):
    with psycopg.connect(args.dsn, autocommit=True, connect_timeout=10, application_name="export_sample") as conn:
        if not args.dry_run:
            if not conn.execute("SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchone()[0]:
                holder = conn.execute(HOLDER, [LOCK]).fetchone()
                return fail(args, 5, f"running already: {holder}")
            aside = args.to.with_name(f".{args.to.name}.partial")
            try:
                with aside.open("wb") as file:
                    write(args, conn, file)
                aside.replace(args.to)
            finally:
                aside.unlink(missing_ok=True)
    if args.json:
        print(json.dumps({"ok": True, "dry_run": args.dry_run, "file": str(args.to), "bills": args.bills}))
    else:
        print(f"{'would write' if args.dry_run else 'wrote'} {args.to}")
    return 0


def main():
    parser = argparse.ArgumentParser(description="Export some bills with all that belongs to them, anonymised.")
    parser.add_argument("to", type=Path, help="the file to write")
    parser.add_argument("--bills", type=int, default=20, help="how many bills, the newest first")
    parser.add_argument("--dsn", default=os.environ.get("DATABASE_URL", ""))
    parser.add_argument("--dry-run", action="store_true", help="show what would be done")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--timeout", type=float, default=600, help="give up after so many seconds")
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
