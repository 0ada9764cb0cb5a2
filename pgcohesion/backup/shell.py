"""The pieces of POSIX sh that a backup needs where the server is, and how they are run.

They run the same on a laptop (Linux, macOS) and over SSH. What varies comes as ``"$1"``, ``"$2"``, never in the text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Self

from msgspec import Struct

from ..errors import CohesionError, CommandFailed
from ..runner import Pipe

if TYPE_CHECKING:
    from ..context import Context

ABSENT, CLOSED = 44, 45

# The programs connect with what we hand them, not with what stands in somebody's profile. A setting of the database
# must not stand in their way, either.
ALONE = """
unset PGDATABASE PGHOSTADDR PGPASSWORD PGSERVICE PGSERVICEFILE PGSSLMODE PGGSSENCMODE PGREQUIREAUTH PGCHANNELBINDING
unset PGTARGETSESSIONATTRS PGCLIENTENCODING PGDATESTYLE PGTZ
"""
VARIABLES = {
    "LC_ALL": "C",
    "PGAPPNAME": "pgcohesion backup",
    "PGOPTIONS": "-c role=none -c default_transaction_read_only=off",
}

# Long work ends with us: our end of its stdin closes when we do, however that happens, and the watch ends the process
# group. It says how it ended in its last line, because a pipe has no exit status.
WATCHED = """
exec 3<&0 </dev/null 2>&1
(while read -r _; do :; done; kill -TERM 0) <&3 >/dev/null 2>&1 &
watch=$!
exec 3<&-
trap 'status=$?; left "$@"; kill "$watch" 2>/dev/null; echo "pgcohesion: ended $status"' EXIT
trap 'exit 143' TERM INT HUP
left() { :; }
"""
ENDED = re.compile(r"^pgcohesion: ended (\d+)$", re.MULTILINE)

CHECKSUM = """
checksum() {
    if command -v sha256sum >/dev/null; then set -- "$1" sha256sum; else set -- "$1" shasum -a 256; fi
    jobs=$1; shift
    xargs -0 -n 64 -P "$jobs" "$@"
}
"""

# $1 folder, $2 its owner (empty: ourselves)
FOLDER = """
set -e; umask 022
mkdir -p "${1%/*}"
mkdir -m 700 "$1"
[ -z "$2" ] || chown "$2:" "$1"
"""

# $1 folder, $2 a program whose version is wanted. Five lines: what the program says, the free bytes, each manifest's
# line of SHA256SUMS, files and bytes of each dump, and a tar of the folders' names and manifests.
LIST = r"""
export LC_ALL=C
b() { base64 | tr -d '\n'; echo; }
{ [ -z "$2" ] || "$2" --version; } 2>&1 | b
[ -e "$1" ] || exit 44
cd "$1" && ls >/dev/null || exit 45
df -Pk . | awk 'NR == 2 { printf "%.0f\n", $4 * 1024 }'
grep ' [ *]manifest\.json$' ./*/SHA256SUMS /dev/null 2>/dev/null | b
find ./*/dump -type f -exec ls -ln {} + 2>/dev/null |
    awk '{ split($9, p, "/"); n[p[2]]++; s[p[2]] += $5 } END { for (k in n) printf "%s %d %.0f\n", k, n[k], s[k] }' | b
tar -cf - --no-recursion ./*/ ./*/manifest.json 2>/dev/null | b
"""

# $1 where it is written, $2 jobs, $3 snapshot, $4 connection string, $5 pg_dump, $6 pg_dumpall
DUMP = (
    WATCHED
    + ALONE
    + CHECKSUM
    + r"""
