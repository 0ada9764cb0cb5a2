"""The laws of the house, held by a machine (import-linter holds who may know whom)."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pgcohesion
from pgcohesion.script.loading import load
from tests.support import REPO, Project, project

LIBRARY = sorted((REPO / "pgcohesion").rglob("*.py"))
HEAVY = {"psycopg", "fabric", "paramiko", "jinja2", "rich", "msgspec", "dotenv"}


@pytest.fixture
def made() -> Iterator[Project]:
    with project() as fresh:
        yield fresh


def test_invoke_and_python_see_one_tasks_module() -> None:
    assert not (REPO / "tasks" / "__init__.py").exists()


def test_no_function_has_the_name_of_a_module_beside_it() -> None:
    """Importing the module would put it in the function's place."""
    for package in (path for path in LIBRARY if path.name == "__init__.py"):
        beside = {
            path.stem for path in package.parent.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
        }
        tree = ast.parse(package.read_text())
        named = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        assert not named & beside, package


def test_listing_all_tasks_loads_nothing_heavy(made: Project) -> None:
    program = (
        "import sys; sys.argv = ['inv', '--list']\n"
        "import invoke.main\n"
        "try: invoke.main.program.run()\n"
        "except SystemExit: pass\n"
        "print(sorted(name for name in sys.modules if '.' not in name), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=made.root,
        env=made.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "db.setup" in done.stdout
    assert HEAVY & set(ast.literal_eval(done.stderr)) == set()


def test_the_door_has_these_names() -> None:
    assert sorted(pgcohesion.__all__) == [
        "Answer", "Change", "CohesionError", "Context", "DatabaseConfig", "Orchestrator", "Plan", "Script",
        "ScriptContext", "ScriptResult", "__version__", "arg", "backup", "check_health", "connect", "errors", "execute",
        "get_database_config", "get_database_orchestrator", "health", "migrate", "open_context", "plan", "provision",
        "task", "testing", "transaction",
    ]  # fmt: skip
    assert all(getattr(pgcohesion, name) is not None for name in pgcohesion.__all__)
    with pytest.raises(AttributeError):
        pgcohesion.nonsense  # type: ignore[attr-defined]  # noqa: B018


def code(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_only_apply_and_the_lock_around_it_know_of_dry_runs() -> None:
    knowing = {path.name for path in LIBRARY if re.search(r"options\.dry_run|if dry_run", code(path))}
    assert knowing == {"context.py", "session.py"}


def test_only_output_prints() -> None:
    assert [
        path for path in LIBRARY if path.parent.name != "output" and re.search(r"^\s*print\(", code(path), re.MULTILINE)
    ] == []


def test_rooms_use_psycopg_only_to_build_sql_and_read_errors() -> None:
    for room in ("provision", "backup"):
        for path in (REPO / "pgcohesion" / room).rglob("*.py"):
            assert not re.search(r"psycopg\.connect|import connect", code(path)), path


def test_tasks_are_short_and_hold_no_logic() -> None:
    for path in (REPO / "tasks").glob("*.py"):
        functions = [node for node in ast.parse(code(path)).body if isinstance(node, ast.FunctionDef)]
        assert all(len(function.body) <= 4 for function in functions), path
        assert not re.search(r"^\s*(for|while|try|import os|import subprocess)\b", code(path), re.MULTILINE), path


def test_task_help_is_short(made: Project) -> None:
    for path in (REPO / "tasks").glob("*.py"):
        for node in ast.walk(ast.parse(code(path))):
            if isinstance(node, ast.FunctionDef):
                first = (ast.get_docstring(node) or "").splitlines()[0]
                assert 0 < len(first) <= 60, f"{path.name}: {node.name}"


def test_scripts_are_short_say_what_they_do_and_know_of_no_dry_run() -> None:
    for path in (REPO / "scripts").glob("*.py"):
        made = load(path)
        assert 0 < len((made.__doc__ or "").splitlines()[0]) <= 60
        assert len(code(path).splitlines()) <= 80, path
        assert "dry_run" not in code(path)


def test_modules_stay_small() -> None:
    assert {path.name: n for path in LIBRARY if (n := len(code(path).splitlines())) > 450} == {}


def test_no_machine_path_or_registry_stands_in_the_repo() -> None:
    done = subprocess.run(["git", "ls-files"], cwd=REPO, capture_output=True, text=True, check=False)
    for name in done.stdout.split():
        text = (REPO / name).read_text("utf-8", "replace") if (REPO / name).is_file() else ""
        assert not re.search(r"/(root|home)/\w+/|index-url[ =]+http", text), name


def test_the_face_for_threads_is_made_from_the_one_for_asyncio() -> None:
    done = subprocess.run(
        [sys.executable, "tools/sync.py", "--check"], cwd=REPO, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "_sync is up to date\n"), done.stderr
