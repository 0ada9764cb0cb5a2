"""``inv test``: pytest over the tiers, then the linters and type checks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from .errors import UsageError, suggestion

if TYPE_CHECKING:
    from .context import Context

TIERS = ("unit", "arch", "cli", "pg", "ssh", "lab")
LINTERS = (("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy",), ("lint-imports", "--no-cache"))


def run(ctx: Context, tier: str, only: str, more: Sequence[str]) -> int:
    """Run the tiers named (all, with the linters first, by default); return the worst exit status."""
    chosen = [name.strip() for name in tier.split(",") if name.strip()]
    for name in chosen:
        if name not in TIERS:
            raise UsageError(f"no tier `{name}`", fix=suggestion(name, TIERS))
    if find_spec("pytest") is None:
        raise UsageError("the test tools are not installed", fix="./inv test  (not `invoke test`: ./inv installs them)")
    worst = 0
    if not chosen and not only:
        for linter in LINTERS:
            worst = max(worst, _run(ctx, [f"{sys.prefix}/bin/{linter[0]}", *linter[1:]]))
    folders = [f"tests/{name}" for name in chosen or TIERS if (ctx.root / "tests" / name).is_dir()]
    tests = [sys.executable, "-m", "pytest", *folders, *(["-k", only] if only else []), *more]
    return max(worst, _run(ctx, tests))


def _run(ctx: Context, command: list[str]) -> int:
    ctx.log.debug("run", command=" ".join(command))
    return subprocess.run(command, cwd=ctx.root, check=False).returncode
