"""The backups that there are, as their engines know them: pgBackRest, Barman, WAL-G, and our own folder."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from ...config.model import Backups as Declared
from ...config.model import Host
from ...errors import CohesionError
from ...redact import masked
from . import ask_if_up, engines
from .engines import Store

if TYPE_CHECKING:
    from ...context import Context
    from ...runner import Runner

UNGUARDED = ("development", "test")
ARCHIVE = "SELECT current_setting('archive_command') AS command, current_setting('archive_mode') <> 'off' AS archiving"
PUSHES = ("archive-push", "wal-push")
USERS = {"pgbackrest": "postgres", "barman": "barman", "wal-g": "postgres"}

# Whether two folders are on one disk.
DISKS = r"""
export LC_ALL=C
on() { df -P "$1" 2>/dev/null | awk 'NR == 2 { print $1 }'; }
said() { [ -d "$1" ] && [ "$(on "$1")" = "$(on "$2")" ] && echo same || echo other; }
"""

# $1 folder, $2 data folder
DISK = DISKS + 'said "$1" "$2"'

# $1 folder, $2 data folder: whether both are on one disk; then of each backup its name, change, files and bytes of its
# dump, and its manifest. The manifest has one key a line, so that no line of it begins like ours.
OWN = (
    DISKS
    + r"""
cd "$1" 2>/dev/null && ls >/dev/null || exit 44
said . "$2"
for name in */; do
    name=${name%/}
    [ -d "$name" ] || continue
    total=$(find "$name/dump" -type f -exec ls -ln {} + 2>/dev/null |
        awk '{ n++; s += $5 } END { printf "%d\t%.0f", n, s }')
    printf -- '-- %s\t%s\t%s\n' "$name" "$(date -r "$name" +%s)" "$total"
    cat "$name/manifest.json" 2>/dev/null
done
"""
)

# $1 folder, $2 how the entries are called, $3 data folder (empty: elsewhere): whether both are on one disk; then of
# each entry its change, bytes and name; of a folder those of all its files
FILES = (
    DISKS
    + r"""
cd "$1" || exit 44
said . "$3"
find . -mindepth 1 -maxdepth 1 -name "$2" | while IFS= read -r name; do
    total=$(find "$name" -type f -exec ls -ln {} + | awk '{ s += $5 } END { printf "%.0f", s }')
    printf '%s\t%s\t%s\n' "$(date -r "$name" +%s)" "$total" "${name#./}"