set -e; umask 077
mkdir "$1"
left() { [ "$status" = 0 ] || rm -rf "$1"; }
"$5" --no-password --format=directory --compress=1 --jobs="$2" --snapshot="$3" --file="$1/dump" --dbname="$4"
"$6" --no-password --globals-only --no-role-passwords --file="$1/globals.sql"
cd "$1"
find dump -type f -exec ls -ln {} + | awk '{ n++; s += $5 } END { printf "pgcohesion: total %.0f %.0f\n", n, s }'
find dump globals.sql -type f -print0 | checksum "$2"
"""
)

# $1 where it was written, $2 where it is listed; stdin: a tar of the small files
PUBLISH = """
set -e; umask 077
trap '[ "$?" = 0 ] || rm -rf "$1"' EXIT
tar -xmof - -C "$1"
[ ! -e "$2" ] || { echo "$2 is there already" >&2; exit 1; }
sync "$1/manifest.json" "$1/rows.json" "$1/SHA256SUMS" "$1" 2>/dev/null || sync
mv "$1" "$2"
sync "${2%/*}" 2>/dev/null || sync
"""

# $1 folder of the backup, $2 jobs. First lines: SHA256SUMS and rows.json; then a checksum a file
VERIFY = (
    WATCHED
    + CHECKSUM
    + r"""
set -e
cd "$1"
for f in SHA256SUMS rows.json; do [ ! -f "$f" ] || base64 <"$f" | tr -d '\n'; echo; done
find . -type f ! -name SHA256SUMS -print0 | checksum "$2" || :
"""
)

# $1 folder of the backup, $2 jobs, $3 connection string, $4 pg_restore
RESTORE = (
    WATCHED
    + ALONE
    + """
set -e
"$4" --no-password --exit-on-error --jobs="$2" --dbname="$3" "$1/dump"
"""
)

# $1 a folder
REMOVE = 'rm -rf "$1"'


class Place(Struct, frozen=True):
    """Where backups lie, and whose they are: *user* None where that is ourselves."""

    folder: str
    user: str | None

    def of(self, name: str) -> str:
        """Return the path of a backup."""
        return f"{self.folder}/{name}"


def programs(ctx: Context, script: str, name: str, *words: str) -> tuple[str, ...]:
    """Return the command that runs *script* with the variables of the server's client programs."""
    values = {**ctx.server.tool_environment(), **VARIABLES}
    return ("env", *(f"{key}={value}" for key, value in values.items()), "sh", "-c", script, name, *words)


class Watched:
    """Work that has begun, and ends when we do. *what* is said when it fails."""

    def __init__(self, ctx: Context, place: Place, argv: tuple[str, ...], what: str) -> None:
        self._what, self._where = what, place.folder
        ctx.log.debug("run", host=ctx.host, command=shown(argv))
        self._pipe: Pipe | None = ctx.runner.pipe(argv, user=place.user)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> str:
        pipe, self._pipe = self._pipe, None
        return pipe.close() if pipe else ""

    def result(self) -> str:
        """Wait for its end and return what it wrote. Raises CommandFailed."""
        parts = []
        while self._pipe and (part := self._pipe.receive()):
            parts.append(part)
        text = b"".join(parts).decode("utf-8", "replace")
        ended = ENDED.search(text)
        text = ENDED.sub("", text)
        if ended is None:
            text = f"{text}{self._close()}\nit was ended from outside"
        elif ended[1] != "0":
            text = text.strip() or f"it said nothing, exit status {ended[1]}"
        else:
            return text
        raise failure(self._what, text, self._where)


def shown(argv: tuple[str, ...]) -> str:
    """Return a command as a log has it: what the script is called, and its words."""
    return " ".join(argv[argv.index("-c") + 2 :]) if "-c" in argv else " ".join(argv)


def failure(what: str, text: str, folder: str) -> CohesionError:
    """Return the error of work that ended badly; a full disk is called by its name."""
    lines = [line for line in text.strip().splitlines() if not line.startswith("pgcohesion: ")][-12:]
    full = next((line for line in lines if "No space left on device" in line or "Disk quota exceeded" in line), "")
    if full:
        return CommandFailed(
            what,
            why=f"the disk of {folder} is full\n{full}",
            fix="make room there, or set backup.folder to another disk",
        )
    return CommandFailed(what, why="\n".join(lines))
