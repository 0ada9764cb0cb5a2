"""Faults of transaction ids; real ages of a whole server: tests/pg/test_health_wraparound.py."""

from __future__ import annotations

from pgcohesion.health.registry import Finding

from .stage import Fault, Lookalike, Stage
from .vacuum import SPEND, TABLE, filled


def held(name: str, options: str, lock: str) -> Fault:
    """Return a fault of a table whose lock keeps autovacuum from freezing it, whatever its settings ask for."""

    def seed(stage: Stage) -> None:
        stage.sql(f"CREATE TABLE {TABLE} (a text) WITH ({options})")
        stage.connect().execute(f"BEGIN; LOCK TABLE {TABLE} IN {lock} MODE".encode())
        stage.sql(SPEND.format(130_000))

    def mend(stage: Stage, finding: Finding) -> None:
        stage.sql("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE state = 'idle in transaction'")
        stage.sql(finding.fix)

    return Fault(name, "unfrozen_tables", seed, TABLE, mend=mend)


def frozen(stage: Stage) -> None:
    filled(stage, 10, "WITH (autovacuum_enabled = off, autovacuum_freeze_max_age = 100000)")
    stage.sql(SPEND.format(130_000), f"VACUUM (FREEZE) {TABLE}")


FAULTS = [held("a table that should have been frozen", "autovacuum_freeze_max_age = 100000", "SHARE UPDATE EXCLUSIVE")]
LOOKALIKES = [Lookalike("a table that was frozen", "unfrozen_tables", frozen)]
