"""The test suite."""

from __future__ import annotations

import pgcohesion as pg
from pgcohesion.cli import remainder


@pg.task(
    default=True,
    example="inv test --tier unit",
    help={"tier": "unit, cli, arch, pg, ssh or lab, with commas (default: all)", "only": "a pytest -k expression"},
)
def run(ctx: pg.Context, tier: str = "", only: str = "") -> int:
    """Run linters, type checks and tests: -- PYTEST-OPTIONS ..."""
    return pg.suite.run(ctx, tier, only, remainder())
