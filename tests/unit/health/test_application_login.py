"""What of a refused login is the fault of the application's role, and said to nobody else."""

from __future__ import annotations

import pytest

from pgcohesion.health.sources.application import told

pytestmark = pytest.mark.unit
SOCKET = 'connection failed: connection to server at "127.0.0.1", port 5432 failed: '


@pytest.mark.parametrize(
    ("words", "here", "away"),
    [
        ('FATAL:  password authentication failed for user "a"', True, True),
        ('FATAL:  permission denied for database "d"\nDETAIL:  User does not have CONNECT privilege.', True, True),
        ('FATAL:  could not access file "gone": No such file or directory', True, True),
        ('FATAL:  no pg_hba.conf entry for host "127.0.0.1", user "a", database "d", no encryption', True, False),
        ("FATAL:  connection requires a valid client certificate", True, False),
        ('FATAL:  LDAP authentication failed for user "a"', True, False),
        ('FATAL:  role "a" is not permitted to log in', False, False),
        ('FATAL:  database "d" does not exist', False, False),
        ("server closed the connection unexpectedly", False, False),
    ],
)
def test_whose_fault_it_is(words: str, here: bool, away: bool) -> None:
    assert bool(told(SOCKET + words, here=True)) is here
    assert bool(told(SOCKET + words, here=False)) is away
    assert "\n" not in told(SOCKET + words, here=True)
