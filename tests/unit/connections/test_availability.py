"""Why a server cannot be asked, when the way to it leads through a host."""

from __future__ import annotations

import psycopg
import pytest

from pgcohesion.connections import translate
from pgcohesion.connections.availability import gist, kind
from pgcohesion.errors import Unreachable

GONE = "/var/run/postgresql/.s.PGSQL.5432: No such file or directory"


@pytest.mark.parametrize(
    ("words", "complaint", "expected"),
    [
        ("server closed the connection unexpectedly", GONE, "refused"),
        ("server closed the connection unexpectedly", "127.0.0.1:6432: Connection refused", "refused"),
        ("server closed the connection unexpectedly", "", "lost"),
        ("FATAL:  sorry, too many clients already", GONE, "slots_exhausted"),  # the complaint is of a call before
    ],
)
def test_what_the_host_says_tells_where_libpq_saw_only_the_end(words: str, complaint: str, expected: str) -> None:
    error = psycopg.OperationalError(words)
    assert kind(error, complaint) == expected
    told = translate(error, "cannot connect", complaint)
    assert isinstance(told, Unreachable)
    assert told.kind == expected
    assert gist(told.why) == (complaint if expected == "refused" else words)


def test_the_socket_of_our_relay_is_not_told() -> None:
    error = psycopg.OperationalError(
        'connection failed: connection to server on socket "/tmp/pgcohesion-52w9p2_8/.s.PGSQL.5432" failed: FATAL:  no'
    )
    assert translate(error, "cannot connect").why == "FATAL:  no"
