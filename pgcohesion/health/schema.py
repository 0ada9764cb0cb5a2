"""The document of ``inv health.check --json``, as types: ``docs/health-report.schema.json`` is made from them."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, json

Grade = Literal["ok", "info", "warn", "fail", "unknown", "skipped"]


class Finding(Struct, frozen=True, forbid_unknown_fields=True):
    """What a check found, also when it is ok.

    *change* is what has happened since the run before. *value* and *threshold* are in the unit of the check's limits;
    *forecast* is in days; *fix* and *undo* are lines to paste.
    """

    fingerprint: str
    check: str
    grade: Grade
    text: str
    why: str
    fix: str
    undo: str
    object: str
    database: str
    host: str
    part: str
    kind: str
    value: float | None
    threshold: float | None
    forecast: float | None
    change: Literal["", "new", "worse", "better"]


class Gone(Struct, frozen=True, forbid_unknown_fields=True):
    """A finding of the run before that is no more."""

    fingerprint: str
    check: str
    grade: Grade
    text: str
    fix: str
    undo: str
    object: str
    database: str
    host: str
    value: float | None
    threshold: float | None


class Changes(Struct, frozen=True, forbid_unknown_fields=True):
    """The difference to the last run of the same checks: fingerprints; *since* in seconds since 1970."""

    since: float
    new: list[str]
    worse: list[str]
    better: list[str]
    gone: list[Gone]


class Result(Struct, frozen=True, forbid_unknown_fields=True):
    """A run."""

    grade: Literal["ok", "warn", "fail"]
    seconds: float
    findings: list[Finding]
    changes: Changes | None


class Error(Struct, frozen=True):
    """Why there is no result, or why the server could not be asked."""

    code: str
    what: str
    why: str
    fix: str


class Document(Struct, frozen=True, forbid_unknown_fields=True):
    """What is printed."""

    schema_version: Literal[1]
    env: str
    task: str
    time: str
    ok: bool
    result: Result | None = None
    error: Error | None = None


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the document."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **json.schema(Document)}
