"""The backups that there are: one trip for all of them."""

from __future__ import annotations

import base64
import io
import re
import tarfile
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct, to_builtins

from ..errors import CohesionError, ConfigError, UsageError, suggestion
from ..view import Answer, Grade, Line, Table, View, count, size, span
from . import names, shell
from .manifest import MANIFEST, Manifest, Unreadable, checksum, decode
from .shell import Place

if TYPE_CHECKING:
    from ..context import Context


SUM = re.compile(rf"^\./([^/]+)/SHA256SUMS:([0-9a-f]{{64}}) [ *]{re.escape(MANIFEST)}$", re.MULTILINE)


class Entry(Struct, frozen=True):
    """A folder among the backups: complete with its *manifest*, or damaged for a *reason*."""

    id: str
    manifest: Manifest | None = None
    reason: str = ""

    @property
    def complete(self) -> bool:
        """Whether it has all its files, as far as their number and sizes tell."""
        return not self.reason


class Catalog(Struct, frozen=True):
    """What lies in the folder of backups. *names* has the unfinished ones, too; *free* in bytes."""

    entries: tuple[Entry, ...] = ()
    names: tuple[str, ...] = ()
    free: int | None = None
    tool: str = ""
    exists: bool = True


def place(ctx: Context) -> Place:
    """Return where the backups of an environment lie. Raises ConfigError for a relative path on a host."""
    if ctx.config.postgresql.source == "embedded":
        return Place(ctx.backup_folder, None)
    folder_there = ctx.backup_folder
    if not folder_there.startswith("/"):
        raise ConfigError(
            f"backup.folder `{folder_there}` is no absolute path",
            why=f"it is a folder of the host {ctx.host}",
            fix=f'backup.folder = "/var/backups/pgcohesion/{ctx.config.postgresql.cluster}"',
        )
    return Place(folder_there.rstrip("/"), ctx.server.user)


def read(ctx: Context, tool: str = "") -> Catalog:
    """Read every manifest, and the version of the program *tool*. Raises CohesionError for a folder closed to us."""
    where = place(ctx)
    done = ctx.runner.run(("sh", "-c", shell.LIST, "list", where.folder, tool), user=where.user, check=False)
    if done.status == shell.ABSENT:
        return Catalog(exists=False, tool=_text(done.stdout.partition("\n")[0]).strip())
    if done.status:
        raise CohesionError(
            f"cannot read the backups in `{where.folder}`",
            why=done.stderr.strip() or f"exit status {done.status}",
            fix=f"the folder belongs to {where.user or 'who runs this'}, mode 0700",
        )
    return parse(done.stdout)


def parse(text: str) -> Catalog:
    """Return what the script wrote as values, oldest backup first."""
    tool, free, sums, totals, tar = text.split("\n")[:5]
    checksums = {match[1]: match[2] for match in SUM.finditer(_text(sums))}
    sizes = {
        words[0]: (int(words[1]), int(words[2])) for line in _text(totals).splitlines() if (words := line.split(" "))
    }
    folders, manifests = _unpacked(base64.b64decode(tar))
    found = [
        _entry(name, manifests.get(name), checksums.get(name, ""), sizes.get(name, (0, 0)))
        for name in folders
        if not name.endswith(".partial")
    ]
    ordered = sorted(found, key=lambda entry: (_order(entry), entry.id))
    return Catalog(tuple(ordered), tuple(folders), int(free) if free else None, _text(tool).strip())


def _unpacked(tar: bytes) -> tuple[list[str], dict[str, bytes]]:
    """Return the names of the folders and the manifests in them."""
    folders, manifests = [], {}
    if tar:
        with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as archive:
            for member in archive:
                parts = [part for part in member.name.split("/") if part != "."]
                if member.isdir() and len(parts) == 1:
                    folders.append(parts[0])
                elif (content := archive.extractfile(member)) is not None:
                    manifests[parts[0]] = content.read()
    return folders, manifests


def _entry(name: str, manifest: bytes | None, checksum_: str, total: tuple[int, int]) -> Entry:
    if manifest is None:
        return Entry(name, reason=f"has no {MANIFEST}")
    if checksum(manifest) != checksum_:
        return Entry(name, reason=f"{MANIFEST} has not the checksum that SHA256SUMS says")
    try:
        value = decode(manifest)
    except Unreadable as error:
        return Entry(name, reason=str(error))
    return Entry(name, value, _doubt(name, value, total))


def _doubt(name: str, manifest: Manifest, total: tuple[int, int]) -> str:
    if manifest.id != name:
        return f"is called `{name}`, its manifest says `{manifest.id}`"
    if total != (manifest.dump_files, manifest.dump_bytes):
        had = f"{count(manifest.dump_files, 'file')} of {manifest.dump_bytes} bytes"
        return f"dump/ has {count(total[0], 'file')} of {total[1]} bytes, had {had}"
    return ""


