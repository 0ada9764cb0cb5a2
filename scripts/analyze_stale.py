"""Tables whose statistics no longer tell what is in them."""

from __future__ import annotations

from collections.abc import Iterator

import pgcohesion as pg

STALE = """
SELECT schemaname AS schema, relname AS name, n_mod_since_analyze AS changed
  FROM pg_stat_user_tables
 WHERE n_mod_since_analyze > %s
 ORDER BY n_mod_since_analyze DESC, 1, 2
"""


class AnalyzeStale(pg.Script):
    """Refresh planner statistics of tables that changed a lot."""

    min_changes: int = pg.arg(1000, help="rows changed since the last ANALYZE")
    timeout = 30 * 60
    retries = 3

    def steps(self, ctx: pg.ScriptContext) -> Iterator[pg.Change]:
        """Yield an ANALYZE for each such table, the most changed first."""
        tables = ctx.db.execute(STALE, [self.min_changes])
        ctx.expect(len(tables))
        for t in tables:
            analyze, why = ctx.sql("ANALYZE {table:i}", table=(t.schema, t.name)), f"{t.changed} rows changed"
            yield pg.Change("run", f"analyze {t.schema}.{t.name}", analyze, why, idempotent=True)


if __name__ == "__main__":
    AnalyzeStale.main()
