"""The first run, the ones after it, and what makes a later one install again."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.unit.wrapper.clone import Clone, World

pytestmark = pytest.mark.unit
SHELLS = [f"{path} " for shell in ("dash", "bash", "ksh", "zsh") if (path := shutil.which(shell))]
SHELLS += [f"{path} sh " for path in [shutil.which("busybox")] if path]


def test_first_run_prepares_and_says_so(clone: Clone) -> None:
    seen, stderr = clone.ok("db.setup", "--name", "a b", "", "*", "'\"$HOME\\")
    assert seen["arguments"] == ["-r", str(clone.root), "db.setup", "--name", "a b", "", "*", "'\"$HOME\\"]
    assert seen["prefix"] == str(clone.venv)
    assert seen["path"][-1] == str(clone.root)  # .venv/bin/python scripts/x.py finds the library
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert re.fullmatch(rf"preparing \.venv: first run \(Python {version}, uv\)\nprepared \.venv in \d+ s\n", stderr)
    assert clone.installs == [["", "embedded"]]


def test_next_run_starts_no_other_program(made: Clone) -> None:
    seen, stderr = made.ok("a", PATH="/nowhere")
    assert (seen["arguments"], stderr) == (["-r", str(made.root), "a"], "")
    assert made.installs == []


@pytest.mark.parametrize("shell", SHELLS)
def test_any_posix_shell(clone: Clone, shell: str) -> None:
    for prepared in ("first run", ""):
        seen, stderr = clone.ok("a b", command=f"{shell}{clone.root}/inv")
        assert seen["arguments"] == ["-r", str(clone.root), "a b"]
        assert prepared in stderr
        assert bool(prepared) is bool(stderr)


def test_callers_folder_stays(made: Clone, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "inv").symlink_to("../link")
    (tmp_path / "link").symlink_to(made.root / "inv")
    below = made.root / "below"
    below.mkdir()
    for cwd, command in ((tmp_path, "clone/inv"), (below, "../inv"), (made.root, "./inv"), (tmp_path, "bin/inv")):
        seen, stderr = made.ok("x", cwd=cwd, command=command)
        assert (seen["cwd"], stderr) == (str(cwd), "")
        assert Path(seen["arguments"][1]).resolve() == made.root
        assert Path(seen["arguments"][1]).is_absolute()


def test_an_inv_without_its_repo(world: World, tmp_path: Path) -> None:
    alone = Clone(tmp_path / "alone", world, [world.python])
    (alone.root / "requirements.lock").unlink()
    assert alone.fails(2)[0] == "no requirements.lock"


# --- extras --------------------------------------------------------------------------------------------


def test_tests_get_dev_tools_and_keep_them(made: Clone) -> None:
    assert "preparing .venv: adding dev" in made.ok("test", "--tier", "unit")[1]
    assert made.installs == [["dev"]]
    assert made.ok("db.status")[1] == ""
    (made.root / "requirements.lock").write_text("changed\n")
    made.ok()
    assert made.installs[-1] == ["", "embedded", "dev"]


def test_extras_are_switched(made: Clone) -> None:
    assert "PGCOHESION_EXTRAS changed" in made.ok(PGCOHESION_EXTRAS="")[1]
    assert made.ok("test", PGCOHESION_EXTRAS="")[1] == ""
    assert "adding embedded" in made.ok()[1]
    assert "adding dev" in made.ok(PGCOHESION_EXTRAS="dev  embedded")[1]
    assert made.ok(PGCOHESION_EXTRAS="embedded dev")[1] == ""
    assert made.installs == [[""], ["embedded"], ["dev"]]


def test_unknown_extra(clone: Clone) -> None:
    what, _, fix = clone.fails(2, PGCOHESION_EXTRAS="embeded")
    assert (what, fix) == ("no extra `embeded`", "known, with spaces between: dev embedded")
    assert not clone.venv.exists()


# --- locks ---------------------------------------------------------------------------------------------


def test_changed_lock_makes_anew(made: Clone) -> None:
    lock = made.root / "requirements-embedded.lock"
    times = lock.stat()
    lock.write_text("changed\n")
    os.utime(lock, ns=(times.st_atime_ns, times.st_mtime_ns - 10**9))  # older than the copy, as tar may leave it
    assert "requirements-embedded.lock changed" in made.ok()[1]
    assert made.ok()[1] == ""


def test_touched_lock_is_compared_once(made: Clone) -> None:
    (made.root / "requirements.lock").touch()
    assert made.ok()[1] == ""
    assert made.ok(PATH="/nowhere")[1] == ""


@pytest.mark.slow
def test_wrong_hash_is_refused(clone: Clone, world: World) -> None:
    clone.path = [world.python]
    lock = clone.root / "requirements.lock"
    lock.write_text(re.sub("sha256:.*", "sha256:" + 64 * "0", lock.read_text()))
    what, why, _ = clone.fails(1)
    assert what == "cannot install requirements.lock requirements-embedded.lock"
    assert "sha256" in why
