"""Write the lock files from pyproject.toml: ``python tools/lock.py [--upgrade]`` (needs uv on PATH).

Versions that are locked stay unless ``--upgrade`` is given, or ``--upgrade-package NAME``. Every file of a version is
listed with its hash, so that one lock serves all Pythons and platforms.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEAD = "# {what}: {why}. Written by tools/lock.py from pyproject.toml; do not edit.\n"
COMPILE = (
    "pip",
    "compile",
    "--quiet",
    "--universal",
    "--fork-strategy=fewest",
    "--python-version=3.11",
    "--generate-hashes",
    "--no-emit-index-url",
    "--no-annotate",
    "--no-header",
)


def main(more: list[str]) -> int:
    """Write the locks; return uv's exit code."""
    uv = shutil.which("uv")
    if uv is None:
        sys.stderr.write("error: no `uv`\n  why: the locks are made with it\n  fix: pip install uv\n")
        return 2
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    core = project["project"]["dependencies"]
    extras = project["project"]["optional-dependencies"]
    dev = project["dependency-groups"]["dev"]
    same = ["--constraint=requirements.lock"]
    _lock(uv, "requirements.lock", "what every command needs", core, more)
    # What it depends on serves its own start-up code, which is not used: its binaries are.
    _lock(
        uv, "requirements-embedded.lock", "the PostgreSQL of a laptop", extras["embedded"], [*same, "--no-deps", *more]
    )
    _lock(uv, "requirements-alerts.lock", "routes of health.alert by `url`", extras["alerts"], [*same, *more])
    same.append("--constraint=requirements-alerts.lock")
    _lock(uv, "requirements-dev.lock", "what `./inv test` needs", dev, [*same, *more])
    return 0


def _lock(uv: str, name: str, why: str, wanted: list[str], more: list[str]) -> None:
    output = ROOT / name
    command = [uv, *COMPILE, *more, "-", f"--output-file={name}"]
    subprocess.run(command, cwd=ROOT, input="\n".join(wanted), text=True, check=True, stdout=subprocess.DEVNULL)
    output.write_text(HEAD.format(what=name, why=why) + output.read_text())


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
