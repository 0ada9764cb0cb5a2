"""The machine below the server: disks, memory, clock, certificate, and what its kernel complains of."""

from __future__ import annotations

import shlex
from functools import partial
from typing import Any

from ...view import Grade, count, size, span
from ..altering import alter_system
from ..registry import Finding, Limits, most, probe

DAY = 86400.0
GIB = 1024**3
HUGE = 8 * GIB  # shared_buffers from which huge pages are worth their setting up
GROUP_OR_WORLD = 0o027  # the bits that PostgreSQL refuses at its start: it lets a group read
on_host = partial(probe, "host", scope="host", cost="standard")


@on_host(warn=0.90, fail=0.95, full=1.0)
def disk_space(rows: list[Any], limits: Limits) -> list[Finding]:
    """Space on the disks of data, WAL, tablespaces, log and backups (limits as a share).

    With no space for WAL the server stops; with none for data, whatever writes fails.
    """
    found = []
    for disk in rows[0].disks:
        total = disk.used + disk.free
        share = disk.used / total if total else 1.0
        holds = ", ".join(disk.holds)
        text = f"{disk.mount} ({holds}) is {share:.0%} full, {size(disk.free)} of {size(total)} are free"
        fix = f"du -xhd 2 {shlex.quote(disk.mount)} | sort -h | tail -n 20"
        if "WAL" in disk.holds:
            fix += "\ninv health.check --only=wal,replication  # what keeps WAL; never delete it by hand"
        found.append(limits.finding(share, text, fix=fix, object=disk.mount))
    return found