def _order(entry: Entry) -> datetime:
    """Damaged ones stand at the time of their name; foreign ones first."""
    if entry.manifest:
        return entry.manifest.started_at
    match = names.ID.fullmatch(entry.id)
    try:
        return (
            datetime.strptime(match[1], names.STAMP).replace(tzinfo=UTC) if match else datetime.min.replace(tzinfo=UTC)
        )
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def _text(line: str) -> str:
    return base64.b64decode(line).decode("utf-8", "backslashreplace")


def find(entries: Sequence[Entry], wanted: str, database: str) -> tuple[Entry, Manifest]:
    """Return the backup that *wanted* names; ``latest`` is the newest of *database*, and never silently an older one.

    Raises UsageError for one that there is not, CohesionError for a damaged one.
    """
    known = [entry.id for entry in entries if names.ID.fullmatch(entry.id)]
    of_database = [entry.id for entry in entries if _is_of(entry, database)]
    name = of_database[-1] if wanted == names.LATEST and of_database else wanted
    entry = next((entry for entry in entries if entry.id == name), None)
    if entry is None:
        what = f"no backup `{wanted}`" if wanted != names.LATEST else f"no backup of `{names.printable(database)}` yet"
        raise UsageError(what, fix=suggestion(wanted, known) if known else "make one: inv backup.create")
    if entry.manifest is None or entry.reason:
        raise damaged(entry.id, [entry.reason], entries)
    return entry, entry.manifest


def _is_of(entry: Entry, database: str) -> bool:
    if entry.manifest is not None:
        return entry.manifest.database == database
    match = names.ID.fullmatch(entry.id)
    rest = entry.id[len(match[1]) + 1 :] if match else ""
    return names.slug(database) in (rest, re.sub(r"-\d+$", "", rest))


def damaged(identity: str, reasons: Sequence[str], entries: Sequence[Entry]) -> CohesionError:
    """Return the error of a backup that must not be restored."""
    others = [entry.id for entry in entries if entry.complete and entry.id != identity]
    shown = [*reasons[:10], *([f"and {len(reasons) - 10} more"] if len(reasons) > 10 else [])]
    return CohesionError(
        f"the backup `{identity}` is damaged; nothing was touched",
        why="\n".join(shown),
        fix=f"restore another one; the newest is {others[-1]}" if others else "make a new one: inv backup.create",
    )


class Listed(Answer, frozen=True):
    """The backups, oldest first."""

    entries: tuple[Entry, ...]
    folder: str
    env: str
    now: datetime

    def as_dict(self) -> dict[str, Any]:
        """Return each backup with its manifest."""
        return {
            "folder": self.folder,
            "backups": [
                {
                    "id": entry.id,
                    "complete": entry.complete,
                    "reason": entry.reason,
                    "manifest": to_builtins(entry.manifest),
                }
                for entry in self.entries
            ],
        }

    def view(self) -> View:
        """Return a row a backup, the newest nearest to the prompt."""
        complete = [entry for entry in self.entries if entry.complete]
        broken = [entry for entry in self.entries if not entry.complete]
        table = Table(
            ("backup", "database", "size", "age", "server", "state"), tuple(self._row(entry) for entry in self.entries)
        )
        reasons = tuple(
            Line(f"`{names.printable(entry.id)}` {names.printable(entry.reason)}", grade=Grade.WARN) for entry in broken
        )
        verdict = count(len(complete), "backup")
        if broken:
            verdict += f", {len(broken)} damaged"
        if complete and complete[-1].manifest:
            verdict += f", the newest {span(self._age(complete[-1].manifest))} old"
        return View(
            ((table,) if self.entries else ()) + reasons,
            f"{verdict} in {self.folder}",
            Grade.WARN if broken else Grade.OK,
            next="" if complete else f"inv backup.create --env={self.env}",
        )

    def _age(self, manifest: Manifest) -> float:
        return max(0.0, (self.now - manifest.ended_at).total_seconds())

    def _row(self, entry: Entry) -> tuple[object, ...]:
        if entry.manifest is None:
            return names.printable(entry.id), "", "", "", "", "damaged"
        manifest = entry.manifest
        origin = "" if manifest.env == self.env else f" ({manifest.env})"
        state = "complete" if entry.complete else "damaged"
        return (
            names.printable(entry.id),
            names.printable(manifest.database) + origin,
            size(manifest.dump_bytes),
            span(self._age(manifest)),
            manifest.server_version,
            state,
        )
