"""Whether there is something to restore, as the backup engines' own catalogues tell."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from msgspec.structs import replace

from ...view import Grade, count, size, span
from ..altering import alter_system
from ..registry import Finding, Limits, most, probe

HOUR, DAY = 3600.0, 86400.0
of_backups = partial(probe, "backups", cost="standard")
LONG = 6 * HOUR  # after which a backup that has not ended is taken for one that never will


def _graded(facts: Any, store: Any, finding: Finding) -> Finding:
    """Return the finding; on a laptop, what nobody has declared is worth no more than a word."""
    relaxed = facts.relaxed and not store.declared and finding.grade in (Grade.WARN, Grade.FAIL)
    return replace(finding, grade=Grade.INFO) if relaxed else finding


def _fine(facts: Any, found: list[Finding], text: str) -> list[Finding]:
    """Return what was found, or that all is well; nothing where no backup is known: `backups_known` has said so."""
    return found or ([Finding(Grade.OK, text)] if facts.stores else [])


@of_backups()
def backups_known(rows: list[Any], limits: Limits) -> Finding:
    """Whether any backup is known at all: declared in [health.backups], made by us, or named in archive_command."""
    (facts,) = rows
    if facts.stores:
        return Finding(Grade.OK, f"known: {', '.join(store.name for store in facts.stores)}")
    text = "no backup is known"
    if facts.undeclared:
        text += f" (archive_command is `{facts.undeclared}`)"
    fix = f'# say who makes them, in environments/{facts.env}.toml:\n[health.backups.main]\nengine = "pgbackrest"'
    if facts.ours:
        fix = f"inv backup.create --env={facts.env}\n{fix.replace('# say', '# or say')}"
    return Finding(Grade.WARN if facts.protected else Grade.INFO, text, fix)


@of_backups(warn=36, fail=72)
def backup_age(rows: list[Any], limits: Limits) -> list[Finding]:
    """The age of the newest good backup (limits in hours); what came after it is lost, or has to be replayed from WAL.

    Where an engine keeps WAL and makes full backups only, `full_backup_age` is the one to look at.
    """
    (facts,) = rows
    found = []
    for store in facts.stores:
        good = [backup for backup in store.backups if backup.good]
        if store.problems and not store.backups:
            continue  # `backup_engine` says why we do not know
        if not good:
            text = f"{store.name} has no backup that can be restored"
            found.append(_graded(facts, store, Finding(Grade.FAIL, text, store.make or store.look, store.name)))
        elif not store.wal or not all(backup.full for backup in good):
            newest = good[-1]
            text = f"the newest backup of {store.name}, {newest.label}, is {span(facts.now - newest.ended)} old"
            one = limits.finding((facts.now - newest.ended) / HOUR, text, fix=store.make, object=store.name)
            found.append(_graded(facts, store, one))
    return found


@of_backups(warn=7.5, fail=14)
def full_backup_age(rows: list[Any], limits: Limits) -> list[Finding]:
    """The age of the newest full backup (limits in days): the older, the more increments or WAL a restore needs."""
    (facts,) = rows
    found = []
    for store in facts.stores:
        full = [backup for backup in store.backups if backup.good and backup.full]
        if full and store.wal:
            age = facts.now - full[-1].ended
            text = f"the newest full backup of {store.name}, {full[-1].label}, is {span(age)} old"
            fix = store.make + (" --type=full" if store.engine == "pgbackrest" else "")
            found.append(_graded(facts, store, limits.finding(age / DAY, text, fix=fix, object=store.name)))
    return found


@of_backups(warn=0.2, fail=0.5)
def backup_shrank(rows: list[Any], limits: Limits) -> list[Finding]:
    """The newest backup against the one before (limits as the share that is gone).

    Data that somebody has deleted, or a backup that lacks something: the old one still has it, until it expires.
    """
    (facts,) = rows
    found = []
    for store in facts.stores:
        sized = [backup for backup in store.backups if backup.good and backup.bytes]
        if len(sized) > 1:
            before, newest = sized[-2:]
            gone = max(0.0, 1 - newest.bytes / before.bytes)
            text = (
                f"{newest.label} of {store.name} has {size(newest.bytes)}, {before.label} had {size(before.bytes)}:"
                f" {gone:.0%} less"
            )
            fix = f"{store.look}\n# keep {before.label} until it is known what went"
            found.append(_graded(facts, store, limits.finding(gone, text, fix=fix, object=store.name)))
    return found


@of_backups()
def backups_usable(rows: list[Any], limits: Limits) -> list[Finding]:
    """Backups that failed, are damaged, or lack WAL that they need: nobody wants to find out while restoring.

    The last attempt fails, older ones warn; one that is still being made after 6 h has stopped.
    """
    (facts,) = rows
    found = [one for store in facts.stores for one in _unusable(facts, store)]
    return _fine(facts, most(found), "no backup has a known fault")


def _unusable(facts: Any, store: Any) -> Iterator[Finding]:
    for position, backup in enumerate(reversed(store.backups)):
        stuck = backup.unfinished and facts.now - backup.ended > LONG
        if backup.trouble or stuck:
            why = backup.trouble or f"it was begun {span(facts.now - backup.ended)} ago and has not ended"
            fix = f"{store.look}\n{store.make}"
            grade = Grade.FAIL if position == 0 else Grade.WARN
            yield _graded(facts, store, Finding(grade, f"{backup.label} of {store.name}: {why}", fix, backup.label))


@of_backups()
def backup_engine(rows: list[Any], limits: Limits) -> list[Finding]:
    """What an engine complains of itself: a stanza that is broken, a check of Barman's that fails, no answer at all."""
    (facts,) = rows
    found = [
        Finding(Grade.FAIL, f"{store.name}: {problem}", store.look, store.name)
        for store in facts.stores
        for problem in store.problems
    ]
    # pgBackRest has no other way to WAL: it refuses the next backup.
    found += [
        Finding(
            Grade.FAIL,
            f"{store.name} is declared, and archive_mode is off: it gets no WAL, and can make no backup",
            "ALTER SYSTEM SET archive_mode = on;  -- with a restart\n"
            + alter_system(f"archive_command = '{store.make.rpartition(' ')[0]} archive-push %p'"),
            store.name,
        )
        for store in facts.stores
        if store.engine == "pgbackrest" and not facts.archiving and not store.problems
    ]
    return _fine(facts, most(found), "the engines have no complaint")


