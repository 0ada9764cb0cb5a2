"""psycopg's errors -> ours."""

from __future__ import annotations

import re

import psycopg

from ..errors import CohesionError, MigrationFailed, ServerError, Unreachable
from .availability import kind

OURS = re.compile(r'^connection failed: connection to server on socket "[^"]*/pgcohesion-\w{8}/[^"]*" failed: ')
"""Where a relay of ours begins (connections/relay.py): it says nothing of the server."""


def translate(error: psycopg.Error, what: str, complaint: str = "") -> CohesionError:
    """Return *error* as ours; its text from the server is quoted, with the SQLSTATE.

    *complaint* is what a host said when the connection leads through one.
    """
    if error.sqlstate is None and isinstance(error, psycopg.OperationalError):
        said = [OURS.sub("", str(error).strip()), complaint]
        if kind(error) == "lost":  # libpq saw the way to the host end; what was wrong there comes first
            said.reverse()
        return Unreachable(what, why="\n".join(filter(None, said)), fix="inv db.status", kind=kind(error, complaint))
    return ServerError(what, why=reason(error), fix=error.diag.message_hint or "", sqlstate=error.sqlstate)


def reason(error: psycopg.Error) -> str:
    """Return the server's words: message, SQLSTATE, detail, object."""
    diag = error.diag
    lines = [f"{diag.message_primary or str(error).strip()} ({error.sqlstate or 'no SQLSTATE'})"]
    lines += [text for text in (diag.message_detail, diag.context) if text]
    return "\n".join(lines)


def in_file(error: psycopg.Error, file: str, text: str) -> CohesionError:
    """Return the error of a statement of *file* (whose content is *text*), with its line and column."""
    if error.sqlstate is None:
        return translate(error, f"`{file}` was not applied")
    position = error.diag.statement_position
    place = file
    if position and position.isdigit():
        before = text[: int(position) - 1]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        place = f"{file}:{line}:{column}"
    why = f"{place}: {reason(error)}"
    if position and position.isdigit():
        why += f"\n{line:>5} | {text.splitlines()[line - 1].rstrip()}"
    return MigrationFailed(
        f"`{file}` failed; nothing of it was applied",
        why=why,
        fix=error.diag.message_hint or f"mend {file} and run the same command again",
        sqlstate=error.sqlstate,
    )
