"""A server that an environment only looks at, by a URL: everything is asked of it, nothing is done to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from subprocess import CompletedProcess

import psycopg
import pytest

from pgcohesion.opening import open_context
from tests.support import Project

pytestmark = pytest.mark.pg


@pytest.fixture(scope="module")
def url(shared: Project) -> Iterator[str]:
    """The URL of a server like somebody else's: it has a database, and no ledger."""
    with closing(open_context("test", root=shared.root)) as ctx:
        given = ctx.server.parameters()
        with psycopg.connect(**given, dbname="postgres", autocommit=True) as session:  # type: ignore[arg-type]
            session.execute("CREATE DATABASE theirs")
            file = shared.write("environments/away.toml", '[health]\nurl = { env = "AWAY" }\n')
            yield (
                f"postgresql://{given['user']}:{given['password']}@/theirs?host={given['host']}&port={given['port']}"
            )
            file.unlink()
            session.execute("DROP DATABASE theirs WITH (FORCE)")


def inv(shared: Project, url: str, *words: str) -> CompletedProcess[str]:
    return shared.inv(*words, "--env=away", env={"AWAY": url})


@pytest.mark.parametrize("task", ["check", "queries", "indexes", "selftest", "report", "heal", "history", "grant"])
def test_it_is_asked(shared: Project, url: str, task: str) -> None:
    words = {"queries": ["--sample=0.2"], "check": ["--fail-on=never"]}.get(task, [])  # fsync is off there
    done = inv(shared, url, f"health.{task}", *words)
    assert done.returncode == 0, done.stderr


def test_our_migrations_are_not_wanted_there(shared: Project, url: str) -> None:
    assert "pending_migrations" not in inv(shared, url, "health.check", "--verbose").stdout


def test_the_least_role_is_printed_for_it(shared: Project, url: str) -> None:
    printed = inv(shared, url, "health.grant", "--role=watcher").stdout
    assert 'GRANT pg_monitor TO "watcher";' in printed
    assert 'GRANT CONNECT ON DATABASE "theirs" TO "watcher";' in printed


@pytest.mark.parametrize("words", [("grant", "--apply"), ("heal", "--apply"), ("bench",)], ids=lambda words: words[0])
def test_nothing_is_done_to_it(shared: Project, url: str, words: tuple[str, ...]) -> None:
    done = inv(shared, url, f"health.{words[0]}", *words[1:])
    assert done.returncode == 5
    assert "only looked at" in done.stderr
