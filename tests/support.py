"""What several tiers of tests need: a throwaway project, and `inv` in it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import pytest

REPO = Path(__file__).resolve().parents[1]
LINKED = ("pgcohesion", "tasks", "templates", "migrations", "seeds")
CI = os.environ.get("CI") == "true"


def missing(part: str) -> NoReturn:
    """Skip a test for want of a part of the machine; in CI that is a failure."""
    reason = f"needs {part}"
    if CI:
        pytest.fail(reason)
    pytest.skip(reason)


class Project:
    """A copy of the repo's own project: environments are copied, the rest is linked."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def environment(self, **more: str) -> dict[str, str]:
        """Return a clean process environment."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "PGCOHESION"))}
        return {**kept, "NO_COLOR": "1", **more}

    def command(self, *words: str) -> list[str]:
        """Return the command line of `inv WORDS`."""
        return [sys.executable, "-m", "invoke", "--search-root", str(self.root), *words]

    def inv(
        self, *words: str, env: Mapping[str, str] | None = None, stdin: str | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run `inv WORDS` to its end."""
        return subprocess.run(
            self.command(*words),
            cwd=self.root,
            env=self.environment(**(env or {})),
            text=True,
            timeout=timeout,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            check=False,
        )

    def json(self, *words: str, **how: Any) -> dict[str, Any]:
        """Run `inv WORDS --json` and return the one document on stdout."""
        done = self.inv(*words, "--json", **how)
        value = json.loads(done.stdout)
        assert isinstance(value, dict)
        return value

    def write(self, path: str, text: str) -> Path:
        """Write a file of the project; a linked folder becomes a copy first."""
        top = self.root / path.split("/", maxsplit=1)[0]
        if top.is_symlink():
            source = top.resolve()
            top.unlink()
            shutil.copytree(source, top, ignore=shutil.ignore_patterns("__pycache__"))
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        return target

    def tree(self) -> dict[str, bytes | None]:
        """Return every file below the project, for comparisons; not what a server writes and removes all the time."""
        found: list[Path] = []
        for folder, below, files in os.walk(self.root):
            if "PG_VERSION" in files:  # the folder itself is told, by the one that it is in
                below.clear()
                continue
            below[:] = [name for name in below if name != "__pycache__"]
            found += [Path(folder, name) for name in (*below, *files)]
        return {str(p.relative_to(self.root)): p.read_bytes() if p.is_file() else None for p in found}


@contextmanager
def project() -> Iterator[Project]:
    """Make a project that a server's unprivileged user can enter, and remove it with its servers."""
    root = Path(tempfile.mkdtemp(prefix="pgcohesion-test-")).resolve()
    root.chmod(0o755)
    shutil.copy(REPO / "tasks.py", root)
    shutil.copytree(REPO / "environments", root / "environments", ignore=shutil.ignore_patterns("*.env", "lab.toml"))
    shutil.copytree(REPO / "scripts", root / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    for name in LINKED:
        (root / name).symlink_to(REPO / name)
    try:
        yield Project(root)
    finally:
        closed = list(
            Path("/var/lib/pgcohesion").glob(f"{root.name}-*")
        )  # of a clone that the server's user cannot enter
        for folder in (root / ".pgcohesion", *closed):
            for data in folder.glob("*/data"):
                end_server(data)
            shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(root, ignore_errors=True)


@contextmanager
def frozen(made: Project) -> Iterator[None]:
    """Stop every process of a project's server in its tracks, the first one first: it starts no others then."""
    first = int((made.root / ".pgcohesion/test/data/postmaster.pid").read_text().split()[0])
    os.kill(first, signal.SIGSTOP)
    found = subprocess.run(["pgrep", "-P", str(first)], capture_output=True, text=True, check=True).stdout.split()
    pids = [first, *map(int, found)]
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)  # who has ended waits for the first one to notice
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):  # now it has noticed
                os.kill(pid, signal.SIGCONT)


def end_server(data: Path) -> None:
    """Kill a server and what it left in shared memory: a test's data is not worth a shutdown."""
    pid_file = data / "postmaster.pid"
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text().splitlines()[0])
    try:
        os.kill(pid, signal.SIGQUIT)
        while True:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
            time.sleep(0.01)
    except (ProcessLookupError, FileNotFoundError):
        return
