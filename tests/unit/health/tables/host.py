"""Cases: check, rows, grade, object. A disk of 100 GB, a machine of 10 GB."""

from types import SimpleNamespace as Row
from typing import Any

from pgcohesion.health.sources.host import Core, Disk, Event, Group
from pgcohesion.view import Grade

OK, INFO, WARN, FAIL, UNKNOWN = Grade.OK, Grade.INFO, Grade.WARN, Grade.FAIL, Grade.UNKNOWN
GB = 10**9
DAY = 86400.0


def disk(free: int = 50, **more: Any) -> Disk:
    usual = {"mount": "/data", "holds": ("data", "WAL"), "device": "/dev/sda1", "inodes_used": 5, "inodes_free": 95}
    return Disk(**{**usual, "used": (100 - free) * GB, "free": free * GB, **more})


def memory(available: int, **more: int) -> dict[str, Any]:
    return {"memory": {"MemTotal": 10 * GB, "MemAvailable": available * GB, **more}, "groups": (), "pressure": {}}


def pages(shared: float, status: str | None, total: int, free: int, *, container: bool = False) -> dict[str, Any]:
    settings = Row(huge_pages="try", huge_pages_status=status, huge_pages_needed="5000", shared_buffers=shared)
    counts = {"Hugepagesize": 2 << 20, "HugePages_Total": total, "HugePages_Free": free}
    return {"memory": counts, "settings": settings, "container": container}


def killed(count: int = 0, kernel: tuple[Event, ...] | None = (), uptime: float = 9 * DAY) -> dict[str, Any]:
    return {"oom_killed": count, "groups": (), "kernel": kernel, "uptime": uptime}


def settings(shared: int, connections: int, work_mem: int) -> Row:
    return Row(
        shared_buffers=float(shared), connections=connections, work_mem=float(work_mem), workers=3, vacuum_mem=64e6
    )


POSTGRES = Event(60.0, "Out of memory: Killed process 77 (postgres) total-vm:1kB")
JAVA = Event(60.0, "Memory cgroup out of memory: Killed process 78 (java) total-vm:1kB")
BROKEN = "I/O error, dev sda, sector 12345 op 0x0:(READ)"
OOM = {"container": False, "unit": "postgresql@15-main.service", "overcommit": 0, "oom_score_adj": 0}
MODE = {"mode": 0o700, "owner": "postgres", "owned": True, "folder": "/data/15"}
CERTIFICATE = {"certificate": "server.crt", "settings": Row(loaded=50.0), "certificate_changed": 40.0}
KEY = {
    "key": "server.key",
    "folder": "/d",
    "certificate": "server.crt",
    "key_mode": 0o600,
    "key_owner": "postgres",
    "key_owned": True,
    "key_fits": None,
}
UPGRADE = {"program": "/usr/bin/postgres", "replaced": False, "installed": "15.20", "settings": Row(version="15.20"),
           "unit": ""}  # fmt: skip

