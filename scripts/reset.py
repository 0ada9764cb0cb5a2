"""Back to the beginning."""

from __future__ import annotations

import pgcohesion as pg


class Reset(pg.Script):
    """Drop the databases and set them up again from nothing."""

    changes = True
    parallel_copies = True  # the server that would hold the lock goes; the environment's own lock holds

    def run(self, ctx: pg.ScriptContext) -> pg.Answer:
        """Drop and make everything."""
        return pg.setup.reset(ctx)


if __name__ == "__main__":
    Reset.main()
