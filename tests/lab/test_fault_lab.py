"""The lab of benchmarks/faults: it comes up, a black hole says nothing and heals, and nothing of it stays."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from benchmarks.faults import increments, stale
from benchmarks.faults.faults import FAULTS, Fault, measure
from benchmarks.faults.lab import DATABASE, PASSWORD, USER, Lab, LabError, leftovers, missing


@pytest.fixture(scope="module")
def faults() -> Iterator[Lab]:
    if lacks := missing():
        reason = f"the fault lab needs {', '.join(lacks)}"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    with Lab() as lab:
        yield lab
    assert leftovers() == []


@pytest.fixture
def client(faults: Lab) -> Iterator[psycopg.Connection]:
    with closing(connected(faults.hosts()[0][0])) as connection:
        yield connection


def connected(host: str) -> psycopg.Connection:
    settings = {"dbname": DATABASE, "user": USER, "password": PASSWORD, "connect_timeout": 2}
    return psycopg.connect(host=host, autocommit=True, **settings)  # type: ignore[arg-type]


def test_the_standby_streams_what_the_primary_writes(faults: Lab, client: psycopg.Connection) -> None:
    client.execute("INSERT INTO written VALUES (1)")
    faults.settle()
    with connected(faults.hosts()[1][0]) as standby:
        assert standby.execute("SELECT id, pg_is_in_recovery() FROM written").fetchall() == [(1, True)]


def test_a_black_hole_is_silent_and_heals(faults: Lab, client: psycopg.Connection) -> None:
    faults.black_hole(faults.primary)
    try:
        started = time.monotonic()
        client.pgconn.send_query(b"SELECT 1")
        with pytest.raises(psycopg.errors.ConnectionTimeout):  # neither refused nor unreachable
            connected(faults.hosts()[0][0])
        assert time.monotonic() - started >= 2
        assert client.pgconn.flush() == 0
        assert client.pgconn.is_busy()  # and the old connection knows nothing, either
    finally:
        faults.heal(faults.primary)
    assert len(list(iter(client.pgconn.get_result, None))) == 1  # what was sent into the hole arrives now


def test_a_second_lab_is_refused(faults: Lab) -> None:
    with pytest.raises(LabError, match="in use by process"), Lab():
        pass


def test_roles_change_and_the_old_primary_comes_back(faults: Lab) -> None:
    old = faults.primary
    old.kill()
    faults.promote()
    faults.repair()
    assert faults.standby is old
    assert old.admin("SELECT pg_is_in_recovery()") == [(True,)]


# --- our own connections in the lab: what must hold whatever the machine's speed (the table has the times) ------------

FAILOVERS = {"failover-clean", "failover-killed", "failover-blackhole", "read-only"}
SHORT = [fault for fault in FAULTS if fault.name in {"terminate", "restart", "crash", *FAILOVERS}]


@pytest.mark.parametrize("fault", SHORT, ids=lambda fault: str(fault.name))
def test_callers_see_no_error_and_are_well_again(faults: Lab, fault: Fault) -> None:
    verdict, _, kinds = measure(faults, "pgcohesion", fault)
    assert (verdict.errors, kinds, verdict.stuck) == (0, [], False)
    assert verdict.good is not None
    assert verdict.longest < 5


def test_no_write_is_lost_or_done_twice(faults: Lab) -> None:
    account, struck = increments.torture(faults, "pgcohesion", 400, random.Random(11))
    assert account.clean, account
    assert account.acknowledged >= 400
    assert sum(struck.values()) > 1


def test_no_read_is_stale(faults: Lab) -> None:
    seen = stale.torture(faults, "pgcohesion", 6, random.Random(5))
    assert (seen.stale, seen.errors) == (0, 0)
    assert seen.replica > 0
    assert stale.torture(faults, "naive", 4, random.Random(5)).stale > 0  # the torture finds what it looks for
