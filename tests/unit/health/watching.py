"""A moment of a server, made by hand."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from pgcohesion.health.live.facts import (
    Checkpoints,
    Counters,
    Facts,
    Held,
    Node,
    Progress,
    Session,
    Slot,
    Standby,
)
from pgcohesion.health.live.memory import Gain, Point, Rates
from pgcohesion.health.live.snapshot import Judged, Seen, Snapshot, Top
from pgcohesion.health.registry import Check, Finding, Limits
from pgcohesion.view import Grade

NOW = 1_795_000_000.0
COUNTERS = Counters(
    at=NOW, version="18.1", uptime=3600.0, standby=False, slots=100, total=7, active=3, idle=2, in_transaction=1,
    waiting=2, hidden=0, commits=1000.0, rollbacks=10.0, hits=5000.0, reads=100.0, temp=0.0, deadlocks=0.0, wal=1e9,
    replay_bytes=None, replay_seconds=None,
)  # fmt: skip
SESSIONS = (
    Session(11, "app", "shop", "web", "", "client backend", "idle in transaction", "Client:ClientRead", 40.0, 30.0,
            "LOCK t"),
    Session(12, "app", "shop", "web", "10.0.0.2", "client backend", "active", "Lock:relation", 9.0, 9.0, "SELECT 12"),
    Session(13, "ops", "shop", "psql", "", "client backend", "active", "Lock:relation", 5.0, 5.0, "DROP TABLE t"),
    Session(14, "app", "shop", "job", "", "client backend", "active", "", 70.0, 70.0, "SELECT busy"),
    Session(15, "app", "mail", "web", "", "client backend", "idle", "Client:ClientRead", None, 500.0, "COMMIT"),
)  # fmt: skip
NODES = (
    Node(13, (11, 12), "ops", "shop", "psql", "active", 5.0, 5.0, "AccessExclusiveLock", "relation", "public.t",
         "DROP TABLE t"),
    Node(12, (11,), "app", "shop", "web", "active", 9.0, 9.0, "AccessShareLock", "relation", "public.t", "SELECT 12"),
    Node(11, (), "app", "shop", "web", "idle in transaction", None, 40.0, "", "", "", "LOCK t"),
)  # fmt: skip
FOUND = Finding(
    Grade.FAIL, "slot s keeps 3 GiB", "SELECT pg_drop_replication_slot('s');", "s", 3.0, "inactive_slots",
    "CREATE ...", 2.0,
)  # fmt: skip
FACTS = Facts(
    COUNTERS, SESSIONS, NODES,
    (Progress(14, "vacuum", "public.big", "scanning heap", 25.0, 100.0),),
    (Standby("db2", "10.0.0.3", "streaming", "async", 2048.0, 0.3),),
    (Slot("s", "physical", False, "extended", 3e9),),
    Checkpoints(120.0, 5.0, 1.0),
)  # fmt: skip
CHECK = Check(
    id="inactive_slots",
    title="Slots that nobody reads.",
    why="WAL is kept until the disk is full.",
    evaluate=lambda rows, limits: [],
)
LIMITS = {"connections": Limits(0.8, 0.95), "blocked_sessions": Limits(30.0, 300.0)}
SEEN = Seen(
    1, FACTS, NOW, None, Rates(12.0, 0.0, 0.98, 1.0, 0.0, 0.0, 1e6), (("CPU", 0.6), ("Lock:relation", 0.4)),
    (Point(NOW - 5, 10.0, 3.0, 2.0), Point(NOW, 12.0, 3.0, 2.0)),
    Top((Gain(77, "SELECT slow", 500.0, 10.0, 10.0, 50.0),), "", NOW),
)  # fmt: skip
SNAPSHOT = Snapshot(
    "test", "db1", NOW, 2.0, SEEN, judged=Judged((FOUND,), NOW - 12, {"inactive_slots": CHECK}, LIMITS)
)  # fmt: skip
HELD = Held(11, "LOCK t\n  IN ACCESS EXCLUSIVE MODE", (("AccessExclusiveLock", "relation", "public.t", True),))


def moment(**seen: Any) -> Snapshot:
    """Return the moment with other things seen."""
    return replace(SNAPSHOT, seen=replace(SEEN, **seen))


def counted(**counters: Any) -> Snapshot:
    """Return a moment with nothing found and nobody waiting, but for these counters."""
    facts = Facts(replace(COUNTERS, **counters))
    return replace(moment(facts=facts), judged=replace(SNAPSHOT.judged, findings=()))
