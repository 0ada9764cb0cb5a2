"""What a backup says of itself.

A backup is a folder::

    manifest.json   this module's Manifest
    dump/           pg_dump's directory format
    globals.sql     the server's roles, without passwords
    rows.json       how many rows each table had
    SHA256SUMS      of all of these; ``sha256sum -c SHA256SUMS`` checks them without us
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from collections.abc import Mapping
from datetime import datetime

import msgspec
from msgspec import Struct

FORMAT = 1
MANIFEST, ROWS, SUMS = "manifest.json", "rows.json", "SHA256SUMS"
LINE = re.compile(r"\\?([0-9a-f]{64}) [ *](.*)")

Table = tuple[str, str]
Rows = dict[Table, int]


class Grant(Struct, frozen=True):
    """A privilege on the database; *role* is empty for PUBLIC."""

    role: str
    privilege: str
    grantable: bool = False


class Setting(Struct, frozen=True):
    """``ALTER DATABASE ... SET``; with *role*, ``ALTER ROLE ... IN DATABASE``. *value* as the catalog has it."""

    role: str
    name: str
    value: str


class Source(Struct, frozen=True, kw_only=True):
    """The database itself: what pg_dump leaves out of a dump that is restored under another name.

    *provider* is pg_database.datlocprovider (c, i or b; empty before PostgreSQL 15).
    """

    owner: str
    encoding: str
    collate: str
    ctype: str
    provider: str = ""
    locale: str | None = None
    icu_rules: str | None = None
    tablespace: str = "pg_default"
    connection_limit: int = -1
    comment: str | None = None
    grants: tuple[Grant, ...] = ()
    settings: tuple[Setting, ...] = ()
    roles: tuple[str, ...] = ()


class Manifest(Struct, frozen=True, kw_only=True):
    """A complete backup. Sizes in bytes; *rows* is the sum over all its *tables*."""

    format: int = FORMAT
    id: str
    env: str
    host: str
    database: str
    server_version: str
    server_version_num: int
    system_identifier: str
    tool_version: str
    started_at: datetime
    ended_at: datetime
    jobs: int
    database_bytes: int
    dump_files: int
    dump_bytes: int
    tables: int
    rows: int
    source: Source

    @property
    def major(self) -> int:
        """The server's major version."""
        return self.server_version_num // 10000


class Unreadable(ValueError):
    """A manifest that cannot be used; the text says why."""


def encode(manifest: Manifest) -> bytes:
    """Return the text of ``manifest.json``."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def decode(text: bytes) -> Manifest:
    """Read ``manifest.json``. Raises Unreadable."""
    try:
        number = msgspec.json.decode(text, type=_Format).format
        if number > FORMAT:
            raise Unreadable(f"{MANIFEST} has format {number}; this version of pgcohesion reads {FORMAT}")
        return msgspec.json.decode(text, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unreadable(f"{MANIFEST}: {error}") from error


class _Format(Struct):
    format: int


def encode_rows(rows: Rows) -> bytes:
    """Return the text of ``rows.json``."""
    return msgspec.json.encode([(*table, number) for table, number in sorted(rows.items())]) + b"\n"


def decode_rows(text: bytes) -> Rows:
    """Read ``rows.json``. Raises Unreadable."""
    try:
        found = msgspec.json.decode(text, type=list[tuple[str, str, int]])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unreadable(f"{ROWS}: {error}") from error
    return {(schema, table): number for schema, table, number in found}


def checksum(content: bytes) -> str:
    """Return the SHA-256 of *content*."""
    return hashlib.sha256(content).hexdigest()


def parse_sums(text: str) -> dict[str, str]:
    """Return path -> checksum of the lines that sha256sum, or ``shasum -a 256``, writes."""
    matches = (LINE.fullmatch(line) for line in text.splitlines())
    return {match[2].removeprefix("./"): match[1] for match in matches if match}


def sums_text(sums: Mapping[str, str]) -> bytes:
    """Return the text of ``SHA256SUMS``."""
    return "".join(f"{digest}  {path}\n" for path, digest in sorted(sums.items())).encode()


def differences(wanted: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Return a line for each file that is missing or is not what it was."""
    return [
        f"{path} is missing" if path not in found else f"{path} has another checksum"
        for path, digest in sorted(wanted.items())
        if found.get(path) != digest
    ]


def archive(files: Mapping[str, bytes]) -> bytes:
    """Return a tar archive of small files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o600
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()
