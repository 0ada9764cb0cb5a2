"""Faults of WAL and checkpoints."""

from __future__ import annotations

import time

from pgcohesion.health.registry import Finding

from .stage import Fault, Lookalike, Stage, standing, wait_for


def count(stage: Stage) -> int:
    older = stage.db.info.server_version < 170000
    name = "pg_stat_get_bgwriter_requested_checkpoints" if older else "pg_stat_get_checkpointer_num_requested"
    ((number,),) = stage.db.execute(f"SELECT {name}()".encode()).fetchall()
    return int(number)


def begin_to_count(stage: Stage) -> None:
    """Forget what this server has counted."""
    stage.sql(
        f"SELECT pg_stat_reset_shared('{'bgwriter' if stage.db.info.server_version < 170000 else 'checkpointer'}')",
        "SELECT pg_stat_reset_shared('wal')",
    )
    wait_for(lambda: count(stage) == 0)


def forced(stage: Stage) -> str:
    """Write WAL until it has forced a dozen checkpoints."""
    stage.setting("max_wal_size", "32MB")
    begin_to_count(stage)
    deadline = time.monotonic() + 60
    while count(stage) < 12:
        assert time.monotonic() < deadline
        stage.sql("SELECT pg_logical_emit_message(false, 'pgcohesion', repeat('x', 20000000))")
        stage.sql("SELECT pg_stat_force_next_flush()", "SELECT 1")
    return ""


def more_room(stage: Stage, finding: Finding) -> None:
    """Do what the fix says, and begin to count anew."""
    for statement in finding.fix.split(";\n"):
        stage.db.execute(statement.encode())
    begin_to_count(stage)


def commanded(stage: Stage) -> str:
    """Have many checkpoints made by hand."""
    begin_to_count(stage)
    stage.sql(*["CHECKPOINT"] * 30)
    wait_for(lambda: count(stage) >= 30)
    return ""


FAULTS = [
    Fault(
        "WAL that forces checkpoints",
        "requested_checkpoints",
        forced,
        "",
        mend=more_room,
        back=standing("max_wal_size", "32"),
    )
]
LOOKALIKES = [Lookalike("checkpoints that somebody wanted", "requested_checkpoints", commanded)]
