"""How people write down where their database is, and libpq's reading of it.

:func:`parse` reads one written form, :func:`find` the variables of an environment, :func:`resolve` says what libpq
would connect to, :func:`export` writes the variables that programs in other languages read. libpq is the judge wherever
it has an opinion: PostgreSQL's manual, "Database Connection Control Functions".
"""

from __future__ import annotations

from .exports import FORMATS, export, shell_lines
from .forms import parse
from .targets import Target, resolve
from .variables import Found, find

__all__ = ["FORMATS", "Found", "Target", "export", "find", "parse", "resolve", "shell_lines"]
