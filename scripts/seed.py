"""The data that an environment starts with."""

from __future__ import annotations

from collections.abc import Sequence

import pgcohesion as pg


class Seed(pg.Script):
    """Load the seed files that are new or have changed."""

    def steps(self, ctx: pg.ScriptContext) -> Sequence[pg.Change]:
        """Return a step for each such file."""
        return pg.migrate.seed(ctx).changes


if __name__ == "__main__":
    Seed.main()
