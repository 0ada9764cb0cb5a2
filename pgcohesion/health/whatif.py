"""What an index would gain: hypothetical ones (hypopg) for the conditions of the statements that take most time.

The statements themselves are never planned: that runs functions which their authors wrote, as whoever asks. What is
planned is ``SELECT * FROM table WHERE column = (unknown)``, made from names of the catalogue; a table whose indexes or
constraints call functions of somebody who is no superuser is left alone, as planning may execute these.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, LiteralString

import psycopg
from msgspec import Struct
from psycopg.sql import SQL, Composable, Identifier, Literal

from ..view import count, span
from .asking import ask
from .catalogue import PAGE, THEIRS

LEAST_ROWS, LEAST_GAIN = 10_000, 0.5
MOST_STATEMENTS, MOST_TRIED, MOST_COLUMNS = 500, 20, 3
EXTENSIONS = """SELECT e.extname AS name, quote_ident(n.nspname) AS schema
  FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
 WHERE e.extname IN ('hypopg', 'pg_stat_statements')"""
AVAILABLE = "SELECT FROM pg_available_extensions WHERE name = 'hypopg'"
STATEMENTS: LiteralString = """SELECT query, sum(calls)::float AS calls, sum(total_exec_time)::float / 1000 AS seconds
  FROM {}.pg_stat_statements
 WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND query ~* '^\\s*(select|update|delete|with)\\M.*\\$\\d' AND query !~ '\\mpg_catalog\\M'
 GROUP BY query ORDER BY 3 DESC LIMIT {}"""
TABLES = f"""WITH risky AS (
  SELECT coalesce(i.indrelid, o.conrelid, s.stxrelid) AS oid FROM pg_depend d
    LEFT JOIN pg_operator x ON d.refclassid = 'pg_operator'::regclass AND x.oid = d.refobjid
    JOIN pg_proc f ON f.oid = CASE WHEN d.refclassid = 'pg_proc'::regclass THEN d.refobjid ELSE x.oprcode END
    JOIN pg_roles r ON r.oid = f.proowner AND NOT r.rolsuper
    LEFT JOIN pg_index i ON d.classid = 'pg_class'::regclass AND i.indexrelid = d.objid
    LEFT JOIN pg_constraint o ON d.classid = 'pg_constraint'::regclass AND o.oid = d.objid
    LEFT JOIN pg_statistic_ext s ON d.classid = 'pg_statistic_ext'::regclass AND s.oid = d.objid
   WHERE d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass))
