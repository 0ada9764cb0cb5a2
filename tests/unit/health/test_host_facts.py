"""What the remote script writes -> facts, for machines that are not at hand: containers, sick disks, old kernels."""

from __future__ import annotations

from typing import Any

import pytest

from pgcohesion.health.sources.host import Core, Disk, Event, Group, _sections, facts_of

pytestmark = pytest.mark.unit
GIB = 1024**3
SICK = """== clock
1000000.500000000
== places
data\t/data/15\t2049\t/data dir\t4096\t1000\t400\t300\t50\t40
WAL\t/wal/15\t2050\t/wal\t4096\t1000\t0\t0\t50\t40
tablespace 16400\t/data/fast\t2049\t/data dir\t4096\t1000\t400\t300\t50\t40
== folder
755 root 0
== program
/usr/lib/postgresql/15/bin/postgres (deleted)
101
postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)
== oom_score_adj
-900
== groups
max\t500\t0\t0\t/system.slice/x
2147483648\t1073741824\t73741824\t3\t/system.slice
9223372036854771712\t1\t0\t0\t/
== mounts
22 27 8:1 / /data\\040dir ro,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
23 27 8:2 / /wal rw,relatime - ext4 /dev/sdb1 ro
== memory
MemTotal:       1048576 kB
HugePages_Total:      10
== load
0.10 0.20 4.50 1/96 123
== uptime
5000.00 9000.00
== memory_pressure
some avg10=9.00 avg60=9.00 avg300=9.00 total=1
full avg10=1.00 avg60=2.00 avg300=12.50 total=0
== files
1621\t0\t2466183
== overcommit
0
== transparent
always [madvise] never
== vmstat
pswpin 7
oom_kill 4
== processors
8
== kernel
[ 4940.000000] I/O error, dev sda, sector 1
a line without a time
== certificate
notAfter=Jan 13 13:46:40 1970 GMT
== renewed
999000
== key
640 33 bob
other
== container
== synchronized
no
== reboot
linux-image
== cores
/data/15/core.77\t4096\t999990.5
== end
"""


def facts(text: str, clock: tuple[float, float] = (1000000.0, 1000001.0)) -> dict[str, Any]:
    return facts_of(dict(_sections(text)), clock)


def test_a_sick_machine_is_read_in_full() -> None:
    found = facts(SICK)
    assert found["disks"] == (
        Disk(mount="/data dir", holds=("data", "tablespace 16400"), used=600 * 4096, free=300 * 4096, inodes_used=10,
             inodes_free=40, read_only=True, device="/dev/sda1"),
        Disk(mount="/wal", holds=("WAL",), used=1000 * 4096, inodes_used=10, inodes_free=40, read_only=True,
             device="/dev/sdb1"),
    )  # fmt: skip
    assert found["groups"] == (Group("/system.slice", 2 * GIB, 1000000000, 3),)
    assert found["memory"] == {"MemTotal": GIB, "HugePages_Total": 10}
    assert found["pressure"] == {"memory": 0.125}
    assert found["kernel"] == (Event(60.0, "I/O error, dev sda, sector 1"),)
    assert found["cores"] == (Core("/data/15/core.77", 4096, 10.0),)
    assert (found["load"], found["processors"], found["files"]) == (4.5, 8, (1621, 2466183))
    assert (found["mode"], found["owner"], found["owned"]) == (0o755, "root", False)
    assert (found["replaced"], found["installed"]) == (True, "15.20")
    assert (found["oom_killed"], found["oom_score_adj"], found["overcommit"]) == (4, -900, 0)
    assert (found["synchronized"], found["container"], found["reboot"]) == (False, True, ("linux-image",))
    assert (found["key_mode"], found["key_owner"], found["key_owned"]) == (0o640, "bob", False)
    assert (found["key_fits"], found["certificate_changed"]) == (False, 999000)
    assert found["certificate_left"] == pytest.approx(86400 * 12 + 49600 - 1000000.5)


@pytest.mark.parametrize(("before", "after", "off"), [(999990.0, 1000001.0, 0.0), (1000010.5, 1000011.0, 10.0),
                                                      (999900.0, 999990.5, 10.0)])  # fmt: skip
def test_a_clock_is_off_by_what_the_trip_does_not_explain(before: float, after: float, off: float) -> None:
    assert facts(SICK, (before, after))["clock_off"] == off


def test_a_machine_that_says_nothing_gives_no_facts_and_no_error() -> None:
    found = facts("== clock\n5.0\n== places\n== groups\n== end\n", (4.0, 6.0))
    assert {name: value for name, value in found.items() if value} == {"processors": 1}
