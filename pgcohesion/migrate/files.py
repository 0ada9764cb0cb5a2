"""Migration and seed files as values."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from ..errors import ConfigError

NAME = re.compile(r"(\d{4,})_([a-z0-9][a-z0-9_]*)\.sql")
_CONTROL = re.compile(r"(begin|start\s+transaction|commit|rollback|end|abort)\b(?!\s+to\b)", re.IGNORECASE)


class File(Struct, frozen=True):
    """A SQL file: *version* is its number, *name* the file's name, *path* as the repo has it."""

    version: str
    name: str
    path: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, with line ends as Unix has them: a checkout on Windows is the same file."""
        return hashlib.sha256(self.text.replace("\r\n", "\n").encode()).hexdigest()


def migrations(folder: Path) -> list[File]:
    """Read the migrations in order of their numbers. Raises ConfigError for names and texts that cannot be used."""
    found = [_read(path, folder.parent) for path in sorted(folder.glob("*.sql"))]
    seen: dict[int, File] = {}
    for file in sorted(found, key=lambda file: int(file.version)):
        twin = seen.setdefault(int(file.version), file)
        if twin is not file:
            raise ConfigError(
                f"two migrations have the number {file.version}",
                why=f"{twin.path}\n{file.path}",
                fix="give the newer one the next number",
            )
    return list(seen.values())


def seeds(folder: Path, sets: Sequence[str]) -> list[File]:
    """Read the seed files of *sets* (sub-folders), set by set, in order of their names."""
    for name in sets:
        if not (folder / name).is_dir():
            raise ConfigError(
                f"there is no seed set `{name}`",
                why=f"{folder.name}/{name} is no folder",
                fix="mend seeds.sets in the environment's file",
            )
    return [_read(path, folder.parent) for name in sets for path in sorted((folder / name).glob("*.sql"))]


def _read(path: Path, root: Path) -> File:
    match = NAME.fullmatch(path.name)
    shown = str(path.relative_to(root))
    if not match:
        raise ConfigError(
            f"`{shown}` has no usable name",
            why="a file is called NNNN_some_words.sql, in lower case",
            fix="rename it; inv migrate.new makes such a name",
        )
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"`{shown}` is not UTF-8", why=str(error), fix="save it as UTF-8") from error
    for line, word in transaction_words(text):
        raise ConfigError(
            f"`{shown}` controls its own transaction",
            why=f"{shown}:{line}: {word}",
            fix="take it out: each file is one transaction already",
        )
    return File(match[1], path.name, shown, text)


_TOKEN = re.compile(
    r"""--[^\n]*|/\*.*?\*/|\be'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$|;|\bbegin\s+atomic\b|\w+|\S""",
    re.DOTALL | re.IGNORECASE,
)


def transaction_words(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line, words) of each statement that begins or ends a transaction.

    Comments, strings, dollar quotes and SQL-standard function bodies (BEGIN ATOMIC) are passed over.
    """
    at_start = True
    atomic = 0
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token.startswith(("--", "/*")):
            continue
        if token.lower().startswith("begin") and len(token) > len("begin"):
            atomic += 1
        elif atomic and token.lower() in ("case", "end"):
            atomic += 1 if token.lower() == "case" else -1
        elif at_start and not atomic:
            control = _CONTROL.match(text, match.start())
            if control:
                yield text.count("\n", 0, match.start()) + 1, control[0]
        at_start = token == ";"  # noqa: S105


def checksums(found: Iterable[File]) -> dict[str, str]:
    """Return the checksum of each file by its name."""
    return {file.name: file.checksum for file in found}