SELECT c.oid::regclass::text AS name, n.nspname AS schema, c.relname AS bare, c.relpages * {PAGE} AS bytes,
       array_agg(a.attname::text ORDER BY a.attnum) AS columns,
       array_agg(format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum) AS types
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND c.relnamespace NOT IN {THEIRS}
   AND NOT EXISTS (SELECT FROM risky k WHERE k.oid = c.oid)
   AND greatest(c.reltuples, pg_stat_get_live_tuples(c.oid)) >= {LEAST_ROWS}
 GROUP BY c.oid, n.nspname"""  # noqa: S608  (constants)
NAME = r'(?:"(?:[^"]|"")+"|[A-Za-z_\u0080-\uffff][\w$]*)'
CONDITION = re.compile(
    rf"(?:(?P<of>{NAME})\s*\.\s*)?(?P<column>{NAME})\s*"
    r"(?P<how>=|<=|>=|<(?!>)|>|\bin\b|\bbetween\b)\s*(?:any\s*)?\(*\s*\$\d+",
    re.IGNORECASE,
)
TABLE = re.compile(
    rf"(?:\b(?:from|join|update)\b|,)\s*(?:only\s+)?(?:{NAME}\s*\.\s*)?(?P<table>{NAME})(?:\s+(?:as\s+)?(?P<alias>{NAME}))?",
    re.IGNORECASE,
)
WORDS = re.compile(r"\b(?:where|join)\b", re.IGNORECASE)
READS = re.compile(r"\s*(?:select|update|delete|with)\b", re.IGNORECASE)
UNCLEAR = re.compile(r"\bor\b|\bon\s+conflict\b|\bnot\b", re.IGNORECASE)


Condition = tuple[str, str, str]
"""A column, its type, and the operator."""


class Candidate(Struct, frozen=True):
    """An index that statements may want; they were called so often, and took so many *seconds*."""

    table: Any
    conditions: tuple[Condition, ...]
    calls: float
    seconds: float

    @property
    def columns(self) -> Composable:
        """The columns, quoted."""
        return SQL(", ").join(Identifier(name) for name, _, _ in self.conditions)

    @property
    def query(self) -> Composable:
        """A query with the conditions, of values that the planner does not know."""
        of = Identifier(self.table.schema, self.table.bare)
        where = SQL(" AND ").join(
            SQL("{} {} (SELECT NULL::{})").format(Identifier(name), SQL(how), SQL(kind))
            for name, kind, how in self.conditions
        )
        return SQL("EXPLAIN (FORMAT JSON) SELECT * FROM ONLY {} WHERE {}").format(of, where)


class Gain(Struct, frozen=True):
    """What an index saves: *share* of the cost of finding the rows; *statement* makes it."""

    table: str
    statement: str
    share: float
    bytes: float
    why: str


def gains(connection: psycopg.Connection[Any], timeout: float) -> tuple[list[Gain], list[str]]:
    """Return the indexes that save half of the cost or more, and what kept us from looking."""
    made, available = ask(connection, [EXTENSIONS, AVAILABLE], timeout)
    if isinstance(made, psycopg.Error) or isinstance(available, psycopg.Error):
        return [], []
    schemas = {row.name: row.schema for row in made}
    if "pg_stat_statements" not in schemas:
        return [], ["which statements want an index is not known without pg_stat_statements"]
    if "hypopg" not in schemas:
        how = "CREATE EXTENSION hypopg;" if available else "its package first: postgresql-NN-hypopg"
        return [], [f"what a new index would gain is not tried without hypopg ({how})"]
    query = STATEMENTS.format(schemas["pg_stat_statements"], MOST_STATEMENTS)
    statements, tables = ask(connection, [query, TABLES], timeout)
    if isinstance(statements, psycopg.Error) or isinstance(tables, psycopg.Error):
        bad = statements if isinstance(statements, psycopg.Error) else tables
        return [], [f"statements cannot be read: {_words(bad)}"]
    found = []
    refused = 0
    for candidate in candidates(statements, tables)[:MOST_TRIED]:
        share = _tried(connection, candidate, schemas["hypopg"], timeout)
        refused += share is None
        if share is not None and share >= LEAST_GAIN:
            found.append(_gain(connection, candidate, share))
    notes = [f"{count(refused, 'index', 'indexes')} could not be tried (SELECT on the table is needed)"]
    return found, notes if refused else []


def candidates(statements: Iterable[Any], tables: Sequence[Any]) -> list[Candidate]:
    """Return the indexes that the conditions of *statements* may want, what takes most time first.

    Only what can be told from the text: a column compared with a parameter, of a table that is named, once.
    """
    called: dict[str, list[Any]] = {}
    for table in tables:
        called.setdefault(table.bare, []).append(table)
    found: dict[tuple[str, tuple[str, ...]], Candidate] = {}
    for statement in statements:
        for table, conditions in _wanted(statement.query, called):
            key = (table.name, tuple(name for name, _, _ in conditions))
            before = found.get(key, Candidate(table, conditions, 0.0, 0.0))
            calls, seconds = before.calls + statement.calls, before.seconds + statement.seconds
            found[key] = Candidate(table, before.conditions, calls, seconds)
    return sorted(found.values(), key=lambda one: -one.seconds)


def _wanted(text: str, called: Mapping[str, list[Any]]) -> Iterator[tuple[Any, tuple[Condition, ...]]]:
    """Yield each large table of a statement that has conditions, and these."""
    first = WORDS.search(text)
    if first is None or UNCLEAR.search(text) or not READS.match(text):
        return
    names = _names(text)
    present = {bare: called[bare][0] for bare in names if len(called.get(bare, ())) == 1}
    for bare, table in present.items():
        others = {column for other in present.values() if other is not table for column in other.columns}
        conditions = _of(table, names[bare], others, CONDITION.finditer(text, first.end()))
        if conditions:
            yield table, conditions


def _of(table: Any, names: set[str], others: set[str], matches: Iterable[re.Match[str]]) -> tuple[Condition, ...]:
    """Return the conditions on a table's columns: equal ones, then one range, as an index wants them."""
    equal: dict[str, Condition] = {}
    ranges: dict[str, Condition] = {}
    for match in matches:
        column, of = _plain(match["column"]), _plain(match["of"] or "")
        if column not in table.columns or (of not in names if of else column in others):
            continue
        kind, how = table.types[table.columns.index(column)], match["how"].lower()
        if how in ("=", "in"):
            equal[column] = (column, kind, "=")
        else:
            ranges[column] = (column, kind, ">=" if how == "between" else how)
    within = [one for name, one in ranges.items() if name not in equal][:1]
    return (*list(equal.values())[:MOST_COLUMNS], *within)


def _names(text: str) -> dict[str, set[str]]:
    """Return of each table that a statement names what it is called there: itself, and its aliases."""
    found: dict[str, set[str]] = {}
    for match in TABLE.finditer(text):
        bare = _plain(match["table"])
        found.setdefault(bare, {bare}).add(_plain(match["alias"] or "") or bare)
    return found


def _plain(name: str) -> str:
    """Return an identifier as the catalogue has it."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()


def _tried(connection: psycopg.Connection[Any], candidate: Candidate, schema: str, timeout: float) -> float | None:
    """Return the share of the cost that an index saves; None where it cannot be tried."""
    query = candidate.query.as_string(connection)
    index = SQL("CREATE INDEX ON {} ({})").format(
        Identifier(candidate.table.schema, candidate.table.bare), candidate.columns
    )
    make = f"SELECT FROM {schema}.hypopg_create_index({Literal(index.as_string(connection)).as_string(connection)})"
    forget = f"SELECT FROM {schema}.hypopg_reset()"
    answers = ask(connection, [forget, query, make, query, forget], timeout)
    if any(isinstance(answer, psycopg.Error) for answer in answers):
        return None
    before, after = (_cost(answers[at]) for at in (1, 3))
    return 1 - after / before if before else 0.0


def _cost(answer: Any) -> float:
    plan: Mapping[str, Any] = answer[0][0][0]["Plan"]
    return float(plan["Total Cost"])


def _gain(connection: psycopg.Connection[Any], candidate: Candidate, share: float) -> Gain:
    columns = candidate.columns.as_string(connection)
    why = f"an index on {columns} saves {share:.0%} of finding the rows of "
    why += f"{count(int(candidate.calls), 'call')} that took {span(candidate.seconds)}"
    statement = f"CREATE INDEX CONCURRENTLY ON {candidate.table.name} ({columns});"
    return Gain(candidate.table.name, statement, share, candidate.table.bytes, why)


def _words(error: Any) -> str:
    return str(error.diag.message_primary or error)
