"""What one test has seen of secrets is not masked in the next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pgcohesion import redact


@pytest.fixture(autouse=True)
def forget_secrets() -> Iterator[None]:
    """Forget all secrets after each test."""
    yield
    redact._seen.clear()
    redact._patterns.clear()