TABLE = [
    ("disk_space", [{"disks": (disk(),)}], OK, "/data"),
    ("disk_space", [{"disks": (disk(10),)}], WARN, "/data"),
    ("disk_space", [{"disks": (disk(4),)}], FAIL, "/data"),
    ("lost_tablespaces", [{"gone": ()}], OK, ""),
    ("lost_tablespaces", [{"gone": ("/fast disk",)}], FAIL, "/fast disk"),
    ("inodes", [{"disks": (disk(),)}], OK, "/data"),
    ("inodes", [{"disks": (disk(inodes_used=92, inodes_free=8),)}], WARN, "/data"),
    ("inodes", [{"disks": (disk(inodes_used=99, inodes_free=1),)}], FAIL, "/data"),
    ("inodes", [{"disks": (disk(inodes_used=0, inodes_free=0), disk())}], OK, "/data"),
    ("read_only_disk", [{"disks": (disk(),)}], OK, ""),
    ("read_only_disk", [{"disks": (disk(read_only=True),)}], FAIL, "/data"),
    ("memory", [memory(5)], OK, ""),
    ("memory", [memory(1)], WARN, ""),
    ("memory", [{**memory(5), "groups": (Group("/docker/x", 2 * GB, int(1.95 * GB), 0),)}], FAIL, ""),
    ("memory", [{"memory": {}, "groups": ()}], UNKNOWN, ""),
    ("swap", [memory(5)], OK, ""),
    ("swap", [memory(5, SwapTotal=GB, SwapFree=GB)], OK, ""),
    ("swap", [memory(5, SwapTotal=GB, SwapFree=0)], WARN, ""),  # no word on whether anybody waits: no fail
    ("swap", [{**memory(5, SwapTotal=GB, SwapFree=0), "pressure": {"memory": 0.0}}], OK, ""),
    ("swap", [{**memory(5, SwapTotal=GB, SwapFree=0), "pressure": {"memory": 0.2}}], FAIL, ""),
    ("memory_pressure", [{"pressure": {}}], OK, ""),
    ("memory_pressure", [{"pressure": {"memory": 0.15}}], WARN, ""),
    ("memory_pressure", [{"pressure": {"memory": 0.5}}], FAIL, ""),
    ("io_pressure", [{"pressure": {"io": 0.1}}], OK, ""),
    ("io_pressure", [{"pressure": {"io": 0.9}}], FAIL, ""),
    ("load", [{"load": 6.0, "processors": 2}], OK, ""),
    ("load", [{"load": 9.0, "processors": 2}], WARN, ""),
    ("load", [{"load": None, "processors": 2}], UNKNOWN, ""),
    ("oom_kills", [killed()], OK, ""),
    ("oom_kills", [killed(1, (POSTGRES,))], FAIL, ""),
    ("oom_kills", [killed(1, (JAVA,))], WARN, ""),
    ("oom_kills", [killed(3, (Event(5 * DAY, POSTGRES.text),))], INFO, ""),
    ("oom_kills", [killed(3, None)], INFO, ""),
    ("oom_kills", [killed(3, None, uptime=3600.0)], WARN, ""),
    ("oom_kills", [{**killed(), "groups": (Group("/pod", GB, 0, 2),)}], INFO, ""),
    ("kernel_errors", [{"kernel": None}], OK, ""),
    ("kernel_errors", [{"kernel": (POSTGRES,)}], OK, ""),
    ("kernel_errors", [{"kernel": (Event(60.0, BROKEN),)}], FAIL, ""),
    ("kernel_errors", [{"kernel": (Event(9 * DAY, BROKEN),)}], WARN, ""),
    ("huge_pages", [pages(32e6, "off", 0, 0)], OK, ""),
    ("huge_pages", [pages(9e9, "on", 5000, 100)], OK, ""),
    ("huge_pages", [pages(9e9, None, 5000, 100)], OK, ""),
    ("huge_pages", [pages(9e9, "off", 0, 0)], INFO, ""),
    ("huge_pages", [pages(32e6, "off", 5000, 5000)], WARN, ""),
    ("huge_pages", [pages(32e6, "off", 5000, 5000, container=True)], OK, ""),
    ("huge_pages", [{**pages(32e6, "off", 0, 0), "settings": None}], UNKNOWN, ""),
    ("transparent_huge_pages", [{"transparent": "madvise"}], OK, ""),
    ("transparent_huge_pages", [{"transparent": "always"}], INFO, ""),
    ("oom_protection", [OOM], INFO, "postgresql@15-main.service"),
    ("oom_protection", [{**OOM, "overcommit": 2}], OK, ""),
    ("oom_protection", [{**OOM, "oom_score_adj": -900}], OK, ""),
    ("oom_protection", [{**OOM, "container": True}], OK, ""),
    ("oom_protection", [{**OOM, "unit": ""}], OK, ""),
    ("file_descriptors", [{"files": None}], OK, ""),
    ("file_descriptors", [{"files": (100, 1000)}], OK, ""),
    ("file_descriptors", [{"files": (990, 1000)}], FAIL, ""),
    ("data_directory_mode", [MODE], OK, "/data/15"),
    ("data_directory_mode", [{**MODE, "mode": 0o750}], OK, "/data/15"),
    ("data_directory_mode", [{**MODE, "mode": 0o755}], FAIL, "/data/15"),
    ("data_directory_mode", [{**MODE, "mode": 0o770}], FAIL, "/data/15"),
    ("data_directory_mode", [{**MODE, "owner": "root", "owned": False}], FAIL, "/data/15"),
    ("data_directory_mode", [{**MODE, "mode": None}], UNKNOWN, ""),
    ("clock", [{"clock_off": 0.0}], OK, ""),
    ("clock", [{"clock_off": 3.0}], WARN, ""),
    ("clock", [{"clock_off": 60.0}], FAIL, ""),
    ("clock", [{"clock_off": None}], UNKNOWN, ""),
    ("clock_synchronized", [{"synchronized": True, "container": False, "remote": True}], OK, ""),
    ("clock_synchronized", [{"synchronized": False, "container": False, "remote": True}], WARN, ""),
    ("clock_synchronized", [{"synchronized": False, "container": False, "remote": False}], INFO, ""),
    ("clock_synchronized", [{"synchronized": False, "container": True, "remote": True}], OK, ""),
    ("certificate", [{"certificate": "", "settings": Row()}], OK, ""),
    ("certificate", [{**CERTIFICATE, "certificate_left": 90 * DAY}], OK, "server.crt"),
    ("certificate", [{**CERTIFICATE, "certificate_left": 20 * DAY}], WARN, "server.crt"),
    ("certificate", [{**CERTIFICATE, "certificate_left": 5 * DAY}], FAIL, "server.crt"),
    ("certificate", [{**CERTIFICATE, "certificate_left": -5 * DAY}], FAIL, "server.crt"),
    ("certificate", [{**CERTIFICATE, "certificate_left": None}], UNKNOWN, "server.crt"),
    ("served_certificate", [{"name": "db:5432", "left": 90 * DAY}], OK, "db:5432"),
    ("served_certificate", [{"name": "db:5432", "left": 20 * DAY}], WARN, "db:5432"),
    ("served_certificate", [{"name": "db:5432", "left": -5 * DAY}], FAIL, "db:5432"),
    ("certificate", [{**CERTIFICATE, "certificate_left": 90 * DAY, "certificate_changed": 51.0}], WARN, "server.crt"),
    ("private_key", [{**KEY, "key_mode": None}], OK, ""),
    ("private_key", [KEY], OK, "server.key"),
    ("private_key", [{**KEY, "key_mode": 0o400, "key_fits": True}], OK, "server.key"),
    ("private_key", [{**KEY, "key_mode": 0o640, "key_owner": "root"}], OK, "server.key"),
    ("private_key", [{**KEY, "key_mode": 0o640}], FAIL, "server.key"),
    ("private_key", [{**KEY, "key_mode": 0o644, "key_owner": "root"}], FAIL, "server.key"),
    ("private_key", [{**KEY, "key_owner": "bob", "key_owned": False}], FAIL, "server.key"),
    ("private_key", [{**KEY, "key_fits": False}], FAIL, "server.key"),
    ("restart_for_upgrade", [UPGRADE], OK, ""),
    ("restart_for_upgrade", [{**UPGRADE, "replaced": True}], WARN, "/usr/bin/postgres"),
    ("restart_for_upgrade", [{**UPGRADE, "settings": Row(version="15.18")}], WARN, "/usr/bin/postgres"),
    ("restart_for_upgrade", [{**UPGRADE, "settings": None}], OK, ""),
    ("reboot_due", [{"reboot": None}], OK, ""),
    ("reboot_due", [{"reboot": ("linux-image", "libc6")}], INFO, ""),
    ("core_dumps", [{"cores": ()}], OK, ""),
    ("core_dumps", [{"cores": (Core("/data/core", 9, DAY),), "program": ""}], WARN, "/data/core"),
    ("core_dumps", [{"cores": (Core("/data/core", 9, 30 * DAY),), "program": ""}], INFO, "/data/core"),
    ("memory_settings", [{**memory(5), "settings": settings(2 * GB, 100, 4 << 20)}], OK, ""),
    ("memory_settings", [{**memory(5), "settings": settings(2 * GB, 200, 64 << 20)}], FAIL, ""),
    ("memory_settings", [{**memory(5), "settings": settings(8 * GB, 200, 4 << 20)}], WARN, ""),
    ("memory_settings", [{**memory(5), "settings": None}], UNKNOWN, ""),
]
