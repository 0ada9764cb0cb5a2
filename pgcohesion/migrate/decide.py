"""Files and ledger -> changes. Pure but for the steps that the changes carry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..errors import ConfigError
from ..plan import Change, Step
from .files import File
from .ledger import Ledger, apply


def migration_changes(found: Sequence[File], ledger: Ledger) -> Iterator[Change]:
    """Yield a change for each pending migration.

    Raises ConfigError when a file was edited after it was applied, has gone, or comes before an applied one.
    """
    _unchanged(found, ledger)
    applied = [int(name.partition("_")[0]) for name in ledger.migrations]
    for file in found:
        if file.name in ledger.migrations:
            continue
        if applied and int(file.version) < max(applied):
            raise ConfigError(
                f"`{file.path}` comes too late",
                why=f"{max(applied):04} was applied before it",
                fix=f"give it the next number: git mv {file.path} ...",
            )
        yield _change("migration", file, "")


def _unchanged(found: Sequence[File], ledger: Ledger) -> None:
    files = {file.name: file for file in found}
    for name, entry in ledger.migrations.items():
        if name not in files:
            raise ConfigError(
                f"the migration `{name}` has gone",
                why="the database has it applied, the folder does not have it",
                fix="bring the file back (git log --diff-filter=D), or check out the right branch",
            )
        if files[name].checksum != entry.checksum:
            raise ConfigError(
                f"`{files[name].path}` was edited after it was applied",
                why=f"applied {entry.applied_at:%Y-%m-%d %H:%M %Z} with another text",
                fix="take the edit back and write a new migration: inv migrate.new NAME",
            )


def seed_changes(found: Sequence[File], ledger: Ledger) -> Iterator[Change]:
    """Yield a change for each seed file that is new or whose text has changed (seeds are written to run again)."""
    for file in found:
        entry = ledger.seeds.get(_seed_name(file))
        if entry is None or entry.checksum != file.checksum:
            yield _change("seed", file, "its text has changed" if entry else "")


def _seed_name(file: File) -> str:
    return file.path


def _change(kind: str, file: File, detail: str) -> Change:
    named = file if kind == "migration" else File(file.version, _seed_name(file), file.path, file.text)
    first = next((line.lstrip("- ").rstrip() for line in file.text.splitlines() if line.startswith("--")), "")
    return Change(
        "run",
        f"{kind} {file.name if kind == 'migration' else file.path}",
        Step(lambda ctx: apply(ctx, kind, named)),
        detail or first,
    )
