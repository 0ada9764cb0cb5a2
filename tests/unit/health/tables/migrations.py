"""Cases: check, rows, grade, object. Migrations 1 and 2 are applied."""

from types import SimpleNamespace as Row
from typing import Any

from pgcohesion.health.sources.migrations import Migration
from pgcohesion.view import Grade

OK, WARN, FAIL, SKIPPED = Grade.OK, Grade.WARN, Grade.FAIL, Grade.SKIPPED
DAY = 86400.0


def one(number: int | None, name: str = "", **more: Any) -> Migration:
    name = name or f"{number:04}_words.sql"
    return Migration(**{"name": name, "number": number, "path": f"migrations/{name}", "file_age": DAY,
                        "applied_age": DAY, **more})  # fmt: skip


def case(*more: Migration, running: tuple[Any, ...] = (), readable: bool = True) -> list[dict[str, Any]]:
    return [{"env": "x", "database": "shop", "all": (one(1), one(2), *more), "running": running, "readable": readable}]


def holder(seconds: float) -> Row:
    return Row(pid=77, seconds=seconds, state="idle", role="app")


TABLE = [
    ("pending_migrations", case(), OK, "shop"),
    ("pending_migrations", case(one(3, applied_age=None, file_age=5.0)), WARN, "shop"),
    ("pending_migrations", case(one(3, applied_age=None), one(4, applied_age=None, file_age=20 * DAY)), FAIL, "shop"),
    ("pending_migrations", case(one(None, "notes.sql", applied_age=None)), OK, "shop"),
    ("pending_migrations", case(readable=False), SKIPPED, ""),
    ("migration_drift", case(), OK, ""),
    ("migration_drift", case(one(3, edited=True)), FAIL, "0003_words.sql"),
    ("migration_drift", case(one(3, path="", file_age=None)), FAIL, "0003_words.sql"),
    ("migration_order", case(one(3, applied_age=None)), OK, ""),
    ("migration_order", case(one(1, "0001_other.sql", applied_age=None)), FAIL, "0001_other.sql"),
    ("migration_order", case(one(0, applied_age=None)), FAIL, "0000_words.sql"),
    ("migration_order", case(one(None, "notes.sql", applied_age=None)), FAIL, "notes.sql"),
    ("migration_running", case(), OK, ""),
    ("migration_running", case(running=(holder(5.0),)), OK, "77"),
    ("migration_running", case(running=(holder(700.0),)), WARN, "77"),
    ("migration_running", case(running=(holder(7200.0),)), FAIL, "77"),
]
