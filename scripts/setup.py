"""From nothing to a database."""

from __future__ import annotations

import pgcohesion as pg


class Setup(pg.Script):
    """Set up everything: server, roles, schema, data, health."""

    changes = True
    parallel_copies = True  # there may be no server to lock in; the environment's own lock holds

    def run(self, ctx: pg.ScriptContext) -> pg.Answer:
        """Make what is missing."""
        return pg.setup.setup(ctx)


if __name__ == "__main__":
    Setup.main()
