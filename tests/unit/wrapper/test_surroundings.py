"""Pythons, users, homes, variables, names of folders, and a network that is not there."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.unit.wrapper.clone import PYTHON, Clone, World, pretend, program

pytestmark = pytest.mark.unit
OLD = "import sys; sys.version_info = (3, 9, 2)"
BARE = "import sys; sys.modules['ensurepip'] = None"
NO_PYTHON = "no Python 3.11 or newer"
FAILING_UV = '#!/bin/sh\n[ "$1" = --version ]\n'
SHIM = "#!/bin/sh\nexit 127\n"

UNSUITABLE = [
    ({}, NO_PYTHON, "no python3 on PATH runs", "3.14"),
    ({"python3": OLD}, NO_PYTHON, "python3` is 3.9", "3.14"),
    ({"python3.11": BARE, "python3": OLD}, "cannot make a virtual environment", "ensurepip", "-venv (Debian, Ubuntu)"),
]


@pytest.mark.parametrize(("pythons", "what", "why", "fix"), UNSUITABLE)
def test_unsuitable_python(
    clone: Clone, tmp_path: Path, pythons: Mapping[str, str], what: str, why: str, fix: str
) -> None:
    clone.path = [tmp_path]
    for name, before in pythons.items():
        pretend(tmp_path / name, before)
    parts = clone.fails(2)
    assert all(part in text for part, text in zip((what, why, fix), parts, strict=True)), parts


def test_uv_makes_up_for_a_missing_ensurepip(clone: Clone, tmp_path: Path, world: World) -> None:
    pretend(tmp_path / "python3", BARE)
    clone.path = [tmp_path, world.uv]
    clone.ok()


def test_shims_that_lead_nowhere_are_passed_over(clone: Clone, tmp_path: Path) -> None:
    for name in ("python3.14", "python3.11", "python3"):
        program(tmp_path / name, SHIM)
    clone.path.insert(0, tmp_path)
    clone.ok()


def test_python_is_chosen(made: Clone, tmp_path: Path) -> None:
    assert made.fails(2, PGCOHESION_PYTHON="/nowhere/python3")[0] == "PGCOHESION_PYTHON is not a Python"
    assert made.fails(2, PGCOHESION_PYTHON=str(pretend(tmp_path / "old", OLD)))[0] == NO_PYTHON
    (tmp_path / "a python").symlink_to(PYTHON)
    assert "PGCOHESION_PYTHON changed" in made.ok(PGCOHESION_PYTHON=str(tmp_path / "a python"))[1]
    assert made.ok()[1] == ""


NOISE = {
    "CDPATH": "/",
    "PIP_NO_BINARY": ":all:",
    "PIP_REQUIRE_VIRTUALENV": "1",
    "PIP_TARGET": "/nowhere",
    "PIP_USER": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHOME": "/nowhere",
    "PYTHONPATH": "/nowhere",
    "VIRTUAL_ENV": "/nowhere",
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("home", "uv", "said"),
    [("", FAILING_UV, "uv failed; trying pip\n"), ("/proc", SHIM, ", pip)\n")],
    ids=["no-home", "unwritable-home"],
)
def test_odd_place_and_noise_with_pip(tmp_path: Path, world: World, home: str, uv: str, said: str) -> None:
    program(tmp_path / "uv", uv)
    clone = Clone(tmp_path / 'it\'s "my" $HOME é; *', world, [world.python, tmp_path])
    noise = {**NOISE, "HOME": home}
    before = set(Path("/").iterdir())
    seen, stderr = clone.ok("a b", command="./inv", **noise)
    assert said in stderr
    assert set(Path("/").iterdir()) == before
    assert seen["arguments"] == ["-r", str(clone.root), "a b"]
    assert "/nowhere" not in seen["path"]
    assert seen["path"][-1] == str(clone.root)
    assert seen["environment"].items() >= {"PYTHONPATH": "/nowhere", "PIP_TARGET": "/nowhere"}.items()  # the caller's
    packages = next(clone.venv.glob("lib/python3*/site-packages"))
    assert (packages / "fake_embedded.py").is_file()
    assert list((packages / "__pycache__").glob("fake_invoke.*.pyc"))
    assert not [*packages.glob("pip*"), *packages.glob("setuptools*")]
    assert clone.ok("again", command="./inv", **noise)[1] == ""


@pytest.fixture
def closed() -> Iterator[int]:
    """A port of loopback that nobody answers."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.mark.slow
def test_index_out_of_reach(made: Clone, world: World, closed: int) -> None:
    made.path = [world.python]
    index = {"PIP_NO_INDEX": "0", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": f"http://127.0.0.1:{closed}"}
    what, why, fix = made.fails(3, "test", PIP_RETRIES="1", **index)
    assert what == "the package index does not answer"
    assert "fake_dev" in why
    assert "proxy" in fix
    assert made.ok("db.status")[1] == ""  # what was there still works


@pytest.fixture
def everybodys(world: World) -> Iterator[Clone]:
    """A clone that everybody may read, with a Python and a uv for everybody."""
    python = shutil.which("python3", path="/usr/bin")
    if os.getuid() != 0 or python is None:
        pytest.skip("only root can become another user")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        shutil.copy2(world.uv / "uv", folder)
        clone = Clone(Path(folder) / "clone", world, [Path(folder), Path("/usr/bin"), Path("/bin")])
        clone.ok(PGCOHESION_PYTHON=python)
        yield clone


def test_as_another_user(everybodys: Clone) -> None:
    elsewhere = {"user": "nobody", "cwd": Path("/")}
    assert everybodys.ok(**elsewhere)[1] == ""
    (everybodys.root / "requirements.lock").write_text("changed\n")
    what, _, fix = everybodys.fails(2, **elsewhere)
    assert (what, fix) == ("cannot write `.venv`", "make the folder writable, or run as its owner")
    for path in [everybodys.root, *everybodys.root.rglob("*")]:
        os.chown(path, pwd.getpwnam("nobody").pw_uid, -1, follow_symlinks=False)
    assert "requirements.lock changed" in everybodys.ok(**elsewhere)[1]
