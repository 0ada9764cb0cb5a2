"""Jinja2, strict: an undefined variable is an error that names the template and the line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from .errors import ConfigError
from .redact import redact


def quote_setting(value: Any) -> str:
    """Return a value as postgresql.conf wants it (manual, 19.1.2: quotes and backslashes are doubled).

    Raises ConfigError for a line break, which the file cannot hold.
    """
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (int, float)):
        return str(value)
    text = str(value)
    if "\n" in text or "\r" in text or "\0" in text:
        raise ConfigError("a setting cannot hold a line break", why="postgresql.conf has one setting a line")
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def quote_hba(name: str) -> str:
    """Return a database or user name for pg_hba.conf (manual, 20.1): quoted where it is no plain word.

    ``all``, ``replication`` and lists with commas keep their meaning.
    """
    plain = all(part and all(c.isalnum() or c in "_-+@/.$" for c in part) for part in name.split(","))
    return name if plain and name.isascii() else '"' + name.replace('"', '""') + '"'


def render(folder: Path, template: str, values: Mapping[str, Any]) -> str:
    """Render ``<folder>/<template>``. Raises ConfigError with the template's line."""
    environment = jinja2.Environment(  # noqa: S701  (configuration files, not HTML)
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(setting=quote_setting, hba=quote_hba)
    try:
        return environment.get_template(template).render(values)
    except jinja2.TemplateSyntaxError as error:
        raise ConfigError(
            f"the template `{template}` is broken",
            why=f"templates/{error.name}:{error.lineno}: {error.message}",
            fix="mend the template",
        ) from error
    except jinja2.TemplateNotFound as error:
        raise ConfigError(f"there is no template `{error}`", fix=f"create templates/{error}") from error
    except jinja2.UndefinedError as error:
        raise ConfigError(
            f"the template `{template}` uses something undefined",
            why=f"templates/{template}:{_line(error)}: {error}",
            fix="define it in the environment's file, or take it out of the template",
        ) from error


def page(folder: Path, template: str, values: Mapping[str, Any]) -> str:
    """Render an HTML page of ours: in every value secrets are masked, and then it is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: redact(value) if type(value) is str else value,
    )
    return environment.get_template(template).render(values)


def _line(error: Exception) -> int:
    """Return the template's line: jinja2 rewrites the traceback to point into the template."""
    line, frame = 0, error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_filename.endswith((".j2", ".conf", ".ini", ".service")) or (
            "__jinja_template__" in frame.tb_frame.f_globals
        ):
            line = frame.tb_lineno
        frame = frame.tb_next
    return line
