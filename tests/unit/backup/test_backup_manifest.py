"""The manifest and its checksums."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from pgcohesion.backup.manifest import (
    Unreadable,
    archive,
    checksum,
    decode,
    decode_rows,
    differences,
    encode,
    encode_rows,
    parse_sums,
    sums_text,
)
from tests.unit.backup.samples import ROWS, manifest, write


def test_a_manifest_comes_back_as_it_was() -> None:
    assert decode(encode(manifest())) == manifest()
    assert b'"started_at": "2026-11-22T13:03:00Z"' in encode(manifest())


def test_rows_come_back_with_names_that_hold_anything() -> None:
    rows = {("a.b", 'c"\n'): 3, ("a", "b.c"): 4}
    assert decode_rows(encode_rows(rows)) == rows


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "manifest.json: "),
        (b"{", "manifest.json: "),
        (b"[]", "manifest.json: Expected `object`"),
        (b'{"format": 1}', "manifest.json: Object missing required field `id`"),
        (b'{"format": 2, "new": true}', "manifest.json has format 2; this version of pgcohesion reads 1"),
        (b"\xff\xfe", "manifest.json: "),
    ],
)
def test_what_cannot_be_read_says_why(text: bytes, reason: str) -> None:
    with pytest.raises(Unreadable, match="^" + reason.replace("`", ".")):
        decode(text)


def test_a_field_of_a_later_version_does_no_harm() -> None:
    assert decode(encode(manifest()).replace(b'"format": 1,', b'"format": 1, "later": true,')) == manifest()


@pytest.mark.parametrize("text", [b"", b"[1]", b'[["a", "b", "c"]]', b'{"a": 1}'])
def test_rows_that_cannot_be_read_say_so(text: bytes) -> None:
    with pytest.raises(Unreadable, match=r"^rows\.json"):
        decode_rows(text)


def test_sums_are_read_from_both_programs() -> None:
    one, two = "a" * 64, "b" * 64
    assert parse_sums(f"noise\n{one}  ./dump/toc.dat\n{two} *rows.json\n") == {"dump/toc.dat": one, "rows.json": two}


def test_the_sums_file_is_what_sha256sum_checks(tmp_path: Path) -> None:
    folder = write(tmp_path)
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout.count(": OK") == 5


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"a": "1", "b": "2"}, []),
        ({"a": "1", "b": "2", "extra": "3"}, []),
        ({"a": "1"}, ["b is missing"]),
        ({"a": "9", "b": "2"}, ["a has another checksum"]),
        ({}, ["a is missing", "b is missing"]),
    ],
)
def test_differences(found: dict[str, str], expected: list[str]) -> None:
    assert differences({"a": "1", "b": "2"}, found) == expected


def test_sums_round_trip() -> None:
    sums = {"manifest.json": checksum(b"x"), "dump/a": checksum(b"y")}
    assert parse_sums(sums_text(sums).decode()) == sums


def test_an_archive_holds_the_files() -> None:
    with tarfile.open(fileobj=io.BytesIO(archive({"rows.json": encode_rows(ROWS)}))) as tar:
        (member,) = tar.getmembers()
        content = tar.extractfile(member)
        assert content is not None
        assert (member.name, member.mode, content.read()) == ("rows.json", 0o600, encode_rows(ROWS))
