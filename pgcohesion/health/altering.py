"""Fixes that change settings of the server, and their undo: what ALTER SYSTEM had written there before."""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec.structs import replace

from .registry import Finding

RELOAD = "SELECT pg_reload_conf();"
SET = re.compile(r"^ALTER SYSTEM SET ([\w.]+)", re.MULTILINE)


def quoted(value: str) -> str:
    """Return SQL for what ALTER SYSTEM must be given to set the setting ``name`` to *value*, an SQL expression.

    A list is literals with commas: one literal would be a single name with a comma in it, and no server starts with
    such a library.
    """
    return rf"""CASE WHEN name ~ '(preload_libraries|directories|tablespaces)$|^search_path$'
        THEN coalesce((SELECT string_agg(quote_literal(trim(both ' "' FROM one)), ', ')
                         FROM unnest(string_to_array({value}, ',')) one), quote_literal(''))
        ELSE quote_literal({value}) END"""  # noqa: S608  (an expression of ours)


# Who may not see the file that a value stands in gets the value itself. One that waits for a restart is not known: the
# file has another one than the server.
WRITTEN = f"""(SELECT json_object_agg(name, CASE WHEN NOT pending_restart THEN {quoted("reset_val")} END)
    FROM pg_settings
   WHERE pending_restart
      OR (source <> 'default' AND coalesce(sourcefile LIKE '%/postgresql.auto.conf', true))) AS written"""  # noqa: S608  (constants)


def alter_system(*settings: str) -> str:
    """Return the lines that change settings (``name = value``) that a reload takes up."""
    return "\n".join([*(f"ALTER SYSTEM SET {setting};" for setting in settings), RELOAD])


def undoable(finding: Finding, written: Mapping[str, str | None] | None) -> Finding:
    """Add the settings that the fix of *finding* changes to its undo; *written* are those of its server."""
    names = dict.fromkeys(SET.findall(finding.fix))
    if not names or written is None or any(name in written and written[name] is None for name in names):
        return finding
    lines = [finding.undo] if finding.undo else []
    lines += [
        f"ALTER SYSTEM {f'SET {name} = {written[name]}' if name in written else f'RESET {name}'};" for name in names
    ]
    return replace(finding, undo="\n".join([*lines, RELOAD] if RELOAD in finding.fix else lines))
