"""What is true of a database only when every node says so: an index that one replica uses is used."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from msgspec.structs import replace

from ..view import Grade
from .registry import Finding

BAD = (Grade.WARN, Grade.FAIL)


def agreed(findings: Iterable[Finding], everywhere: Collection[str], replicas: Collection[str]) -> Iterator[Finding]:
    """Yield *findings*; of the checks *everywhere* only what each of *replicas* has found, too.

    Where one could not be asked, or cannot tell yet, the finding is unknown.
    """
    found = list(findings)
    if not replicas or not everywhere:
        yield from found
        return
    theirs = [one for one in found if one.check in everywhere and one.host]
    asked = {(one.check, one.host, one.database) for one in theirs if one.grade is not Grade.SKIPPED}
    same = {(one.check, one.host, one.database, one.object): one for one in theirs}
    for one in found:
        if one.check not in everywhere:
            yield one
        elif not one.host and one.grade in BAD:
            yield from _agreed(one, replicas, asked, same)
        elif not one.host:
            yield one


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
        text = f"{one.text}; what {', '.join(sorted(silent))} says is not known"
        yield replace(one, grade=Grade.UNKNOWN, text=text, fix="", undo="")
    else:
        yield one
