"""What is true of a database only when every node says so: an index that one replica uses is used."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from msgspec.structs import replace

from ..view import Grade, count
from .registry import Finding, most

STANDBYS = "standbys:"
"""What the kind of a finding begins with that tells how many standbys are connected."""
BAD = (Grade.WARN, Grade.FAIL)


def agreed(findings: Iterable[Finding], everywhere: Collection[str], replicas: Collection[str]) -> Iterator[Finding]:
    """Yield *findings*; of the checks *everywhere* only what each of *replicas* has found, too.

    Where one could not be asked, or cannot tell yet, or more standbys are connected, the finding is unknown.
    """
    found = list(findings)
    told: dict[tuple[str, str], list[Finding]] = {
        (one.check, one.database): [] for one in found if one.check in everywhere and not one.host
    }
    for one in _of_all([one for one in found if one.check in everywhere], replicas):
        told[one.check, one.database].append(one)
    for (check, database), group in told.items():
        nothing = Finding(Grade.OK, "not every node says so", check=check, database=database)
        yield from _first(group or [nothing])
    yield from (one for one in found if one.check not in everywhere)


def _first(group: list[Finding]) -> Iterator[Finding]:
    """Yield the first of what one check found in a database. A check could not leave the rest out: nodes differ."""
    bad = [one for one in group if one.grade in BAD]
    yield from (one for one in group if one.grade not in BAD)
    for one in most(bad):
        yield replace(one, check=bad[0].check, database=bad[0].database, why=bad[0].why)


def _of_all(found: Sequence[Finding], replicas: Collection[str]) -> Iterator[Finding]:
    theirs = [one for one in found if one.host]
    answers = [one for one in theirs if one.object or one.grade not in (Grade.SKIPPED, Grade.UNKNOWN)]
    asked = {(one.check, one.host, one.database) for one in answers}
    same = {(one.check, one.host, one.database, one.object): one for one in theirs}
    for one in found:
        if one.host:
            continue
        if one.grade not in BAD:
            yield one
        elif (connected := _connected(one)) > len(replicas):
            text = f"{one.text}; {count(connected, 'standby', 'standbys')} of it {'is' if connected == 1 else 'are'} "
            yield _unknown(one, f"{text}connected, and {len(replicas)} can be asked: declare each in [hosts]")
        else:
            yield from _agreed(replace(one, kind=""), replicas, asked, same)


def _connected(one: Finding) -> int:
    return int(one.kind.removeprefix(STANDBYS)) if one.kind.startswith(STANDBYS) else 0


def _unknown(one: Finding, text: str) -> Finding:
    return replace(one, grade=Grade.UNKNOWN, text=text, fix="", undo="", kind="")


def _agreed(
    one: Finding,
    replicas: Collection[str],
    asked: Collection[tuple[str, str, str]],
    same: dict[tuple[str, str, str, str], Finding],
) -> Iterator[Finding]:
    silent = [host for host in replicas if (one.check, host, one.database) not in asked]
    there = {host: same.get((one.check, host, one.database, one.object)) for host in replicas if host not in silent}
    if any(finding is None for finding in there.values()):
        return
    silent += [host for host, finding in there.items() if finding and finding.grade not in BAD]
    if silent:
        yield _unknown(one, f"{one.text}; what {', '.join(sorted(silent))} says is not known")
    else:
        yield one
