"""Who runs the embedded server, and what they may enter."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from pgcohesion.server.binaries import Account


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_what_somebody_else_may_enter_is_tried_without_a_copy_of_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """os.fork() while another thread imports something ended in "release unlocked lock" on stderr."""
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("forked"))
    nobody = Account(pwd.getpwnam("nobody").pw_name)
    assert nobody.may_enter(Path("/"))
    tmp_path.chmod(0o700)
    assert not nobody.may_enter(tmp_path)
    assert not nobody.may_enter(tmp_path / "missing")
