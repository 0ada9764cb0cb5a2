"""A team's own checks: SQL in TOML, or Python, in the folder ``checks/`` of the repo or in the environment's file.

In TOML a check is a table of its id; the query's rows have ``value`` and, where there are several things to tell apart,
``object``; ``text`` and ``fix`` are filled from the row's columns::

    [orders_stuck]
    title = "Orders that nobody ships (limits in hours)"
    why = "customers wait"
    sql = "SELECT count(*) AS value FROM shop.orders WHERE state = 'paid' AND paid < now() - interval '1 day'"
    warn = 1
    fail = 100
    text = "{value} orders wait"
    fix = "inv run ship-orders"

In Python it is what ours are: a function with ``@pgcohesion.health.check_of(SQL, ...)``.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ..config.model import CustomCheck
from ..errors import ConfigError
from ..view import Grade
from . import registry
from .registry import Check, Finding, Limits

if TYPE_CHECKING:
    from ..context import Context

FOLDER = "checks"
AREA = "custom"


def load(ctx: Context) -> list[Check]:
    """Return the checks of repo and environment. Raises ConfigError for one that is wrong, or named as ours."""
    ours = {check.id for check in registry.load()}
    found: dict[str, Check] = {}
    for place, check in _all(ctx):
        if check.id in ours or check.id in found:
            raise ConfigError(f"there are two checks `{check.id}`", why=f"one is in {place}", fix="rename it")
        found[check.id] = check
    return list(found.values())


def _all(ctx: Context) -> Iterator[tuple[str, Check]]:
    for name, table in ctx.config.health.checks.items():
        yield f"environments/{ctx.env}.toml", check_in(name, table, f"health.checks.{name}")
    for file in sorted((ctx.root / FOLDER).glob("*.toml")):
        place = str(file.relative_to(ctx.root))
        yield from ((place, check_in(name, table, f"{place}: {name}")) for name, table in _tables(file, place))
    for file in sorted((ctx.root / FOLDER).glob("*.py")):
        place = str(file.relative_to(ctx.root))
        yield from ((place, check) for check in _python(file, place))


def _tables(file: Path, place: str) -> Iterator[tuple[str, CustomCheck]]:
    import msgspec

    try:
        tables = tomllib.loads(file.read_text())
        for name, table in tables.items():
            yield name, msgspec.convert(table, CustomCheck)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"`{place}` has no checks", why=str(error), fix="see docs/health.md, Checks of your own"
        ) from error


def _python(file: Path, place: str) -> list[Check]:
    """Import a file and return the checks that it registers."""
    spec = spec_from_file_location(f"pgcohesion_checks_{file.stem}", file)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    found: dict[str, Check] = {}
    apart = registry.into.set(found)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        raise ConfigError(f"`{place}` could not be imported", why=why, fix=f"python {place}") from error
    finally:
        registry.into.reset(apart)
    return [replace(check, external=True, area=AREA) for check in found.values()]


def check_in(name: str, table: CustomCheck, place: str) -> Check:
    """Return the check of a TOML table. Raises ConfigError."""
    if not name.isidentifier():
        raise ConfigError(f"`{name}` is no name of a check", why=place, fix="letters, digits and _")
    if table.warn is None and table.fail is None:
        raise ConfigError(f"check `{name}` has no limit", why=place, fix="warn = 1")
    if not table.below:
        return _made(name, table)
    if None not in (table.warn, table.fail) and table.fail > table.warn:  # type: ignore[operator]
        raise ConfigError(
            f"check `{name}`: `fail` is above `warn`", why=f"{place}: low values are bad", fix="swap them"
        )
    return _made(name, table)


def _made(name: str, table: CustomCheck) -> Check:
    def evaluate(rows: list[Any], limits: Limits) -> list[Finding]:
        found = [_finding(row._asdict(), table, limits) for row in rows]
        bad = [finding for finding in found if finding.grade is not Grade.OK]
        return bad or found[:1] or [Finding(Grade.OK, "nothing was found")]

    return Check(
        id=name,
        title=table.title or name,
        why=table.why,
        evaluate=evaluate,
        query=table.sql,
        scope=table.scope,
        warn=table.warn,
        fail=table.fail,
        full=table.full,
        cost=table.cost,
        area=AREA,
        min_version=table.min_version,
        counters=tuple(table.counters),
        key=table.key,
        external=True,
        examples=tuple((example, Grade(example["grade"])) for example in table.examples if "grade" in example),
    )


def _finding(row: Mapping[str, Any], table: CustomCheck, limits: Limits) -> Finding:
    if row.get("value") is None:
        return Finding(Grade.UNKNOWN, f"there is no value: {dict(row)}", object=str(row.get("object") or ""))
    value, about = float(row["value"]), str(row.get("object") or "")
    text = filled(table.text or ("{object}: {value}" if about else "{value}"), row)
    if not table.below:
        return limits.finding(value, text, fix=filled(table.fix, row), object=about)
    own = limits.of_object(about)
    turned = Limits(None if own.warn is None else -own.warn, None if own.fail is None else -own.fail)
    found = turned.finding(-value, text, fix=filled(table.fix, row), object=about)
    return replace(found, value=value, threshold=None if found.threshold is None else -found.threshold)


def filled(template: str, row: Mapping[str, Any]) -> str:
    """Return *template* with ``{column}`` filled in; what is no column stays as it is."""
    parts = []
    for before, name, form, _ in Formatter().parse(template):
        parts.append(before)
        if name is not None:
            parts.append(format(row[name], form or "") if name in row else f"{{{name}}}")
    return "".join(parts)