@on_host()
def lost_tablespaces(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Tablespaces whose folder is not there, or empty: a disk that was not mounted.

    Whatever lies there cannot be read or written, and a crash now could not be recovered from.
    """
    found = []
    for folder in rows[0].gone:
        path = shlex.quote(folder)
        fix = (
            f"findmnt --fstab -T {path}  # what belongs there\nmount -a && ls {path}  # then the server finds it again"
        )
        found.append(Finding(Grade.FAIL, f"the tablespace at {folder} is gone: is its disk mounted?", fix, folder))
    return most(found) or Finding(Grade.OK, "the folders of all tablespaces are there")


@on_host(warn=0.90, fail=0.95, full=1.0)
def inodes(rows: list[Any], limits: Limits) -> list[Finding]:
    """Inodes of the disks (limits as a share): without one no file can be made, however much space is free."""
    found = []
    for disk in rows[0].disks:
        total = disk.inodes_used + disk.inodes_free
        if not total:
            continue  # btrfs and others have no limit
        share = disk.inodes_used / total
        text = f"{disk.mount} has used {share:.0%} of its inodes, {disk.inodes_free:,} are free"
        fix = f"du -x --inodes -d 2 {shlex.quote(disk.mount)} | sort -n | tail -n 20"
        found.append(limits.finding(share, text, fix=fix, object=disk.mount))
    return found


@on_host()
def read_only_disk(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Disks that are mounted read-only: the kernel does so itself after an error of the disk."""
    found = []
    for disk in rows[0].disks:
        if disk.read_only:
            mount = shlex.quote(disk.mount)
            text = f"{disk.mount} ({', '.join(disk.holds)}) is mounted read-only"
            fix = f"dmesg -T | tail -n 50  # why\nmount -o remount,rw {mount}  # when the disk {disk.device} is sound"
            found.append(Finding(Grade.FAIL, text, fix, disk.mount, undo=f"mount -o remount,ro {mount}"))
    return found or Finding(Grade.OK, "every disk can be written to")


@on_host(warn=0.85, fail=0.95)
def memory(rows: list[Any], limits: Limits) -> Finding:
    """Memory in use that the kernel cannot take back (limits as a share, of the machine or of a control group).

    When it is used up, the kernel kills a process, and with any of PostgreSQL's the whole server starts again.
    """
    (host,) = rows
    total, available = host.memory.get("MemTotal"), host.memory.get("MemAvailable")
    bounds = [(group.used / group.limit, group.limit, f"control group {group.name}") for group in host.groups]
    if total and available is not None:
        bounds.append((1 - available / total, total, "the machine"))
    if not bounds:
        return Finding(Grade.UNKNOWN, "this machine does not say how much memory it has")
    share, limit, what = max(bounds)
    fix = "ps -eo pid,rss,user,args --sort=-rss | head -n 20"
    return limits.finding(share, f"{share:.0%} of the {size(limit)} of {what} are in use", fix=fix)


@on_host(warn=0.30, fail=0.50)
def swap(rows: list[Any], limits: Limits) -> Finding:
    """Swap in use while memory is short (limits as a share).

    Pages that nobody needs may lie there for ever. Waiting for them, several per cent of the time, is the trouble.
    """
    (host,) = rows
    total, free = host.memory.get("SwapTotal", 0), host.memory.get("SwapFree", 0)
    if not total:
        return Finding(Grade.OK, "there is no swap")
    share = 1 - free / total
    text = f"{share:.0%} of {size(total)} of swap are in use"
    waiting = host.pressure.get("memory")
    if waiting is not None and waiting < 0.01:
        return Finding(Grade.OK, f"{text}, and nobody waits for it", value=share)
    found = limits.finding(
        share, text, fix="ps -eo pid,rss,user,args --sort=-rss | head -n 20  # vmstat 1 5: si and so"
    )
    if waiting is None and found.grade is Grade.FAIL:
        return Finding(Grade.WARN, found.text, found.fix, value=share, threshold=limits.warn)
    return found


@on_host(warn=0.10, fail=0.30)
def memory_pressure(rows: list[Any], limits: Limits) -> Finding:
    """Time in which everybody waited for memory (limits as a share of the last five minutes)."""
    return _pressure(rows[0].pressure.get("memory"), limits, "memory", "vmstat 1 5  # si, so: swapping; free -m")


@on_host(warn=0.40, fail=0.80)
def io_pressure(rows: list[Any], limits: Limits) -> Finding:
    """Time in which everybody waited for the disks (limits as a share of the last five minutes)."""
    return _pressure(rows[0].pressure.get("io"), limits, "the disks", "iostat -x 1 5  # %util, await\npidstat -d 1 5")


def _pressure(share: float | None, limits: Limits, what: str, fix: str) -> Finding:
    if share is None:
        return Finding(Grade.OK, "this kernel does not measure pressure")
    return limits.finding(share, f"all work waited for {what} in {share:.0%} of the last 5 min", fix=fix)


@on_host(warn=4, fail=16)
def load(rows: list[Any], limits: Limits) -> Finding:
    """Load of the last 15 minutes (limits for each processor).

    Well above one, sessions wait for a processor or a disk; a batch or a test suite may mean it so.
    """
    (host,) = rows
    if host.load is None:
        return Finding(Grade.UNKNOWN, "this machine does not say its load")
    text = f"load {host.load:.1f} on {count(host.processors, 'processor')}"
    return limits.finding(
        host.load / host.processors, text, fix="ps -eo pid,stat,pcpu,user,args --sort=-pcpu | head -n 20"
    )


@on_host()
def oom_kills(rows: list[Any], limits: Limits) -> Finding:
    """Processes that the kernel killed for want of memory.

    One of PostgreSQL's among them takes all sessions down. A kill of the last day counts; older ones are told.
    """
    (host,) = rows
    killed = (host.oom_killed or 0) + sum(group.killed for group in host.groups)
    events = [event for event in host.kernel or () if "out of memory: kill" in event.text.lower()]
    fix = (
        "dmesg -T | grep -i 'killed process'\n"
        "# lower work_mem or max_connections, or: sysctl -w vm.overcommit_memory=2 vm.overcommit_ratio=80"
    )
    if not killed and not events:
        return Finding(Grade.OK, "nothing was killed for want of memory")
    late = [event for event in events if event.age < DAY]
    if late:
        ours = any("postgres" in event.text for event in late)
        return Finding(Grade.FAIL if ours else Grade.WARN, f"{span(late[-1].age)} ago: {late[-1].text}", fix)
    lately = host.kernel is None and host.uptime is not None and host.uptime < DAY
    since = f" since the start {span(host.uptime)} ago" if host.uptime else ""
    text = f"{count(max(killed, len(events)), 'process', 'processes')} killed for want of memory{since}"
    return Finding(Grade.WARN if lately else Grade.INFO, text, fix)


@on_host()
def kernel_errors(rows: list[Any], limits: Limits) -> Finding:
    """Errors of disks, file systems and memory in the kernel's log: of the last day they fail, older ones warn.

    A disk that has begun to fail goes on, and what it returns ends in the backups.
    """
    (host,) = rows
    if host.kernel is None:
        return Finding(Grade.OK, "the kernel's log is closed to us, or not this machine's")
    events = [event for event in host.kernel if "out of memory" not in event.text.lower()]
    if not events:
        return Finding(Grade.OK, "the kernel complains of no disk")
    last = min(events, key=lambda event: event.age)
    text = f"{span(last.age)} ago: {last.text}" + (f" ({len(events)} such lines)" if len(events) > 1 else "")
    fix = "dmesg -T --level=emerg,alert,crit,err | tail -n 50\nsmartctl -a /dev/DISK  # and a backup now, elsewhere"
    return Finding(Grade.FAIL if last.age < DAY else Grade.WARN, text, fix)


@on_host()
def huge_pages(rows: list[Any], limits: Limits) -> Finding:
    """Huge pages: reserved ones that the server does not use are lost; a large shared_buffers is slow without."""
    (host,) = rows
    unit = host.memory.get("Hugepagesize", 0)
    total, free = host.memory.get("HugePages_Total", 0), host.memory.get("HugePages_Free", 0)
    settings = host.settings
    if total and free == total and not host.container:
        text = f"{size(total * unit)} are reserved as huge pages, and nobody uses them"
        return Finding(Grade.WARN, text, "sysctl -w vm.nr_hugepages=0", undo=f"sysctl -w vm.nr_hugepages={total}")
    if settings is None:
        return Finding(Grade.UNKNOWN, "the server does not say its settings")
    used = settings.huge_pages_status == "on" or (settings.huge_pages_status is None and total > free)
    if settings.shared_buffers >= HUGE and not used:
        needed = settings.huge_pages_needed or f"{settings.shared_buffers * 1.05 // (unit or 2 << 20):.0f}"
        text = f"shared_buffers of {size(settings.shared_buffers)} are in small pages"
        return Finding(Grade.INFO, text, f"sysctl -w vm.nr_hugepages={needed}  # then restart PostgreSQL")
    return Finding(Grade.OK, "huge pages are in use" if used else "there is no need for huge pages")


@on_host()
def transparent_huge_pages(rows: list[Any], limits: Limits) -> Finding:
    """Transparent huge pages for every process: memory grows, and now and then everything waits for compaction."""
    (host,) = rows
    if host.transparent != "always":
        return Finding(Grade.OK, f"transparent huge pages: {host.transparent or 'none'}")
    path = "/sys/kernel/mm/transparent_hugepage/enabled"
    fix, undo = f"echo madvise > {path}", f"echo always > {path}"
    return Finding(Grade.INFO, "transparent huge pages are on for every process", fix, undo=undo)


@on_host()
def oom_protection(rows: list[Any], limits: Limits) -> Finding:
    """Whether the kernel may promise more memory than there is, and would then take the server.

    With vm.overcommit_memory = 2 an allocation fails instead: one statement, not the whole server.
    """
    (host,) = rows
    if host.container or host.overcommit is None:
        return Finding(Grade.OK, "the machine around it decides" if host.container else "this kernel does not say")
    first = host.oom_score_adj is not None and host.oom_score_adj >= 0
    if host.overcommit == 2 or not (first and host.unit):
        return Finding(Grade.OK, f"vm.overcommit_memory = {host.overcommit}")
    fix = (
        f"mkdir -p /etc/systemd/system/{host.unit}.d && cd /etc/systemd/system/{host.unit}.d &&\n"
        "printf '[Service]\\nOOMScoreAdjust=-900\\n' > oom.conf && systemctl daemon-reload"
    )
    text = f"the kernel may kill the postmaster (oom_score_adj {host.oom_score_adj})"
    return Finding(Grade.INFO, text, fix, host.unit)


@on_host(warn=0.80, fail=0.95, full=1.0)
def file_descriptors(rows: list[Any], limits: Limits) -> Finding:
    """Open files of the whole machine (limits as a share of fs.file-max): beyond it, nothing can be opened."""
    (host,) = rows
    if host.files is None:
        return Finding(Grade.OK, "this kernel does not count open files")
    opened, most_ = host.files
    text = f"{opened:,} of {most_:,} files are open"
    return limits.finding(
        opened / most_,
        text,
        fix=f"sysctl -w fs.file-max={most_ * 2}\nlsof | awk '{{print $1}}' | sort | uniq -c | sort -n | tail",
    )


@on_host()
def data_directory_mode(rows: list[Any], limits: Limits) -> Finding:
    """Owner and mode of the data folder: 0700 or 0750, of the user that the server runs as.

    With anything else others can read all data, and the server does not start again.
    """
    (host,) = rows
    if host.mode is None:
        return Finding(Grade.UNKNOWN, "this machine does not say the mode of the data folder")
    folder = shlex.quote(host.folder)
    if host.mode & GROUP_OR_WORLD:
        text = f"the data folder {host.folder} has mode {host.mode:04o}"
        return Finding(Grade.FAIL, text, f"chmod 0700 {folder}", host.folder, undo=f"chmod {host.mode:04o} {folder}")
    if not host.owned:
        text = f"the data folder {host.folder} belongs to {host.owner}, not to the user that the server runs as"
        fix, undo = f"chown postgres: {folder}", f"chown {host.owner} {folder}"
        return Finding(Grade.FAIL, text, fix, host.folder, undo=undo)
    return Finding(Grade.OK, f"mode {host.mode:04o}, of {host.owner}", object=host.folder)


@on_host(warn=2, fail=5)
def clock(rows: list[Any], limits: Limits) -> Finding:
    """The machine's clock against ours (limits in seconds): timestamps, lags and certificates go by it."""
    (host,) = rows
    if host.clock_off is None:
        return Finding(Grade.UNKNOWN, "this machine does not say its time")
    text = f"its clock is {span(host.clock_off)} off ours" if host.clock_off else "its clock is ours"
    return limits.finding(
        host.clock_off, text, fix="timedatectl set-ntp true  # there, or here: compare both with another"
    )


@on_host()
def clock_synchronized(rows: list[Any], limits: Limits) -> Finding:
    """Whether something keeps the clock right."""
    (host,) = rows
    if host.synchronized is not False or host.container:
        return Finding(Grade.OK, "the clock is synchronised" if host.synchronized else "nothing here keeps the clock")
    grade = Grade.WARN if host.remote else Grade.INFO  # a laptop may be offline
    return Finding(grade, "the clock is not synchronised", "timedatectl set-ntp true\ntimedatectl timesync-status")


@on_host(warn=-30, fail=-7)
def certificate(rows: list[Any], limits: Limits) -> Finding:
    """The server's TLS certificate (limits in days after its end: -30 warns a month before).

    From then on clients that verify it cannot connect.
    """
    (host,) = rows
    if not host.certificate:
        return Finding(Grade.OK, "the server has no certificate" if host.settings else "the server cannot say")
    if host.certificate_left is None:
        return Finding(Grade.UNKNOWN, f"{host.certificate} cannot be read with openssl there", object=host.certificate)
    if host.settings and host.certificate_changed and host.certificate_changed > host.settings.loaded:
        text = (
            f"the certificate {host.certificate} was replaced after the server had read it: clients still get the old"
        )
        return Finding(Grade.WARN, text, "SELECT pg_reload_conf();  -- in psql", host.certificate)
    return _ends(host.certificate, host.certificate_left, limits)


@probe("served", warn=-30, fail=-7)
def served_certificate(rows: list[Any], limits: Limits) -> Finding:
    """The TLS certificate that a server elsewhere shows (limits in days after its end: -30 warns a month before).

    From then on clients that verify it cannot connect.
    """
    (served,) = rows
    return _ends(served.name, served.left, limits)


def _ends(name: str, left: float, limits: Limits) -> Finding:
    when = f"ends in {span(left)}" if left > 0 else f"ended {span(-left)} ago"
    fix = "SELECT pg_reload_conf();  -- in psql, once the new one lies there: no restart is needed"
    return limits.finding(-left / DAY, f"the certificate {name} {when}", fix=fix, object=name)


@on_host()
def private_key(rows: list[Any], limits: Limits) -> Finding:
    """The key of the server's certificate: it must be of that certificate, and nobody else's to read.

    Who reads it can pass for the server. PostgreSQL takes no such key: a reload keeps what it has, and the next start
    fails.
    """
    (host,) = rows
    if host.key_mode is None:
        return Finding(Grade.OK, "the server has no key, or nobody says whose it is")
    path = shlex.quote(host.key if host.key.startswith("/") else f"{host.folder}/{host.key}")
    allowed = 0o640 if host.key_owner == "root" else 0o600
    if host.key_mode & ~(allowed | 0o100):
        text = f"the key {host.key}, of {host.key_owner}, has mode {host.key_mode:04o}: others may use it"
        return Finding(
            Grade.FAIL, text, f"chmod {allowed:04o} {path}", host.key, undo=f"chmod {host.key_mode:04o} {path}"
        )
    if not host.key_owned:
        text = f"the key {host.key} belongs to {host.key_owner}, not to the user that the server runs as"
        return Finding(Grade.FAIL, text, f"chown postgres: {path}", host.key, undo=f"chown {host.key_owner} {path}")
    if host.key_fits is False:
        text = f"the key {host.key} is of another certificate than {host.certificate}: the next start fails"
        fix = f"openssl pkey -pubout -in {path}  # and of the certificate: openssl x509 -noout -pubkey -in CERTIFICATE"
        return Finding(Grade.FAIL, text, fix, host.key)
    return Finding(Grade.OK, f"mode {host.key_mode:04o}, of {host.key_owner}", object=host.key)


@on_host()
def restart_for_upgrade(rows: list[Any], limits: Limits) -> Finding:
    """A newer PostgreSQL is installed than the one that runs: its fixes begin with a restart.

    New sessions may also load new libraries into an old server.
    """
    (host,) = rows
    running = host.settings.version if host.settings else ""
    newer = bool(running and host.installed and host.installed != running)
    if not host.replaced and not newer:
        return Finding(Grade.OK, f"{host.installed or 'what is installed'} runs")
    text = f"PostgreSQL {running or '(of before)'} runs, {host.installed or 'another one'} is installed"
    fix = f"systemctl restart {host.unit}" if host.unit else "inv db.stop\ninv db.start"
    return Finding(Grade.WARN, text, fix, host.program)


@on_host()
def reboot_due(rows: list[Any], limits: Limits) -> Finding:
    """Whether the machine waits for a reboot: a new kernel or library is installed and not in use."""
    (host,) = rows
    if host.reboot is None:
        return Finding(Grade.OK, "no reboot is due")
    why = f" for {', '.join(sorted(set(host.reboot))[:5])}" if host.reboot else ""
    return Finding(Grade.INFO, f"a reboot is due{why}", "systemctl reboot  # in a maintenance window")


@on_host()
def core_dumps(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Memory images of PostgreSQL processes that crashed: of the last week they warn, older ones only take space."""
    found = [
        Finding(
            Grade.WARN if core.age < 7 * DAY else Grade.INFO,
            f"a process crashed {span(core.age)} ago and left {core.path} ({size(core.bytes)})",
            f"gdb {shlex.quote(rows[0].program or 'postgres')} {shlex.quote(core.path)} -batch -ex bt",
            core.path,
        )
        for core in sorted(rows[0].cores, key=lambda core: core.age)
    ]
    return most(found) or Finding(Grade.OK, "no process left a core dump")


@on_host(warn=0.9, fail=1.5)
def memory_settings(rows: list[Any], limits: Limits) -> Finding:
    """What the settings allow the server at most (limits as a share of the memory).

    shared_buffers, one work_mem for each connection, and autovacuum. A statement may take work_mem several times.
    """
    (host,) = rows
    known = [limit for limit in (host.memory.get("MemTotal"), *(group.limit for group in host.groups)) if limit]
    settings = host.settings
    if settings is None or not known:
        return Finding(Grade.UNKNOWN, "either the settings or the memory are not known")
    memory_ = min(known)
    most_ = settings.shared_buffers + settings.connections * settings.work_mem + settings.workers * settings.vacuum_mem
    fair = max(4, int(memory_ / 2 / settings.connections // 1024**2))
    fix = ""
    if settings.shared_buffers > memory_ / 4:
        fix = f"ALTER SYSTEM SET shared_buffers = '{memory_ / 4 / 1024**2:.0f}MB';  -- with a restart\n"
    if settings.work_mem > fair * 1024**2:
        fix += alter_system(f"work_mem = '{fair}MB'")
    else:
        fix += "-- fewer max_connections, with a pooler in front; or more memory"
    text = (
        f"shared_buffers {size(settings.shared_buffers)}, {settings.connections} x work_mem {size(settings.work_mem)}"
        f" and autovacuum {settings.workers} x {size(settings.vacuum_mem)} are {most_ / memory_:.0%} of {size(memory_)}"
    )
    return limits.finding(most_ / memory_, text, fix=fix)
