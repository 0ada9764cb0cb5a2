"""A project without a server, and golden files: ``pytest --update-golden`` writes them anew."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import Project, project

GOLDEN = Path(__file__).with_name("golden")


@pytest.fixture(scope="module")
def bare() -> Iterator[Project]:
    """A project that nobody sets up."""
    with project() as made:
        yield made


def normal(text: str, root: Path) -> str:
    """Return *text* without what differs from run to run: folders, times, ports, sizes, secrets' randomness."""
    text = text.replace(str(root), "ROOT")
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME", text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d [+-]\d\d:\d\d, [\d.]+ \w+ ago", "MOMENT", text)
    text = re.sub(r"\(\d+\.\d s\)", "(N s)", text)
    text = re.sub(r'"seconds": [\d.e-]+', '"seconds": N', text)
    text = re.sub(r"localhost:\d+", "localhost:PORT", text)
    return re.sub(r"process \d+", "process N", text)


@pytest.fixture
def golden(request: pytest.FixtureRequest, bare: Project) -> Callable[[str, str], None]:
    """Compare a text with tests/cli/golden/NAME."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        found = normal(text, bare.root)
        if request.config.getoption("--update-golden"):
            path.write_text(found)
        assert found == path.read_text(), f"differs from tests/cli/golden/{name}; pytest --update-golden writes it anew"

    return compare
