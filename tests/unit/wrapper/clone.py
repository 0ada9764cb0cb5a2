"""Copies of a tiny repo with the real ``inv``; the locks of it name three small wheels that are made here."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sysconfig
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
PYTHON = Path(sysconfig.get_config_var("BINDIR")) / f"python{sysconfig.get_python_version()}"
TOOLS = "cat cmp cp cut date grep ls mkdir mv readlink rm sed sh sleep tail touch"

# Stands for Invoke: tells what it was given.
INVOKE = """
import json, os, sys
print(json.dumps({"arguments": sys.argv[1:], "cwd": os.getcwd(), "prefix": sys.prefix, "path": sys.path,
                  "environment": dict(os.environ)}))
"""
# Stands for uv: notes its calls, installs in no time, and may then stay for a while.
UV = f"""#!/bin/sh
[ "$1" = --version ] && exit
echo "$*" >>"$CALLS"
cat >.venv/bin/invoke <<'END'
{INVOKE}
END
exec sleep "${{SLOW:-0}}"
"""


def program(path: Path, text: str) -> Path:
    """Write an executable file."""
    path.write_text(text)
    path.chmod(0o755)
    return path


def wheel(folder: Path, name: str, code: str, script: str = "") -> str:
    """Make a wheel of one module; return its line of a lock."""
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{script}\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    file = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return f"{name}==1.0 --hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}\n"


class World:
    """Wheels, the locks that name them, and folders of programs for PATH."""

    def __init__(self, folder: Path) -> None:
        self.wheels, self.tools, self.uv, self.python = (folder / name for name in ("wheels", "tools", "uv", "python"))
        for path in (self.wheels, self.tools, self.uv, self.python):
            path.mkdir()
        for tool in TOOLS.split():
            (self.tools / tool).symlink_to(shutil.which(tool) or f"/bin/{tool}")
        (self.python / "python3").symlink_to(PYTHON)
        program(self.uv / "uv", UV)
        main = f"def main():\n    exec({INVOKE!r}, {{}})\n"
        self.locks = {
            "requirements.lock": wheel(self.wheels, "fake_invoke", main, "invoke = fake_invoke:main"),
            "requirements-embedded.lock": wheel(self.wheels, "fake_embedded", "size = 40\n"),
            "requirements-dev.lock": wheel(self.wheels, "fake_dev", "lint = True\n"),
        }


@dataclass
class Clone:
    """A small repo; *path* has the folders of PATH that come before the common tools."""

    root: Path
    world: World
    path: list[Path]

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True)
        shutil.copy2(ROOT / "inv", self.root)
        for name, text in self.world.locks.items():
            (self.root / name).write_text(text)
        self.calls.touch()

    @property
    def venv(self) -> Path:
        return self.root / ".venv"

    @property
    def calls(self) -> Path:
        return self.root / "calls"

    @property
    def installs(self) -> list[list[str]]:
        """The locks that the stand-in for uv was given, call by call."""
        return [re.findall(r"requirements-?(\w*)\.lock", line) for line in self.calls.read_text().splitlines()]

    def start(
        self, *arguments: str, command: str = "", cwd: Path | None = None, user: str | None = None, **environment: str
    ) -> subprocess.Popen[str]:
        """Start ``inv ARGUMENTS`` (or another *command*, words apart) in a session of its own."""
        values = {
            "PATH": ":".join(map(str, [*self.path, self.world.tools])),
            "HOME": str(self.root),
            "CALLS": str(self.calls),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.world.wheels),
            "PIP_CONFIG_FILE": os.devnull,
            **environment,
        }
        return subprocess.Popen(
            [*(command.split() or [f"{self.root}/inv"]), *arguments],
            cwd=cwd or self.root,
            env=values,
            text=True,
            user=user,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def ok(self, *arguments: str, **more: Any) -> tuple[dict[str, Any], str]:
        """Return what the stand-in for Invoke saw, and stderr."""
        stdout, stderr = ended(self.start(*arguments, **more))
        return json.loads(stdout), stderr

    def fails(self, code: int, *arguments: str, **more: Any) -> tuple[str, str, str]:
        """Return the three parts of the error of a run that must end with *code*."""
        return three_parts(ended(self.start(*arguments, **more), code)[1])


def ended(process: subprocess.Popen[str], code: int = 0) -> tuple[str, str]:
    """Return stdout and stderr of a process that must end with *code*."""
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == code, stderr
    return stdout, stderr


def three_parts(stderr: str) -> tuple[str, str, str]:
    """Return what, why and fix of the error that ends *stderr*."""
    match = re.fullmatch(r"(?:.+\n)*?error: (.+)\n  why: (.+(?:\n       .+)*)\n  fix: (.+)\n", stderr)
    assert match, stderr
    return match[1], match[2], match[3]


def pretend(path: Path, before: str) -> Path:
    """Make a Python that runs *before* ahead of the code that ``-I -c`` gives it, and can do nothing else."""
    code = f"{before}; exec(__import__('sys').argv[1])"
    return program(path, f'#!/bin/sh\n[ "$1 $2" = "-I -c" ] && exec {PYTHON} -I -c "{code}" "$3"\n')


def wait_until(true: Callable[[], object]) -> None:
    """Return when *true* is; give up after 20 s."""
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
