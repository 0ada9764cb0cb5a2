"""The machine that a server runs on: one trip of one script, the same here and over SSH."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from . import ask_if_up

if TYPE_CHECKING:
    from ...context import Context

SAME = 10.0
"""Seconds in which a server begins to serve after its postmaster has begun."""
SETTINGS = """
SELECT (SELECT setting FROM pg_settings WHERE name = 'data_directory') AS data,
       CASE WHEN current_setting('logging_collector') = 'on' THEN
            (SELECT setting FROM pg_settings WHERE name = 'log_directory') END AS log,
       CASE WHEN current_setting('ssl') = 'on' THEN current_setting('ssl_cert_file') END AS certificate,
       current_setting('ssl_key_file') AS key, extract(epoch FROM pg_conf_load_time())::float AS loaded,
       pg_size_bytes(current_setting('shared_buffers'))::float AS shared_buffers,
       pg_size_bytes(current_setting('work_mem'))::float AS work_mem,
       pg_size_bytes(CASE WHEN current_setting('autovacuum_work_mem') = '-1'
            THEN current_setting('maintenance_work_mem') ELSE current_setting('autovacuum_work_mem') END)::float
            AS vacuum_mem,
       current_setting('autovacuum_max_workers')::int AS workers,
       current_setting('max_connections')::int AS connections,
       current_setting('huge_pages') AS huge_pages,
       current_setting('huge_pages_status', true) AS huge_pages_status,
       current_setting('shared_memory_size_in_huge_pages', true) AS huge_pages_needed,
       split_part(current_setting('server_version'), ' ', 1) AS version,
       extract(epoch FROM pg_postmaster_start_time())::float AS started
