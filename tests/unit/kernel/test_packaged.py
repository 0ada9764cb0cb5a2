"""A Debian host's server: what is said when a replica's does not run."""

from __future__ import annotations

import pytest

from pgcohesion.config.model import Host, PostgreSQL
from pgcohesion.runner.recorder import Recorder
from pgcohesion.server.packaged import Packaged


@pytest.mark.parametrize(
    ("login", "absent", "why", "fix"),
    [
        ("ssh me@db2", False, "it is stopped", "ssh me@db2 sudo systemctl start postgresql@15-main.service"),
        ("", False, "it is stopped", "sudo systemctl start postgresql@15-main.service"),
        (
            "ssh db2",
            True,
            "it has no cluster 15/main",
            "-- on recorder: make it a standby of the primary (pg_basebackup)",
        ),
    ],
)
def test_a_replica_that_is_down_is_not_mended_by_a_task_for_the_primary(
    login: str, absent: bool, why: str, fix: str
) -> None:
    server = Packaged(Recorder(), "test", PostgreSQL(version=15, source="packages"))
    error = server.down_there(login, absent=absent)
    assert (error.why, error.fix) == (why, fix)


@pytest.mark.parametrize(
    ("host", "login"),
    [
        (Host(), ""),
        (Host(ssh="me@db2"), "ssh me@db2"),
        (Host(ssh="db2", via="jump@bastion"), "ssh -J jump@bastion db2"),
        (Host(ssh="me@db2:2222"), "ssh ssh://me@db2:2222"),
    ],
)
def test_what_a_person_types_to_get_to_a_host(host: Host, login: str) -> None:
    assert host.login == login
