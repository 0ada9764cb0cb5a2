"""What of the migrations stands in a database: ``migrate.status``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from ..view import Answer, Grade, Table, View, moment
from .files import File
from .ledger import Ledger


class Row(Struct, frozen=True):
    """A migration: *state* is applied, pending, edited (after it was applied) or gone."""

    name: str
    state: str
    applied_at: datetime | None = None


def rows(found: Sequence[File], ledger: Ledger) -> tuple[Row, ...]:
    """Return every migration that the folder or the ledger has, in order."""
    files = {file.name: file for file in found}
    return tuple(_row(name, files.get(name), ledger) for name in sorted(files.keys() | ledger.migrations.keys()))


def _row(name: str, file: File | None, ledger: Ledger) -> Row:
    entry = ledger.migrations.get(name)
    if entry is None:
        return Row(name, "pending")
    state = "gone" if file is None else "applied" if file.checksum == entry.checksum else "edited"
    return Row(name, state, entry.applied_at)


class Status(Answer, frozen=True):
    """All migrations and their states."""

    migrations: tuple[Row, ...]
    env: str

    @property
    def failed(self) -> bool:
        """Whether an applied file was edited or has gone."""
        return any(row.state in ("edited", "gone") for row in self.migrations)

    @property
    def pending(self) -> bool:
        """Whether any is pending."""
        return any(row.state == "pending" for row in self.migrations)

    def view(self) -> View:
        """Return a row a migration; the counts are the verdict."""
        counts = {s: sum(r.state == s for r in self.migrations) for s in ("applied", "pending", "edited", "gone")}
        table = Table(
            ("migration", "state", "applied"),
            tuple((row.name, row.state, moment(row.applied_at) if row.applied_at else "") for row in self.migrations),
        )
        verdict = ", ".join(
            f"{number} {state}" for state, number in counts.items() if number or state in ("applied", "pending")
        )
        grade = Grade.FAIL if self.failed else Grade.WARN if self.pending else Grade.OK
        return View(
            (table,) if self.migrations else (),
            verdict,
            grade,
            next=f"inv migrate.up --env={self.env}" if self.pending and not self.failed else "",
        )
