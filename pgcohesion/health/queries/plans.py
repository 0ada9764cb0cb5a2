"""The plan of a statement that somebody else wrote.

Planning is not harmless: it executes what is IMMUTABLE, so whatever a role has hidden in a function would run as
ourselves, a superuser. So the statement is planned inside of a SECURITY DEFINER function which belongs, for the length
of a transaction that is never committed, to the role that ran it: from there PostgreSQL lets nobody become another.
The transaction is read-only by then.

https://www.postgresql.org/docs/current/sql-explain.html (GENERIC_PLAN), .../sql-createfunction.html
"""

from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING

from psycopg.sql import SQL, Identifier

from ...errors import ServerError, UsageError

if TYPE_CHECKING:
    from ...connections import Database

EXPLAINABLE = re.compile(r"(\s|\()*(SELECT|INSERT|UPDATE|DELETE|MERGE|VALUES|WITH)\b", re.IGNORECASE)
PATIENCE = 15.0  # seconds: what the statement's functions may set is not relied on
# The database's owner may have set a search_path that leads to functions of his own.
LIMITS = """BEGIN; SET LOCAL search_path = pg_catalog; SET LOCAL lock_timeout = '1s';
SET LOCAL statement_timeout = '10s'; SET LOCAL plan_cache_mode = force_generic_plan"""
UNTYPED = "the types of its values are not known any more: write them as $1::int and explain it in inv db.shell"
# A cursor takes one statement only.
GENERIC = """FOR line IN EXECUTE 'EXPLAIN (GENERIC_PLAN) ' || statement LOOP RETURN NEXT line; END LOOP;"""
NULLS = """EXECUTE 'PREPARE pgcohesion AS ' || statement;
  SELECT '(' || string_agg('NULL', ', ') || ')' INTO nulls
    FROM pg_prepared_statements p, unnest(p.parameter_types) WHERE p.name = 'pgcohesion';
  FOR line IN EXECUTE 'EXPLAIN EXECUTE pgcohesion' || coalesce(nulls, '') LOOP RETURN NEXT line; END LOOP;"""
FUNCTION = """CREATE FUNCTION pg_temp.pgcohesion_plan(statement text, path text) RETURNS SETOF text
 LANGUAGE plpgsql SECURITY DEFINER AS $plan$
DECLARE line text; nulls text;
BEGIN
  PERFORM set_config('search_path', path, true);
  {how}
END $plan$"""
OWNER = "ALTER FUNCTION pg_temp.pgcohesion_plan OWNER TO {}"
PLAN = "SELECT line FROM pg_temp.pgcohesion_plan(%s, %s) AS line"
ROLE = """SELECT m.rolsuper AS may,
       (SELECT substr(line, length('search_path=') + 1) FROM pg_db_role_setting s, unnest(s.setconfig) AS line
         WHERE line LIKE 'search\\_path=%%' AND s.setrole IN (0, r.oid)
           AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
         ORDER BY s.setrole <> 0 DESC, s.setdatabase <> 0 DESC LIMIT 1) AS path
  FROM pg_roles r, pg_roles m WHERE r.rolname = %s AND m.rolname = current_user"""


def explain(database: Database, name: str, role: str, text: str, path: str = "public") -> list[str]:
    """Return the lines of the generic plan of *text* in the database *name*, as *role* has it; it is not executed.

    *path*: the search_path where the role has none of its own. Raises UsageError where there is no plan or nobody to
    make it for, ServerError, DeadlineExceeded.
    """
    if not EXPLAINABLE.match(text):
        raise UsageError("this statement has no plan", fix="choose a SELECT, INSERT, UPDATE, DELETE or MERGE")
    statement = text.rstrip("; \n\t")
    with closing(database.another()) as db, db.within(PATIENCE):
        db.execute(LIMITS, database=name)
        found = db.execute(ROLE, [role], database=name)
        if not found:
            raise UsageError(
                f"the role `{role}` is gone", why="the plan is made with the rights of who ran the statement"
            )
        (one,) = found
        if not one.may:
            raise _as_the_role(name, role, statement)
        generic = db.connection(name).info.server_version >= 160000
        try:
            db.execute(SQL(FUNCTION).format(how=SQL(GENERIC if generic else NULLS)), database=name)
            db.execute(SQL(OWNER).format(Identifier(role)), database=name)
            db.execute("SET TRANSACTION READ ONLY", database=name)
            return [row.line for row in db.execute(PLAN, [statement, one.path or path], database=name)]
        except ServerError as error:
            raise _refused(error, role) from error


def _as_the_role(name: str, role: str, statement: str) -> UsageError:
    return UsageError(
        "only a superuser can make this plan here",
        why=f"planning a statement executes functions in it: it must be done as `{role}`, who ran it",
        fix=f"psql --dbname={name} --username={role}\nBEGIN READ ONLY;\nEXPLAIN (GENERIC_PLAN) {statement};\nROLLBACK;",
    )


def _refused(error: ServerError, role: str) -> ServerError:
    fixes = {
        "42P01": f"it reads a table that is gone, or that the search_path of `{role}` does not lead to",
        "42601": "the statement was cut, or is only valid where it stands (in a function, say)",
        "42883": UNTYPED,
        "42P18": UNTYPED,
        "42501": f"`{role}` has lost the right to do this",
        "55P03": "somebody holds a lock on a table of it: try again later",
    }
    fix = fixes.get(error.sqlstate or "", error.fix)
    return ServerError("there is no plan for this statement", why=error.why, fix=fix, sqlstate=error.sqlstate)
