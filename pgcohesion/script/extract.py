"""Some rows of a database as one file of SQL: a snapshot, in COPY form, whole or not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..connections.database import Connection
from ..errors import CohesionError
from ..plan import Sql, sql

if TYPE_CHECKING:
    from .context import ScriptContext

COUNTED = "SELECT attname AS name FROM pg_attribute WHERE attrelid = %s::regclass AND attidentity <> '' ORDER BY attnum"
BEFORE = "ALTER TABLE {table:i} DISABLE TRIGGER USER;\nCOPY {table:i} ({columns:i}) FROM stdin;\n"
AFTER = "\\.\nALTER TABLE {table:i} ENABLE TRIGGER USER;\n"
COUNT_ON = "SELECT setval(pg_get_serial_sequence({name:l}, {column:l}), max({column:i})) FROM {table:i};\n"


def extract(ctx: ScriptContext, to: Path, schema: str, queries: Mapping[str, Sql]) -> None:
    """Write the rows of each table's query to *to*, in the order given, as ``psql -f`` loads them.

    When they are loaded, foreign keys are checked, the application's triggers stay quiet, and identity columns count
    on from there. Raises CohesionError when the file cannot be written.
    """
    aside = to.with_name(f".{to.name}.partial")
    try:
        with aside.open("wb") as file, ctx.db.transaction() as connection:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            connection.execute("SELECT set_config('search_path', %s, true)", [schema])
            file.write(b"BEGIN;\n")
            for table, query in queries.items():
                with ctx.progress(f"copy {table}"):
                    file.writelines(_table(connection, (schema, table), query))
            file.write(b"COMMIT;\n")
        aside.replace(to)
    except OSError as error:
        raise CohesionError(f"cannot write `{to}`", why=str(error), fix="name another file") from error
    finally:
        aside.unlink(missing_ok=True)


def _table(connection: Connection, table: tuple[str, str], query: Sql) -> Iterator[bytes]:
    name = sql("{table:i}", table=table).text
    shape = connection.execute(sql("{query:s} LIMIT 0", query=query).statement).description or []
    yield sql(BEFORE, table=table, columns=[column.name for column in shape]).text.encode()
    with connection.cursor().copy(sql("COPY ({query:s}) TO STDOUT", query=query).statement) as rows:
        yield from map(bytes, rows)
    yield sql(AFTER, table=table).text.encode()
    for column in connection.execute(COUNTED, [name]):
        yield sql(COUNT_ON, table=table, name=name, column=column.name).text.encode()
