"""Hours of the week, as a person writes them: ``Sun 02:00-05:00 Europe/Berlin``, ``Mon-Fri 22:00-06:00``."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
WRITTEN = re.compile(
    r"(?:(?P<first>Mon|Tue|Wed|Thu|Fri|Sat|Sun)(?:-(?P<last>Mon|Tue|Wed|Thu|Fri|Sat|Sun))? )?"
    r"(?P<from>\d\d:\d\d)-(?P<to>\d\d:\d\d)(?: (?P<zone>[A-Za-z_+\-/0-9]+))?"
)
FORM = "Sun 02:00-05:00 Europe/Berlin"


def within(written: str, now: datetime) -> bool:
    """Return whether *now* (aware) lies in the hours; those that pass midnight belong to the day on which they begin.

    Without a zone they are UTC. Raises ValueError for words that are no hours.
    """
    found = WRITTEN.fullmatch(written.strip())
    if not found:
        raise ValueError(f"`{written}` are no hours such as {FORM}")
    try:
        zone = ZoneInfo(found["zone"] or "UTC")
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"there is no time zone `{found['zone']}`") from error
    begin, end = time.fromisoformat(found["from"]), time.fromisoformat(found["to"])
    local = now.astimezone(zone)
    clock, day = local.time(), local.date()
    if begin <= end:
        return begin <= clock < end and _on(found, day.weekday())
    if clock >= begin:
        return _on(found, day.weekday())
    return clock < end and _on(found, (day - timedelta(days=1)).weekday())


def _on(found: re.Match[str], weekday: int) -> bool:
    if not found["first"]:
        return True
    first = DAYS.index(found["first"])
    last = DAYS.index(found["last"]) if found["last"] else first
    return (weekday - first) % 7 <= (last - first) % 7
