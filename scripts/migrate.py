"""The schema, brought up to date."""

from __future__ import annotations

from collections.abc import Sequence

import pgcohesion as pg


class Migrate(pg.Script):
    """Apply the pending migrations."""

    def steps(self, ctx: pg.ScriptContext) -> Sequence[pg.Change]:
        """Return a step for each pending file."""
        return pg.migrate.plan(ctx).changes


if __name__ == "__main__":
    Migrate.main()