@of_backups()
def backup_retention(rows: list[Any], limits: Limits) -> list[Finding]:
    """Fewer full backups than are to be kept, or many more: then nothing expires, and the disk fills."""
    (facts,) = rows
    found = []
    for store in facts.stores:
        if store.problems and not store.backups:
            continue
        full = sum(backup.good and backup.full for backup in store.backups)
        if store.keep and full < store.keep:
            text = f"{store.name} has {count(full, 'full backup')}, {store.keep} are to be kept"
            found.append(Finding(Grade.WARN, text, f"{store.look}\n{store.make}", store.name))
        elif store.keep and full > 3 * store.keep + 2:
            text = f"{store.name} has {count(full, 'full backup')}, {store.keep} are to be kept: nothing expires"
            found.append(Finding(Grade.WARN, text, store.look, store.name))
    return _fine(facts, found, "as many backups as wanted")


@of_backups(warn=35, fail=100)
def backup_verified(rows: list[Any], limits: Limits) -> list[Finding]:
    """When a restore was tried the last time (limits in days): a backup is good when it has been restored.

    A restore test says so by touching the file that `verified` of [health.backups.NAME] names.
    """
    (facts,) = rows
    found = []
    for store in facts.stores:
        if store.verified_at is None:
            continue
        age = facts.now - store.verified_at
        fix = f"# restore it somewhere, look at the data, and touch the file\n{store.look}"
        if store.verified_at == 0:
            found.append(Finding(Grade.WARN, f"no backup of {store.name} was ever restored", fix, store.name))
        else:
            text = f"a backup of {store.name} was restored {span(age)} ago"
            found.append(limits.finding(age / DAY, text, fix=fix, object=store.name))
    if not found and facts.stores and facts.protected:
        fix = f'# in environments/{facts.env}.toml\n[health.backups.main]\nverified = "/var/lib/restore-tested"'
        return [Finding(Grade.INFO, "nothing says whether a backup was ever restored", fix)]
    return _fine(facts, found, "nobody has declared restore tests")


ELSEWHERE = {
    "pgcohesion": ', or in environments/{env}.toml:\n[backup]\nfolder = "..."',
    "pgbackrest": ", or give pgbackrest.conf a second repository on another host:\nrepo2-host=...",
    "barman": ", or let Barman run on a host of its own",
}


@of_backups()
def backup_disk(rows: list[Any], limits: Limits) -> list[Finding]:
    """Backups on the disk of the data: they go with it."""
    (facts,) = rows
    found = [
        Finding(
            Grade.WARN if facts.protected else Grade.INFO,
            f"{folder} is on the disk of the data",
            f"# mount another disk or a share there{ELSEWHERE.get(engine, '').format(env=facts.env)}",
            folder,
        )
        for folder, engine in sorted({(store.folder, store.engine) for store in facts.stores if store.same_disk})
    ]
    return _fine(facts, found, "no backup lies beside the data")
