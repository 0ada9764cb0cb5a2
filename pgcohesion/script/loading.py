"""``scripts/`` -> Script classes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from .base import Script


def files(root: Path) -> Iterator[Path]:
    """Yield the scripts of a repo; a file that begins with ``_`` is a helper of theirs."""
    yield from (path for path in sorted((root / "scripts").glob("*.py")) if not path.name.startswith("_"))


def load(path: Path) -> type[Script]:
    """Return the Script of a file: ``KillIdle`` of ``kill_idle.py``. Raises whatever the file does, or ImportError."""
    spec = spec_from_file_location(f"scripts.{path.stem}", path)  # other packages called `scripts` are not asked
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    wanted = path.stem.replace("_", "").lower()
    for name, value in vars(module).items():
        if name.lower() == wanted and isinstance(value, type) and issubclass(value, Script):
            value.options()
            return value
    raise ImportError(f"it has no Script called {path.stem.title().replace('_', '')}")
