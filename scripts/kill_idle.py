"""Sessions that hold a transaction, or a slot, and do nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pgcohesion as pg

IDLE = """
SELECT pid, backend_start, state_change, usename AS role, application_name AS program, state,
       extract(epoch FROM clock_timestamp() - state_change)::int AS seconds
  FROM pg_stat_activity
 WHERE backend_type = 'client backend' AND application_name <> current_setting('application_name')
   AND clock_timestamp() - state_change
       > make_interval(secs => CASE WHEN state LIKE 'idle in%%' THEN %s WHEN state = 'idle' THEN %s END)
 ORDER BY state_change, pid
"""
# A pid is used again, and a session may have woken up: only the one that was seen, still as it was, is ended.
END = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE pid = {pid:l} AND backend_start = {start:l} AND state_change = {since:l} AND state LIKE 'idle%'
"""


class KillIdle(pg.Script):
    """End sessions that are idle in a transaction, or too long."""

    in_transaction: float = pg.arg(600.0, help="seconds that a transaction may be idle")
    idle: float | None = pg.arg(None, help="seconds that a session may be idle (default: for ever)")
    timeout = 60

    def steps(self, ctx: pg.ScriptContext) -> Iterator[pg.Change]:
        """Yield the end of each such session, the longest idle first."""
        for s in ctx.db.execute(IDLE, [self.in_transaction, self.idle]):
            end = ctx.sql(END, pid=s.pid, start=s.backend_start, since=s.state_change)
            yield pg.Change("run", f"end session {s.pid}", end, f"{s.role}, {s.program}: {s.state} for {s.seconds} s")


if __name__ == "__main__":
    KillIdle.main()