done
"""
)


# $1 pgBackRest's configuration file, empty: the files that it reads where none is named
REST = r"""
if [ "$1" ]; then cat "$1"; else
    cat /etc/pgbackrest/pgbackrest.conf || cat /etc/pgbackrest.conf
    for file in /etc/pgbackrest/conf.d/*.conf; do echo; cat "$file"; done
fi 2>/dev/null
"""


class Backups(Struct, frozen=True, kw_only=True):
    """Everything that is known of an environment's backups; *now* in epoch seconds.

    *protected*: the environment is. *relaxed*: it is one of a laptop or of tests, where old backups hurt nobody.
    *undeclared*: what archive_command speaks of and nobody has declared. Not *archiving*: archive_mode is off. *ours*:
    we can make backups of the server.
    """

    stores: tuple[Store, ...]
    env: str
    now: float
    protected: bool = False
    relaxed: bool = False
    undeclared: str = ""
    archiving: bool = True
    ours: bool = True


def read(ctx: Context) -> list[Any] | None:
    """Return the backups of an environment as one value. An engine that cannot be asked is a problem of its own."""
    declared = ctx.config.health.backups
    archive = ask_if_up(ctx, ARCHIVE)
    command = "".join(row.command for row in archive if row.archiving)
    pushing = _pushing(command) if not any(one.engine != "pgcohesion" for one in declared.values()) else []
    stores = [store for name, one in declared.items() for store in _declared(ctx, name, one)]
    ours = not ctx.only_looked_at  # its host, too
    if ours and not any(one.engine == "pgcohesion" for one in declared.values()):
        stores += [replace(store, declared=False) for store in _own(ctx) if store.backups]
    if pushing and ours:
        stores += _pushed(ctx, pushing)
    return [
        Backups(
            stores=tuple(stores),
            env=ctx.env,
            now=time.time(),
            protected=ctx.config.protected,
            relaxed=ctx.env in UNGUARDED,
            undeclared="" if stores else masked(command),
            archiving=all(row.archiving for row in archive),
            ours=ours,
        )
    ]


# --- what is declared -----------------------------------------------------------------------------------


def _declared(ctx: Context, name: str, one: Declared) -> Iterator[Store]:
    if one.engine == "pgcohesion":
        yield from (replace(store, keep=one.keep, verified_at=_verified(ctx.runner, one)) for store in _own(ctx))
        return
    runner = ctx.reach(f"backups.{name}", Host(ssh=one.ssh)) if one.ssh else ctx.runner
    try:
        for store in _asked(ctx, runner, name, one):
            yield replace(store, keep=one.keep, verified_at=_verified(runner, one))
    finally:
        if runner is not ctx.runner:
            runner.close()


def _asked(ctx: Context, runner: Runner, name: str, one: Declared) -> list[Store]:
    command, unit = one.command or [one.engine], one.stanza or name
    if one.engine == "files":
        return [_files(ctx, runner, one)]
    user = one.user or (None if one.ssh else USERS[one.engine])
    try:
        if one.engine == "barman":
            listed = _said(runner, [*command, "-f", "json", "list-backup", unit], user)
            checked = _said(runner, [*command, "-f", "json", "check", unit], user, may_fail=True)
            found = list(engines.barman(listed, checked, unit))
            return found if one.ssh else _lying(ctx, found, _barman_folder(ctx, command, unit, user), user)
        if one.engine == "wal-g":
            return list(engines.wal_g(_said(runner, [*command, *WAL_G], user), shlex.join(command)))
        said = _said(runner, [*command, f"--stanza={unit}", *PGBACKREST], user)
        found = list(engines.pgbackrest(said, unit)) or [_absent(one.engine, unit, command)]
        return found if one.ssh else _lying(ctx, found, _repository(ctx, command, unit, user), user)
    except (CohesionError, ValueError, KeyError, TypeError) as error:
        why = (
            f"{error.what}: {error.why}" if isinstance(error, CohesionError) else f"its answer is not as known: {error}"
        )
        return [engines.broken(f"{one.engine} {unit}", one.engine, why, shlex.join(command))]


def _repository(ctx: Context, command: Sequence[str], stanza: str, user: str | None) -> str:
    """Return the folder on this host that pgBackRest keeps everything in, or nothing."""
    file = engines.options(command).get("config", "")
    done = ctx.runner.run(("sh", "-c", REST, "rest", file), user=user, check=False)
    return engines.repository(done.stdout, command, stanza)


def _barman_folder(ctx: Context, command: Sequence[str], unit: str, user: str | None) -> str:
    done = ctx.runner.run([*command, "-f", "json", "show-server", unit], user=user, check=False)
    return engines.barman_folder(done.stdout, unit)


def _lying(ctx: Context, stores: Sequence[Store], folder: str, user: str | None) -> list[Store]:
    """Return the stores with the folder of this host that they lie in, and whether the data is on its disk."""
    if not folder:
        return list(stores)
    done = ctx.runner.run(("sh", "-c", DISK, "disk", folder, ctx.server.data_folder()), user=user, check=False)
    return [replace(store, folder=folder, same_disk=done.stdout.strip() == "same") for store in stores]


def _files(ctx: Context, runner: Runner, one: Declared) -> Store:
    folder, user = one.folder or "", one.user or (None if one.ssh else ctx.server.user)
    try:
        data = "" if one.ssh else ctx.server.data_folder()
        lines = _said(runner, ("sh", "-c", FILES, "files", folder, one.pattern, data), user).splitlines()
    except CohesionError as error:
        return engines.broken(f"{folder}/{one.pattern}", "files", error.why or error.what, f"ls -ld {folder}")
    return engines.files(lines, folder, one.pattern)


PGBACKREST = ("info", "--output=json", "--log-level-console=off")
WAL_G = ("backup-list", "--json", "--detail")


def _absent(engine: str, unit: str, command: Sequence[str]) -> Store:
    return engines.broken(f"{engine} {unit}", engine, f"it knows no stanza {unit}", shlex.join([*command, "info"]))


def _said(runner: Runner, argv: Sequence[str], user: str | None, *, may_fail: bool = False) -> str:
    """Return what an engine wrote to stdout. *may_fail*: its status is a verdict, not an error."""
    done = runner.run(argv, user=user, check=not may_fail)
    if may_fail and not done.stdout.strip():
        raise CohesionError(f"`{argv[0]}` said nothing", why=done.stderr.strip()[-500:])
    return done.stdout


def _verified(runner: Runner, one: Declared) -> float | None:
    """Return when the file of the restore test was touched: 0 where it is not there."""
    if one.verified is None:
        return None
    done = runner.run(("date", "-r", one.verified, "+%s"), check=False)
    return float(done.stdout) if done.status == 0 else 0.0


# --- what is found --------------------------------------------------------------------------------------


def _own(ctx: Context) -> list[Store]:
    """Return the backups of our own folder, a store a database."""
    user = ctx.server.user if ctx.config.postgresql.source == "packages" else None
    argv = ("sh", "-c", OWN, "own", ctx.backup_folder, ctx.server.data_folder())
    done = ctx.runner.run(argv, user=user, check=False)
    disk, *lines = done.stdout.splitlines() if done.status == 0 else [""]
    found = engines.own(lines, ctx.env, ctx.backup_folder, list(ctx.config.databases))
    return [replace(store, same_disk=disk == "same") for store in found]


def _pushing(command: str) -> list[str]:
    """Return the engine with its options out of archive_command: ``pgbackrest --stanza=main``, ``envdir X wal-g``."""
    try:
        words = shlex.split(command)
    except ValueError:
        return []
    verb = next((position for position, word in enumerate(words) if word in PUSHES), 0)
    names = {word.rpartition("/")[2] for word in words[:verb]}
    plain = not any(word in ("&&", "||", ";", "|") or "%" in word for word in words[:verb])
    return words[:verb] if plain and names & {"pgbackrest", "wal-g"} else []


def _pushed(ctx: Context, command: list[str]) -> list[Store]:
    """Ask the engine that archive_command speaks of, as the server itself calls it."""
    engine = "wal-g" if any(word.endswith("wal-g") for word in command) else "pgbackrest"
    try:
        said = _said(ctx.runner, [*command, *(WAL_G if engine == "wal-g" else PGBACKREST)], ctx.server.user)
        if engine == "wal-g":
            return list(engines.wal_g(said, shlex.join(command)))
        folder = _repository(ctx, command, "", ctx.server.user)
        return _lying(ctx, list(engines.pgbackrest(said, "")), folder, ctx.server.user)
    except (CohesionError, ValueError, KeyError, TypeError) as error:
        return [engines.broken(engine, engine, str(error), shlex.join(command))]
