"""The lock files: complete, hashed, in step with pyproject.toml and with each other, and silent about any index."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.unit
ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
WANTED = {
    "requirements.lock": PROJECT["project"]["dependencies"],
    "requirements-embedded.lock": PROJECT["project"]["optional-dependencies"]["embedded"],
    "requirements-dev.lock": PROJECT["dependency-groups"]["dev"],
}


def pins(lock: str) -> dict[str, str]:
    text = (ROOT / lock).read_text().replace("\\\n", "")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+( ; [^#]+?)?( +--hash=sha256:[0-9a-f]{64})+", line) for line in lines)
    return dict(re.findall(r"^([\w.-]+)==(\S+)", "\n".join(lines), re.MULTILINE))


@pytest.mark.parametrize("lock", WANTED)
def test_every_wish_is_locked(lock: str) -> None:
    locked = pins(lock)
    for wish in map(Requirement, WANTED[lock]):
        assert locked[canonicalize_name(wish.name)] in wish.specifier, wish


def test_locks_agree() -> None:
    core, dev = pins("requirements.lock"), pins("requirements-dev.lock")
    assert {name: core[name] for name in core.keys() & dev.keys()} == {
        name: dev[name] for name in core.keys() & dev.keys()
    }


@pytest.mark.parametrize("lock", WANTED)
def test_no_address(lock: str) -> None:
    assert "://" not in (ROOT / lock).read_text()
