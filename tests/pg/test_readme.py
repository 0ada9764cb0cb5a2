"""The README's first screen is what the commands print; its tables are complete."""

from __future__ import annotations

import re

import pytest

from pgcohesion import errors
from tests.support import REPO, Project

pytestmark = pytest.mark.pg
README = (REPO / "README.md").read_text()


def sessions() -> list[tuple[list[str], str]]:
    """Return (words after ./inv, what it prints) of each command in the README's console blocks."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL):
        for command, text in re.findall(r"^\$ \./inv ([^\n]*)\n((?:(?!\$ )[^\n]*\n)*)", block, re.MULTILINE):
            found.append((command.split(), text))
    return found


def pattern(text: str) -> str:
    """Return a regular expression: ``...`` is anything, a number is any number."""
    parts = [re.escape(part) for part in text.rstrip("\n").split("...")]
    return re.sub(r"\d+(\\\.\d+)?", r"\\d+(\\.\\d+)?", "(?s:.*)".join(parts))


def test_the_console_blocks_are_what_the_commands_print(fresh: Project) -> None:
    shown = [(words, text) for words, text in sessions() if words != ["test"]]
    assert [words[0] for words, _ in shown] == ["db.setup", "db.setup", "db.status"]
    for words, text in shown:
        done = fresh.inv(*words)
        printed = (done.stderr + done.stdout).rstrip("\n")
        assert re.fullmatch(pattern(text), printed), f"{words}:\n{printed}"


def test_the_table_of_commands_names_every_task(fresh: Project) -> None:
    tasks = re.findall(r"^  ([\w.-]+)", fresh.inv("--list").stdout, re.MULTILINE)
    table = README.partition("## Commands")[2].partition("## ")[0]
    named = {word for cell in re.findall(r"`([^`]+)`", table) for word in cell.split()}
    assert [task for task in tasks if task.removesuffix(".run") not in named and task not in named] == []


def test_the_exit_codes_are_those_of_the_error_tree() -> None:
    table = README.partition("## Exit codes")[2].partition("## ")[0]
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    raised = {kind.exit_code for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "exit_code")}
    assert listed == raised | {0, errors.CHANGES_PENDING}
