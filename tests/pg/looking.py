"""Looking at one area of a project's health, and what a person's machine lacks for it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pgcohesion import health
from pgcohesion.context import Options
from pgcohesion.health.registry import Finding
from pgcohesion.opening import open_context
from pgcohesion.view import Grade
from tests.support import CI, Project

BAD = (Grade.WARN, Grade.FAIL, Grade.UNKNOWN)


@contextmanager
def looking(project: Project, *sets: str) -> Iterator[Callable[[str], list[Finding]]]:
    """Give what returns the findings of an area, with these ``--set`` options."""
    ctx = open_context("test", root=project.root, options=Options(env="test", set=("health.timeout=60", *sets)))
    yield lambda area: list(health.check(ctx, only=area, remember=False).results)
    ctx.close()


def found(project: Project, area: str, *sets: str) -> list[tuple[str, Grade, str]]:
    """Return check, grade and object of what is at warn or fail in an area, or could not be found out."""
    with looking(project, *sets) as look:
        results = [one for one in look(area) if one.grade in BAD]
    for one in results:
        print(one.grade, one.check, one.text)  # noqa: T201  (shown when a test fails)
    return sorted((one.check, one.grade, one.object) for one in results)


def need(*programs: str) -> None:
    """Skip where a program is missing; in CI that is a failure."""
    missing = [program for program in programs if shutil.which(program) is None and not Path(program).exists()]
    if missing:
        reason = f"missing: {', '.join(missing)}"
        pytest.fail(reason) if CI else pytest.skip(reason)
