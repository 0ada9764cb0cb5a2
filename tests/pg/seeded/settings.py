"""Faults of the whole server: what its settings say, slots that nobody reads, a database that is half dropped."""

from __future__ import annotations

from pgcohesion.view import Grade
from tests.pg.seeded.security import drop_slot, write
from tests.pg.seeded.stage import Fault, Lookalike, Stage

EVERYTHING = ("health.disabled=",)
ROLE = '"pl,an ""r"'


def unplanned(stage: Stage) -> None:
    stage.setting("enable_indexscan", "off")


def unplanned_for_a_role(stage: Stage) -> None:
    stage.sql(f"CREATE ROLE {ROLE}", f"ALTER ROLE {ROLE} IN DATABASE {stage.database} SET enable_nestloop = 'No'")
    stage.later(lambda: stage.sql(f"DROP ROLE {ROLE}"))


def unplanned_for_all(stage: Stage) -> None:
    stage.sql("ALTER ROLE ALL SET enable_mergejoin = off")
    stage.later(lambda: stage.sql("ALTER ROLE ALL RESET enable_mergejoin"))


def hidden_sessions(stage: Stage) -> None:
    stage.setting("track_activities", "off")


def hidden_for_all(stage: Stage) -> None:
    stage.sql("ALTER ROLE ALL SET track_activities = 0")
    stage.later(lambda: stage.sql("ALTER ROLE ALL RESET track_activities"))


def uncounted(stage: Stage) -> None:
    stage.sql(f"ALTER DATABASE {stage.database} SET track_counts = no")


def counted_again(stage: Stage) -> None:
    stage.sql(f"ALTER DATABASE {stage.database} SET track_counts = on", "SET track_activities = off")


def upside_down(stage: Stage) -> None:
    stage.setting("random_page_cost", "0.5")


def partitionwise(stage: Stage) -> None:
    """It is off as it comes."""
    stage.sql("SET enable_hashjoin = off")  # and this is a session's own
    stage.sql(f"ALTER DATABASE {stage.database} SET enable_partitionwise_join = off")


def hiding(stage: Stage) -> None:
    stage.setting("zero_damaged_pages", "on")


def hiding_for_a_database(stage: Stage) -> None:
    stage.sql(f"ALTER DATABASE {stage.database} SET ignore_checksum_failure = 'Yes'")


def loose_for_a_role(stage: Stage) -> str:
    stage.setting("synchronous_commit", "on")
    stage.sql(f"CREATE ROLE {ROLE}", f"ALTER ROLE {ROLE} SET synchronous_commit = off")
    stage.later(lambda: stage.sql(f"DROP ROLE {ROLE}"))
    return "synchronous_commit"


def waiting(stage: Stage) -> None:
    stage.setting("max_worker_processes", "11")


def forgotten_slot(stage: Stage) -> None:
    stage.sql("SELECT pg_create_physical_replication_slot('for_gotten', true)")
    stage.later(lambda: drop_slot(stage, "for_gotten"))
    write(stage, 4)


def slot_again(stage: Stage) -> bool:
    """Say whether the slot is there; the WAL that it had kept is gone for ever."""
    return bool(stage.db.execute("SELECT FROM pg_replication_slots WHERE slot_name = 'for_gotten'").fetchall())


def new_slot(stage: Stage) -> str:
    write(stage, 1)
    stage.sql("SELECT pg_create_physical_replication_slot('just_made', true)")
    stage.later(lambda: drop_slot(stage, "just_made"))
    return "just_made"


def half_dropped(stage: Stage) -> None:
    stage.sql('CREATE DATABASE "o dd; --" TEMPLATE template0')
    stage.later(lambda: stage.sql("""DROP DATABASE IF EXISTS "o dd; --" """))
    stage.sql("UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'o dd; --'")


def limited(stage: Stage) -> str:
    stage.sql('CREATE DATABASE "closed one" TEMPLATE template0 CONNECTION LIMIT 0')
    stage.later(lambda: stage.sql('DROP DATABASE "closed one"'))
    return "closed one"


REPLICATION = "session_replication_role"


def unchecked(stage: Stage) -> None:
    stage.setting(REPLICATION, "replica")


def unchecked_for_a_role(stage: Stage) -> None:
    stage.sql(f"CREATE ROLE {ROLE}", f"ALTER ROLE {ROLE} SET {REPLICATION} = 'Replica'")
    stage.later(lambda: stage.sql(f"DROP ROLE {ROLE}"))


def local(stage: Stage) -> str:
    stage.sql(f"ALTER DATABASE {stage.database} SET {REPLICATION} = 'local'")
    return REPLICATION


FAULTS = [
    Fault("index scans switched off", "planner", unplanned, "enable_indexscan"),
    Fault("joins switched off for a role here", "planner", unplanned_for_a_role, "enable_nestloop"),
    Fault("joins switched off for all roles", "planner", unplanned_for_all, "enable_mergejoin"),
    Fault("sessions that nobody sees", "untracked", hidden_sessions, "track_activities"),
    Fault("sessions of all roles that nobody sees", "untracked", hidden_for_all, "track_activities"),
    Fault("a database whose changes are not counted", "untracked", uncounted, "track_counts"),
    Fault("a disk that is faster at random", "planner", upside_down, "random_page_cost"),
    Fault(
        "a log without errors",
        "logging",
        lambda stage: stage.setting("log_min_messages", "fatal"),
        "log_min_messages",
    ),
    Fault(
        "less cache than shared_buffers",
        "planner",
        lambda stage: stage.setting("effective_cache_size", "8MB"),
        "effective_cache_size",
    ),
    Fault("foreign keys of a role that nobody checks", "unchecked_keys", unchecked_for_a_role, REPLICATION),
    Fault("foreign keys that nobody checks", "unchecked_keys", unchecked, REPLICATION),
    Fault("damaged pages are hidden", "durability", hiding, "zero_damaged_pages", EVERYTHING, Grade.FAIL),
    Fault(
        "wrong checksums are ignored in a database",
        "durability",
        hiding_for_a_database,
        "ignore_checksum_failure",
        EVERYTHING,
        Grade.FAIL,
    ),
    Fault("a setting that waits for a restart", "pending_restart", waiting, "max_worker_processes"),
    Fault("a slot that was forgotten", "inactive_slots", forgotten_slot, "for_gotten", back=slot_again),
    Fault("a database that is half dropped", "broken_databases", half_dropped, "o dd; --", grade=Grade.FAIL),
]
LOOKALIKES = [
    Lookalike("sessions that fire triggers as others do", "unchecked_keys", local),
    Lookalike("what is off as it comes, or in one session", "planner", partitionwise),
    Lookalike("a database that is counted, and a session that hides", "untracked", counted_again),
    Lookalike("a role that may lose its last commits", "durability", loose_for_a_role, EVERYTHING),
    Lookalike("a slot that was just made", "inactive_slots", new_slot),
    Lookalike("a database that nobody may enter", "broken_databases", limited),
]
