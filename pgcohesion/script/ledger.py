"""Which steps of a resumable script are finished: a line each in the state folder, until the script is done."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from ..plan import Change


class Ledger:
    """The finished steps of one script with the same options on the same database.

    *identity* is what must be the same; another one is another file. A killed process leaves whole lines.
    """

    def __init__(self, folder: Path, name: str, identity: Mapping[str, object]) -> None:
        text = json.dumps(identity, sort_keys=True, default=str)
        self.path = folder / "scripts" / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.jsonl"

    def read(self) -> Counter[tuple[str, str]]:
        """Return how often each step (verb, what) was finished."""
        return Counter(_lines(self.path))

    def add(self, change: Change) -> None:
        """Write down that *change* was made, before the next one begins."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            size = os.fstat(handle).st_size
            torn = size and os.pread(handle, 1, size - 1) != b"\n"  # a crash within a line: it counts for nothing
            os.write(handle, (b"\n" if torn else b"") + json.dumps([change.verb, change.what]).encode() + b"\n")
            os.fsync(handle)
        finally:
            os.close(handle)

    def forget(self) -> None:
        """Forget everything."""
        self.path.unlink(missing_ok=True)


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        with suppress(ValueError):
            verb, what = json.loads(line)
            yield verb, what
