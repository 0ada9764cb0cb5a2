"""The floor: one connection, 48 catalogue statements in one pipeline, all rows fetched."""

from __future__ import annotations

import sys
from pathlib import Path

import psycopg

statements = [
    line for line in Path(__file__).with_name("catalogue.sql").read_text().splitlines() if not line.startswith("--")
]
with psycopg.connect(sys.argv[1], autocommit=True) as connection:
    with connection.pipeline():
        cursors = [connection.execute(statement.encode()) for statement in statements]
    rows = sum(len(cursor.fetchall()) for cursor in cursors)
print(rows)
