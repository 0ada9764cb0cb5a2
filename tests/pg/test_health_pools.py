"""Checks of an application's own pools and breakers, and of its replicas: a real standby that pauses and promotes."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from pgcohesion import health
from pgcohesion.application import DatabaseConfig
from pgcohesion.config import load
from pgcohesion.orchestrator import Orchestrator
from pgcohesion.view import Grade
from tests.pg.looking import found
from tests.pg.seeded.stage import wait_for
from tests.pg.standby import Standby, following
from tests.support import Project

pytestmark = pytest.mark.pg


@pytest.fixture(scope="module")
def standby() -> Iterator[Standby]:
    with following() as made:
        yield made


def test_a_standby_that_pauses_stops_and_is_promoted(standby: Standby) -> None:
    root, name = Project(standby.ctx.root), standby.name
    declared = f"application.replicas={name}"
    assert found(root, "orchestrator") == []  # none is declared, none is asked
    assert found(root, "orchestrator", declared) == []

    standby.execute("SELECT pg_wal_replay_pause()")
    standby.ctx.db.execute("CREATE TABLE public.after_the_pause ()")
    limit = "health.limits.replica_lag.warn=0.2"
    wait_for(lambda: found(root, "orchestrator", declared, limit) == [("replica_lag", Grade.WARN, name)])
    standby.execute("SELECT pg_wal_replay_resume()")
    wait_for(lambda: found(root, "orchestrator", declared, limit) == [])
    standby.ctx.db.execute("CREATE TABLE public.more ()")
    assert found(root, "orchestrator", declared) == []  # what is on its way is no lag

    standby.control("-m", "immediate", "stop")
    assert found(root, "orchestrator", declared) == [("replica_reachable", Grade.FAIL, name)]
    standby.start()
    standby.control("promote")
    assert found(root, "orchestrator", declared) == [("replica_role", Grade.FAIL, name)]


def test_a_process_judges_its_own_pools(shared: Project) -> None:
    sets = ("connections.max_size=1", "connections.leak_after=0.05", "monitoring.interval=0.05",
            "features.read_replicas=true", "application.replicas=127.0.0.1:1")  # fmt: skip
    db = Orchestrator(DatabaseConfig(load(shared.root, "test", environ={}, sets=sets)))

    def troubles() -> set[tuple[str, Grade]]:
        return {(one.check, one.grade) for one in health.of_orchestrator(db) if one.grade in (Grade.WARN, Grade.FAIL)}

    manager = db.get_connection_manager()
    manager.execute("SELECT 1")
    wait_for(lambda: troubles() == {("breaker_open", Grade.WARN)})  # the replica that is not there
    with manager.connection() as held:
        held.execute("SELECT 1")
        waiting = threading.Thread(target=manager.execute, args=["SELECT 1"])
        waiting.start()
        wait_for(lambda: {one for one, _ in troubles()} == {"breaker_open", "leaked_connections", "pool_waiting"})
        (leak,) = [one for one in health.of_orchestrator(db) if one.check == "leaked_connections"]
        assert "test_health_pools.py" in leak.object
    waiting.join(10)
    wait_for(lambda: troubles() == {("breaker_open", Grade.WARN)})
    db.close(1)