"""

# $1 data folder, $2 certificate (empty: none), $3 its key, then pairs of what a folder holds and its path. Each section
# begins with `== name`. What cannot be read is left out; a file system that hangs is given up after 3 s.
SCRIPT = r"""
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
data=$1 certificate=$2 key=$3; shift 3
[ -d "$data" ] && [ -e "$data/PG_VERSION" ] || { echo '== absent'; exit; }
echo '== clock'; date +%s.%N
command -v timeout >/dev/null && T='timeout -s KILL 3' || T=
show() { [ -r "$2" ] && { echo "== $1"; cat "$2"; } 2>/dev/null; }
place() {
    [ -e "$2" ] || return 0
    about=$($T stat -L --printf '%d\t%m' "$2") && sizes=$($T stat -L -f --printf '%S\t%b\t%f\t%a\t%c\t%d' "$2") &&
        printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$about" "$sizes"
}
{
echo '== places'
place data "$data"; place WAL "$data/pg_wal"
for space in "$data"/pg_tblspc/*; do [ -L "$space" ] && place "tablespace ${space##*/}" "$(readlink "$space")"; done
while [ $# -gt 1 ]; do place "$1" "$2"; shift 2; done
echo '== gone'
for space in "$data"/pg_tblspc/*; do
    [ -L "$space" ] || continue
    to=$(readlink "$space")
    if names=$($T ls "$to"); then
        echo "$names" | grep -q '^PG_' && continue
    else  # a parent that we may not enter says nothing
        [ $? -eq 2 ] && [ -x "${to%/*}" ] && [ ! -e "$to" ] || continue
    fi
    echo "$to"
done
echo '== folder'; stat -c '%a %U %u' "$data"
echo '== started'; sed -n 3p "$data/postmaster.pid"
pid=$(head -n 1 "$data/postmaster.pid")
[ "$(readlink "/proc/$pid/cwd")" = "$(cd "$data" && pwd -P)" ] || pid=self
if [ "$pid" != self ]; then
    program=$(readlink "/proc/$pid/exe")
    echo '== program'; echo "$program"; stat -c %u "/proc/$pid"; "${program% (deleted)}" -V
    show oom_score_adj "/proc/$pid/oom_score_adj"
fi
echo '== groups'
while IFS=: read -r id kinds path; do
    case $id:$kinds in
        0:*) base=/sys/fs/cgroup names='memory.max memory.current memory.events'
             [ -d $base/unified ] && base=$base/unified ;;
        *:*memory*) base=/sys/fs/cgroup/memory
             names='memory.limit_in_bytes memory.usage_in_bytes memory.oom_control' ;;
        *) continue ;;
    esac
    path=${path%/}
    while :; do
        here=$base$path; set -- $names
        [ -r "$here/$1" ] && printf '%s\t%s\t%s\t%s\t%s\n' "$(cat "$here/$1")" "$(cat "$here/$2")" \
            "$(awk '$1 ~ /^(total_)?inactive_file$/ { n = $2 } END { printf "%.0f", n }' "$here/memory.stat")" \
            "$(awk '$1 == "oom_kill" { n = $2 } END { printf "%d", n }' "$here/$3")" "${path:-/}"
        [ -n "$path" ] || break
        path=${path%/*}
    done
done <"/proc/$pid/cgroup"
show mounts /proc/self/mountinfo
show memory /proc/meminfo
show load /proc/loadavg
show uptime /proc/uptime
show memory_pressure /proc/pressure/memory
show io_pressure /proc/pressure/io
show files /proc/sys/fs/file-nr
show overcommit /proc/sys/vm/overcommit_memory
show transparent /sys/kernel/mm/transparent_hugepage/enabled
echo '== vmstat'; grep -E '^(oom_kill|pswpin) ' /proc/vmstat
echo '== processors'; nproc
if log=$(dmesg); then
    echo '== kernel'
    echo "$log" | grep -i -e 'I/O error' -e 'medium error' -e 'critical medium' -e 'critical target' \
        -e 'ext4-fs error' -e 'xfs.*corrupt' -e 'xfs.*shut' -e 'btrfs.*error' -e 'uncorrect' \
        -e 'remounting filesystem read-only' -e 'hardware error' -e 'machine check' -e 'out of memory: kill' |
        tail -n 100
fi
if [ -n "$certificate" ]; then
    echo '== certificate'
    cd "$data" && openssl x509 -noout -enddate -in "$certificate"
    echo '== renewed'; stat -L -c %Y "$certificate"
    echo '== key'; stat -L -c '%a %u %U' "$key"
    if ours=$(openssl pkey -pubout -passin pass: -in "$key"); then
        [ "$ours" = "$(openssl x509 -noout -pubkey -in "$certificate")" ] && echo same || echo other
    fi
fi
for mark in /run/systemd/container /.dockerenv /run/.containerenv; do [ -e $mark ] && echo '== container' && break; done
[ -d /run/systemd/system ] && { echo '== synchronized'; $T timedatectl show -p NTPSynchronized --value; }
[ -e /run/reboot-required ] && { echo '== reboot'; cat /run/reboot-required.pkgs; }
echo '== cores'
find "$data" -maxdepth 1 -type f -name 'core*' -printf '%p\t%s\t%T@\n'
find /var/lib/systemd/coredump -maxdepth 1 -type f -name 'core.postgres.*' -printf '%p\t%s\t%T@\n'
} 2>/dev/null
echo '== end'
"""


class Disk(Struct, frozen=True, kw_only=True):
    """A file system with what it *holds*; sizes in bytes, *free* to those who are not root."""

    mount: str
    holds: tuple[str, ...] = ()
    used: int = 0
    free: int = 0
    inodes_used: int = 0
    inodes_free: int = 0
    read_only: bool = False
    device: str = ""


class Group(Struct, frozen=True):
    """A control group that bounds the server's memory, in bytes; *used* without the page cache that can go."""

    name: str
    limit: int
    used: int
    killed: int


class Event(Struct, frozen=True):
    """A line of the kernel's log, *age* seconds old."""

    age: float
    text: str


class Core(Struct, frozen=True):
    """The memory image of a process that crashed; *age* in seconds, *bytes* its size."""

    path: str
    bytes: int
    age: float


class Host(Struct, frozen=True, kw_only=True):
    """A machine. Sizes in bytes, times in seconds; None and empty: not known.

    *remote*: not the one that we run on. *unit*: the systemd unit of the server, where it has one. *gone*: folders of
    tablespaces that are not there, or empty. *memory* is /proc/meminfo. *pressure*: the share of the last five minutes
    in which everybody waited for memory or io. *key_fits*: whether the certificate is the key's.
    """

    remote: bool = False
    unit: str = ""
    container: bool = False
    folder: str = ""
    mode: int | None = None
    owner: str = ""
    owned: bool = True
    disks: tuple[Disk, ...] = ()
    gone: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()
    memory: dict[str, int] = {}
    pressure: dict[str, float] = {}
    load: float | None = None
    processors: int = 1
    uptime: float | None = None
    oom_killed: int | None = None
    oom_score_adj: int | None = None
    overcommit: int | None = None
    transparent: str = ""
    files: tuple[int, int] | None = None
    kernel: tuple[Event, ...] | None = None
    certificate: str = ""
    certificate_left: float | None = None
    certificate_changed: float | None = None
    key: str = ""
    key_mode: int | None = None
    key_owner: str = ""
    key_owned: bool = True
    key_fits: bool | None = None
    clock_off: float | None = None
    synchronized: bool | None = None
    reboot: tuple[str, ...] | None = None
    cores: tuple[Core, ...] = ()
    program: str = ""
    replaced: bool = False
    installed: str = ""
    settings: Any = None


def read(ctx: Context) -> list[Any] | None:
    """Return the one host of *ctx*; None where the server's data folder is not on a machine that we can ask.

    Raises CohesionError when the host cannot be asked. A server that is down only leaves its settings unknown.
    """
    guest = ctx.only_looked_at
    if guest and (ctx.config.primary[1].ssh or not ctx.watched_here):
        return None  # it is not ours to log in on
    settings = next(iter(ask_if_up(ctx, SETTINGS)), None)
    data = (settings and settings.data) or ("" if guest else ctx.server.data_folder())
    packaged = ctx.config.postgresql.source == "packages" and not guest
    certificate = (settings and settings.certificate) or ""
    key = settings.key if settings and certificate else ""
    argv = ("sh", "-c", SCRIPT, "host", data, certificate, key, *_folders(ctx, settings, data))
    before = time.time()
    done = ctx.runner.run(argv, user="root" if packaged else None)
    sections = dict(_sections(done.stdout))
    if "absent" in sections or (guest and not _same(sections, settings)):
        return None
    facts = facts_of(sections, (before, time.time()))
    return [
        Host(
            **facts,
            remote=ctx.config.hosts[ctx.host].ssh is not None if ctx.host in ctx.config.hosts else False,
            unit="" if guest else getattr(ctx.server, "unit", ""),
            folder=data,
            certificate=certificate,
            key=key,
            settings=settings,
        )
    ]


def _same(sections: dict[str, list[str]], settings: Any) -> bool:
    """Return whether the server that answered is the one whose folder lies here, and not one behind a tunnel."""
    started = _first(sections, "started")
    return bool(started and settings and abs(float(started) - settings.started) < SAME)


def _folders(ctx: Context, settings: Any, data: str) -> Iterator[str]:
    """Yield what else a host keeps for its server, and where."""
    log = "/var/log/postgresql" if ctx.config.postgresql.source == "packages" else ""
    if settings and settings.log:
        log = settings.log if settings.log.startswith("/") else f"{data}/{settings.log}"
    yield from ("log", log) if log else ()
    yield from ("backups", ctx.backup_folder)


def _sections(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield name and lines of each section."""
    for part in f"\n{text}".split("\n== ")[1:]:
        name, _, rest = part.partition("\n")
        yield name, rest.splitlines()


def facts_of(sections: dict[str, list[str]], clock: tuple[float, float]) -> dict[str, Any]:
    """Return the fields of a Host; *clock* is our own time before and after the script ran."""
    now = float(sections["clock"][0])
    uptime = _first(sections, "uptime")
    return {
        **_folder(sections),
        **_program(sections),
        **_kernel(sections, float(uptime) if uptime else 0.0),
        "disks": tuple(_disks(sections)),
        "gone": tuple(sections.get("gone", ())),
        "groups": tuple(_groups(sections.get("groups", ()))),
        "memory": {line.split()[0][:-1]: _bytes(line) for line in sections.get("memory", ())},
        "pressure": {kind: value for kind in ("memory", "io") for value in _pressure(sections, f"{kind}_pressure")},
        "load": _number(sections, "load", 2),
        "processors": int(_first(sections, "processors") or 1),
        "files": _files(sections),
        "overcommit": _whole(sections, "overcommit"),
        "oom_score_adj": _whole(sections, "oom_score_adj"),
        "transparent": "".join(re.findall(r"\[(\w+)\]", " ".join(sections.get("transparent", ())))),
        **_key(sections),
        "certificate_left": _certificate(sections, now),
        "certificate_changed": _number(sections, "renewed", 0),
        "clock_off": max(clock[0] - now, now - clock[1], 0.0),
        "synchronized": {"yes": True, "no": False}.get(_first(sections, "synchronized")),
        "container": "container" in sections,
        "reboot": tuple(sections["reboot"]) if "reboot" in sections else None,
        "cores": tuple(_cores(sections.get("cores", ()), now)),
    }


def _first(sections: dict[str, list[str]], name: str) -> str:
    words = " ".join(sections.get(name, ())).split()
    return words[0] if words else ""


def _whole(sections: dict[str, list[str]], name: str) -> int | None:
    word = _first(sections, name)
    return int(word) if word else None


def _number(sections: dict[str, list[str]], name: str, position: int) -> float | None:
    words = " ".join(sections.get(name, ())).split()
    return float(words[position]) if len(words) > position else None


def _bytes(line: str) -> int:
    """Return the number of a line of /proc/meminfo."""
    words = line.split()
    return int(words[1]) * (1024 if words[-1] == "kB" else 1)


def _files(sections: dict[str, list[str]]) -> tuple[int, int] | None:
    words = " ".join(sections.get("files", ())).split()
    return (int(words[0]), int(words[2])) if len(words) == 3 else None


def _pressure(sections: dict[str, list[str]], name: str) -> Iterator[float]:
    for line in sections.get(name, ()):
        if line.startswith("full") and (found := re.search(r"avg300=([\d.]+)", line)):
            yield float(found[1]) / 100


def _folder(sections: dict[str, list[str]]) -> dict[str, Any]:
    words = " ".join(sections.get("folder", ())).split()
    if len(words) != 3:
        return {}
    user = (sections.get("program") or ["", ""])[1:2]
    return {"mode": int(words[0], 8), "owner": words[1], "owned": not user or user[0] in ("", words[2])}


def _program(sections: dict[str, list[str]]) -> dict[str, Any]:
    """Return the program that runs as the server, and the version of what lies at its path now."""
    lines = sections.get("program", [])
    if not lines:
        return {}
    version = re.search(r"PostgreSQL\) (\S+)", " ".join(lines[2:]))
    deleted = lines[0].endswith(" (deleted)")
    return {
        "program": lines[0].removesuffix(" (deleted)"),
        "replaced": deleted,
        "installed": version[1] if version else "",
    }


def _kernel(sections: dict[str, list[str]], uptime: float) -> dict[str, Any]:
    counts = dict(line.split() for line in sections.get("vmstat", ()) if len(line.split()) == 2)
    facts: dict[str, Any] = {"uptime": uptime or None}
    if "oom_kill" in counts:
        facts["oom_killed"] = int(counts["oom_kill"])
    if "kernel" in sections:
        found = (re.match(r"\[\s*([\d.]+)\]\s*(.*)", line) for line in sections["kernel"])
        facts["kernel"] = tuple(Event(max(0.0, uptime - float(one[1])), one[2]) for one in found if one)
    return facts


def _groups(lines: Sequence[str]) -> Iterator[Group]:
    for line in lines:
        limit, used, cache, killed, name = line.split("\t")
        if limit.isdigit() and int(limit) < 1 << 60:  # `max`, and what version 1 says for it
            yield Group(name, int(limit), max(0, int(used) - int(cache)), int(killed))


def _disks(sections: dict[str, list[str]]) -> Iterator[Disk]:
    """Yield each file system once, however many folders lie on it."""
    mounts = {found[0]: found[1:] for line in sections.get("mounts", ()) for found in [_mount(line)]}
    places: dict[str, list[list[str]]] = {}
    for line in sections.get("places", ()):
        words = line.split("\t")
        places.setdefault(words[2], []).append(words)
    for found in places.values():
        _, _, _, mount, *sizes = found[0]
        unit, blocks, unused, free, inodes, inodes_free = map(int, sizes)
        device, read_only = mounts.get(mount, ("", False))
        yield Disk(
            mount=mount,
            holds=tuple(words[0] for words in found),
            used=(blocks - unused) * unit,
            free=free * unit,
            inodes_used=inodes - inodes_free,
            inodes_free=inodes_free,
            read_only=read_only,
            device=device,
        )


def _mount(line: str) -> tuple[str, str, bool]:
    """Return mount point, device and whether it is read-only of a line of mountinfo."""
    words, _, rest = line.partition(" - ")
    fields = words.split()
    kind = rest.split()
    point = re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), fields[4])
    options = f"{fields[5]},{kind[-1]}".split(",")
    return point, kind[1], "ro" in options


def _certificate(sections: dict[str, list[str]], now: float) -> float | None:
    """Return the seconds until the certificate ends."""
    from ssl import cert_time_to_seconds

    line = "".join(sections.get("certificate", ()))
    return cert_time_to_seconds(line.removeprefix("notAfter=")) - now if line.startswith("notAfter=") else None


def _key(sections: dict[str, list[str]]) -> dict[str, Any]:
    words = " ".join(sections.get("key", ())).split()
    if len(words) < 3:
        return {}
    server = (sections.get("program") or ["", ""])[1:2]
    return {
        "key_mode": int(words[0], 8),
        "key_owner": words[2],
        "key_owned": words[1] == "0" or not server or server[0] in ("", words[1]),
        "key_fits": {"same": True, "other": False}.get(words[-1]),
    }


def _cores(lines: Sequence[str], now: float) -> Iterator[Core]:
    for line in lines:
        path, size, changed = line.split("\t")
        yield Core(path, int(size), max(0.0, now - float(changed)))
