"""What is refused before it is loaded: the server that runs judges the new pg_hba.conf by its own settings."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from pgcohesion.errors import CohesionError
from pgcohesion.provision.cluster import TLS_OFF, _validate
from pgcohesion.runner.recorder import Recorder
from pgcohesion.server import State


def running(error: str, **settings: object) -> Any:
    """Return a context whose server has TLS off, and finds *error* in the new rules."""
    server = SimpleNamespace(configuration_test=lambda: ("postgres", "-C", "x"), user=None, state=lambda: State.RUNNING)
    rule = SimpleNamespace(line_number=7, error=error)
    db = SimpleNamespace(execute=lambda query, database: [rule])
    config = SimpleNamespace(settings=settings)
    return cast("Any", SimpleNamespace(server=server, runner=Recorder(), db=db, config=config))


def test_tls_and_a_rule_that_needs_it_may_come_together() -> None:
    _validate(running(TLS_OFF, ssl=True))


@pytest.mark.parametrize(("error", "ssl"), [(TLS_OFF, False), ("invalid IP mask", True)])
def test_a_rule_that_is_wrong_is_refused_with_its_line(error: str, ssl: bool) -> None:
    with pytest.raises(CohesionError) as caught:
        _validate(running(error, ssl=ssl))
    assert caught.value.why == f"pg_hba.conf:7: {error}"
