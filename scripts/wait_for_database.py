"""For whatever starts beside the database."""

from __future__ import annotations

import time

import pgcohesion as pg

NEVER = ("authentication failed", "pg_hba.conf", "no password supplied")


class WaitForDatabase(pg.Script):
    """Wait until the database answers."""

    every: float = pg.arg(0.2, help="seconds between two tries")
    timeout = 60
    parallel_copies = True

    def run(self, ctx: pg.ScriptContext) -> dict[str, object]:
        """Return how long it took. Raises at once what waiting does not mend."""
        started = time.monotonic()
        while True:
            try:
                ctx.running()
                ctx.db.execute("SELECT 1")
                return {"waited": round(time.monotonic() - started, 1)}
            except pg.CohesionError as error:
                if any(words in error.why for words in NEVER):
                    raise
                ctx.doing = f"{error.what}: {error.why}"
            ctx.pause(self.every)


if __name__ == "__main__":
    WaitForDatabase.main()
