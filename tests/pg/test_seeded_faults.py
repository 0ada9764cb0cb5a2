"""Seeded faults: each is found with its object, its fix mends it; what only looks like one is not found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest

from pgcohesion.context import Options
from pgcohesion.health.registry import Finding
from pgcohesion.opening import open_context
from pgcohesion.setup import setup
from pgcohesion.testing import Databases
from pgcohesion.view import Grade
from tests.pg.seeded.stage import Fault, Lookalike, Stage, wait_for
from tests.support import Project, missing, project

pytestmark = pytest.mark.pg
TOPICS = [path.stem for path in sorted((Path(__file__).parent / "seeded").glob("*.py")) if path.stem != "stage"]
MODULES = [import_module(f"tests.pg.seeded.{topic}") for topic in TOPICS]
FAULTS: list[Fault] = [fault for module in MODULES for fault in module.FAULTS]
LOOKALIKES: list[Lookalike] = [one for module in MODULES for one in module.LOOKALIKES]


OLD = Path("/usr/lib/postgresql/15/bin")


class Server(NamedTuple):
    """A server to play on, and its databases to clone."""

    project: Project
    clones: Databases
    version: int


@pytest.fixture(scope="module", params=[18, 15], ids=["18", "15"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    version: int = request.param
    with ExitStack() as stack:
        if version == 18:
            made = request.getfixturevalue("shared")
        else:
            if not (OLD / "initdb").exists():
                missing("PostgreSQL 15 (apt-get install postgresql-15)")
            made = stack.enter_context(project())
            file = made.root / "environments/test.toml"
            file.write_text(f'{file.read_text()}\n[postgresql]\nversion = {version}\nbin = "{OLD}"\n')
            with closing(open_context("test", root=made.root)) as ctx:
                setup(ctx)
        clones = Databases("test", made.root)
        stack.callback(clones.close)
        yield Server(made, clones, version)


@contextmanager
def staged(server: Server, sets: Sequence[str]) -> Iterator[Stage]:
    clone = server.clones.get()
    with ExitStack() as stack:
        stack.callback(server.clones.give_back, clone)
        only = (
            f"databases.{clone.name}.owner=chanuka_owner",
            f"application.database={clone.name}",
            f"health.databases={clone.name}",
            "health.timeout=60",
        )
        ctx = open_context("test", root=server.project.root, options=Options(env="test", set=(*only, *sets)))
        stack.callback(ctx.close)
        yield Stage(ctx, clone.name, stack)


def of(findings: list[Finding], check: str, about: object) -> list[Finding]:
    """Return the findings of a check about an object; one of schema public may be given without it."""
    return [
        finding
        for finding in findings
        if finding.check == check and about in (None, finding.object, finding.object.removeprefix("public."))
    ]


def paste(stage: Stage, lines: str) -> None:
    """Run lines as an operator would who pastes them into psql."""
    for statement in lines.split(";\n"):
        if statement.strip(" ;\n"):
            stage.db.execute(statement.encode())


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault.name))
def test_a_fault_is_found_its_fix_mends_it_and_its_undo_brings_it_back(server: Server, fault: Fault) -> None:
    if server.version < fault.least:
        pytest.skip(f"PostgreSQL {fault.least} has it first")
    with staged(server, fault.sets) as stage:
        before = stage.database if fault.about is None else fault.about  # another database may have such a trouble, too
        assert of(stage.findings(), fault.check, before) == []
        seeded = fault.seed(stage)
        about = fault.about if fault.about is not None else seeded
        (finding,) = wait_for(lambda: of(stage.findings(fault.grade), fault.check, about))
        assert finding.fix
        if fault.mend:
            fault.mend(stage, finding)
        else:
            paste(stage, finding.fix)
        wait_for(lambda: not of(stage.findings(), fault.check, about))
        if finding.undo:
            paste(stage, finding.undo)
            back = fault.back
            wait_for(lambda: back(stage) if back else of(stage.findings(), fault.check, about))


@pytest.mark.parametrize("healthy", LOOKALIKES, ids=lambda one: str(one.name))
def test_what_only_looks_like_a_fault_is_not_found(server: Server, healthy: Lookalike) -> None:
    with staged(server, healthy.sets) as stage:
        seeded = healthy.seed(stage)
        assert of(stage.findings(), healthy.check, seeded) == []


def test_a_healthy_server_has_nothing_above_info(server: Server) -> None:
    with staged(server, ()) as stage:
        assert [finding for finding in stage.findings() if finding.grade is not Grade.INFO] == []
