"""Values that the tests of backups share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from msgspec.structs import replace

from pgcohesion.backup.dumping import small_files
from pgcohesion.backup.manifest import Grant, Manifest, Rows, Setting, Source, checksum
from pgcohesion.backup.source import LARGE_OBJECTS, Server

AT = datetime(2026, 11, 22, 13, 3, 0, tzinfo=UTC)
ID = "20261122T130300Z-chanuka"
SOURCE = Source(
    owner="chanuka_owner",
    encoding="UTF8",
    collate="C",
    ctype="C",
    provider="b",
    locale="C.UTF-8",
    grants=(Grant("chanuka_app", "CONNECT"), Grant("", "TEMPORARY", grantable=True)),
    settings=(Setting("", "search_path", 'chanuka, "odd ""one""", public'),),
    roles=("chanuka_app", "chanuka_owner"),
)
SERVER = Server(
    180006,
    "18.6",
    "7711",
    {"postgres": True, "template0": False, "template1": True, "chanuka": True},
    frozenset({"postgres", "chanuka_app", "chanuka_owner"}),
    frozenset({"pg_default"}),
)
ROWS: Rows = {("chanuka", "bills"): 120, LARGE_OBJECTS: 0}
DUMP = {"dump/toc.dat": b"PGDMP", "dump/12.dat.gz": b"rows", "globals.sql": b"CREATE ROLE chanuka_app;\n"}


def manifest(identity: str = ID, database: str = "chanuka", minutes: int = 0) -> Manifest:
    """Return a manifest."""
    return Manifest(
        id=identity,
        env="test",
        host="localhost",
        database=database,
        server_version="18.6",
        server_version_num=180006,
        system_identifier="7711",
        tool_version="18.6",
        started_at=AT + timedelta(minutes=minutes),
        ended_at=AT + timedelta(minutes=minutes, seconds=2),
        jobs=2,
        database_bytes=11_000_000,
        dump_files=2,
        dump_bytes=9,
        tables=1,
        rows=120,
        source=SOURCE,
    )


def write(folder: Path, identity: str = ID, made: Manifest | None = None) -> Path:
    """Write a backup that is complete, as far as its files go, into *folder*."""
    value = made or manifest(identity)
    files = {**small_files(value, ROWS, {name: checksum(content) for name, content in DUMP.items()}), **DUMP}
    for name, content in files.items():
        path = folder / identity / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder / identity


__all__ = ["AT", "DUMP", "ID", "ROWS", "SERVER", "SOURCE", "manifest", "replace", "write"]
