"""A Context without the command line: for programs, scripts and tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from .config import Loaded, load
from .context import Context, Options
from .errors import ConfigError
from .output import Output
from .output.logs import configure


def find_root(start: Path | None = None) -> Path:
    """Return the nearest folder, from *start* upwards, that has ``environments/base.toml``.

    ``PGCOHESION_ROOT`` wins. Raises ConfigError when there is none.
    """
    named = os.environ.get("PGCOHESION_ROOT")
    here = Path(named) if named else (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "environments" / "base.toml").is_file():
            return folder
    raise ConfigError(
        "there is no pgcohesion repo here",
        why=f"no environments/base.toml in {here} or above it",
        fix="change into the repo, or set PGCOHESION_ROOT",
    )


def open_context(env: str | None = None, *, root: Path | None = None, **parts: Any) -> Context:
    """Return the Context of an environment; close it when done. *parts* are those of Context (runner, server).

    Raises UsageError or ConfigError.
    """
    name = env or os.environ.get("PGCOHESION_ENV") or "development"
    options = parts.pop("options", None) or Options(env=name)
    return context_of(load(root or find_root(), name, sets=options.set), options=options, **parts)


def context_of(
    loaded: Loaded, *, options: Options | None = None, output: Output | None = None, **parts: Any
) -> Context:
    """Return the Context of an environment that is loaded already; close it when done."""
    options = options or Options(env=loaded.env)
    log = configure(verbose=options.verbose, env=loaded.env)
    return Context(loaded, options=options, output=output or Output(quiet=True), log=log, **parts)
