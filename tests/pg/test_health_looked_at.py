"""A server that an environment only looks at, by a URL: everything is asked of it, nothing is done to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from subprocess import CompletedProcess

import psycopg
import pytest

from pgcohesion.context import Options
from pgcohesion.health.sources import host
from pgcohesion.opening import open_context
from tests.pg.standby import following
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


def test_it_is_called_by_where_it_is(shared: Project, url: str) -> None:
    told = json.loads(inv(shared, "postgresql://nobody@127.0.0.1:9/theirs", "health.check", "--json").stdout)
    (finding,) = (one for one in told["result"]["findings"] if one["check"] == "availability")
    assert (finding["object"], finding["kind"]) == ("127.0.0.1:9", "refused")


def test_its_machine_is_looked_at_where_it_is_ours(shared: Project, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWAY", url)
    with closing(open_context("away", root=shared.root, options=Options(env="away"))) as away:
        assert [one.folder for one in host.read(away) or ()] == [away.watched.execute("SHOW data_directory")[0][0]]
        monkeypatch.setattr(
            host, "SETTINGS", host.SETTINGS.replace("pg_postmaster_start_time()", "'epoch'::timestamptz")
        )
        assert host.read(away) is None  # a folder of this name lies here, and the server is behind a tunnel


def test_a_standby_may_be_one(shared: Project) -> None:
    with following() as standby:
        given = standby.ctx.server.parameters()
        there = f"postgresql://postgres:{given['password']}@/chanuka?host={standby.home}&port={standby.port}"
        told = json.loads(inv(shared, there, "health.check", "--json", "--fail-on=never").stdout)
    (finding,) = (one for one in told["result"]["findings"] if one["check"] == "availability")
    assert (finding["object"], finding["grade"]) == (f"localhost:{standby.port}", "ok")


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
