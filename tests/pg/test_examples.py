"""The applications of examples/ as processes of their own: requests, a restart of PostgreSQL, SIGTERM under load."""

from __future__ import annotations

import http.client
import itertools
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pgcohesion.context import Context
from pgcohesion.opening import open_context
from pgcohesion.setup import setup
from tests.support import REPO, Project, project

pytestmark = pytest.mark.pg
UVICORN = ("uvicorn", "--host=127.0.0.1", "--port=0")
GUNICORN = ("gunicorn", "--bind=127.0.0.1:0", "--threads=16", "--access-logfile=-", "--no-control-socket")
SERVERS = {"fastapi_app": UVICORN, "flask_app": GUNICORN, "django_app": GUNICORN, "sqlalchemy_app": GUNICORN}
READERS = 8
WRITERS = 8
_number = itertools.count(1)


def wait_for(true: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class Application:
    """One of the examples as a process; its log is what server and application print."""

    def __init__(self, made: Project, name: str) -> None:
        self.name = f"{name} {next(_number)}"
        self.log = made.root / f"{self.name}.log"
        server, *options = SERVERS[name]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", server, *options, f"examples.{name}:app"],
                cwd=made.root,
                env=made.environment(PGCOHESION_ENV="test", PGCOHESION__APPLICATION__NAME=self.name),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_for(lambda: self._port() or self.process.poll() is not None)
        self.port = self._port()
        assert self.port, self.log.read_text()
        wait_for(lambda: self.ask("/readyz")[0] == 200)

    def _port(self) -> int:
        found = re.search(r"http://127\.0\.0\.1:(\d+)", self.log.read_text())
        return int(found[1]) if found else 0

    def ask(self, path: str, body: dict[str, Any] | None = None) -> tuple[int, bytes]:
        """Return status and content; status 0: no connection, or it was closed before the first byte of an answer.

        Raises when an answer breaks off.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(
                "GET" if body is None else "POST",
                path,
                None if body is None else json.dumps(body),
                {"Connection": "close", "Content-Type": "application/json"},
            )
            answer = connection.getresponse()
        except ConnectionError:  # RemoteDisconnected is one
            return 0, b""
        else:
            return answer.status, answer.read()
        finally:
            connection.close()

    def stopping(self) -> bool:
        """Return whether it says that it was told to stop; who connects to gunicorn then waits for its end."""
        return re.search(r"Shutting down|Handling signal: term", self.log.read_text()) is not None

    def answers(self) -> int:
        """Return how many requests it says that it has answered, but for the probes."""
        return len(re.findall(r'"(?:GET|POST) /bills\S* HTTP/1.1" \d', self.log.read_text()))

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@contextmanager
def started(made: Project, name: str) -> Iterator[Application]:
    application = Application(made, name)
    try:
        yield application
    finally:
        application.end()


@pytest.fixture(scope="module")
def made() -> Iterator[Project]:
    """A server that may be restarted."""
    with project() as found:
        Path(found.root, "examples").symlink_to(REPO / "examples")
        with_setup = open_context("test", root=found.root)
        setup(with_setup)
        with_setup.close()
        yield found


@pytest.fixture
def server(made: Project) -> Iterator[Context]:
    context = open_context("test", root=made.root)
    yield context
    context.close()


@pytest.fixture(scope="module", params=SERVERS)
def application(request: pytest.FixtureRequest, made: Project) -> Iterator[Application]:
    with started(made, request.param) as running:
        yield running


def sessions(server: Context, application: Application, condition: str = "true") -> int:
    """Return how many sessions an application has, those of its monitor included."""
    query = f"SELECT pid FROM pg_stat_activity WHERE application_name LIKE %s AND {condition}"
    return len(server.db.execute(query, [f"{application.name} %"], database="postgres"))


def test_it_lists_finds_and_shows_bills_and_takes_comments(application: Application, server: Context) -> None:
    def json_of(path: str, body: dict[str, Any] | None = None) -> Any:
        status, content = application.ask(path, body)
        assert status == (200 if body is None else 201), content
        return json.loads(content)

    bills = json_of("/bills")
    assert len(bills) == 20
    assert {"bill_id", "number", "title", "status"} <= set(bills[0])
    assert "SB 105" in {bill["number"] for bill in json_of("/bills?q=safe+water")}
    bill = json_of("/bills/1")
    assert (bill["number"], bill["title"]) == ("HB 101", "Rural Clinics Act")
    assert {"question", "yea", "nay", "carried"} <= set(bill["votes"][0])
    said = {"user_id": 7, "stance": "support", "body": f"from {application.port}"}
    made = json_of("/bills/1/comments", said)
    (row,) = server.db.execute(
        "SELECT user_id, stance, body FROM chanuka.comments WHERE comment_id = %s", [made["comment_id"]]
    )
    assert row._asdict() == said
    assert application.ask("/bills/999999")[0] == 404
    assert application.ask("/bills/999999/comments", said)[0] in (404, 422)


def test_it_tells_how_it_is(application: Application) -> None:
    status, content = application.ask("/healthz")
    assert status == 200
    assert json.loads(content)["state"] == "ready"
    assert application.ask("/readyz")[0] == 200
    assert "pgcohesion_host_up{host=" in application.ask("/metrics")[1].decode()


def test_reads_see_nothing_of_a_restart_of_postgresql(application: Application, server: Context) -> None:
    statuses: list[list[int]] = [[] for _ in range(READERS)]
    stop = threading.Event()

    def read(seen: list[int]) -> None:
        paths = ("/bills", "/bills?q=water", "/bills/3")
        while not stop.is_set():
            seen.append(application.ask(paths[len(seen) % 3])[0])

    def all_read_on() -> None:
        enough = [len(seen) + 5 for seen in statuses]
        wait_for(lambda: all(len(seen) > least for seen, least in zip(statuses, enough, strict=True)))

    threads = [threading.Thread(target=read, args=(seen,)) for seen in statuses]
    for thread in threads:
        thread.start()
    try:
        all_read_on()
        for _ in range(2):
            server.db.forget()
            server.server.restart()
            all_read_on()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert {status for seen in statuses for status in seen} == {200}


def test_while_postgresql_is_down_it_lives_but_is_not_ready(application: Application, server: Context) -> None:
    server.db.forget()
    server.server.stop()
    try:
        assert application.ask("/readyz")[0] == 503
        status, content = application.ask("/healthz")
        assert (status, bool(json.loads(content)["state"])) == (200, True)
    finally:
        server.server.start()
    wait_for(lambda: application.ask("/readyz")[0] == 200)


@pytest.mark.parametrize("name", SERVERS)
def test_at_sigterm_it_answers_what_it_has_accepted_and_leaves_nothing_behind(
    name: str, made: Project, server: Context
) -> None:
    """Writes wait for a lock while the server is told to stop; reads go on until nobody answers any more."""
    reads: list[int] = []
    writes: list[tuple[str, int]] = []

    def read(number: int) -> None:
        while True:
            status, _ = running.ask(f"/bills/{number}")
            reads.append(status)
            if status == 0:
                return

    def write(number: int) -> None:
        body = f"{name} at its end {number}"
        said = {"user_id": number, "stance": "neutral", "body": body}
        writes.append((body, running.ask("/bills/2/comments", said)[0]))

    with started(made, name) as running:
        assert sessions(server, running) > 0
        threads = [threading.Thread(target=read, args=(number,)) for number in range(1, 3)]
        threads += [threading.Thread(target=write, args=(number,)) for number in range(1, WRITERS + 1)]
        with server.db.transaction() as connection:
            connection.execute("LOCK TABLE chanuka.comments IN SHARE MODE")
            for thread in threads:
                thread.start()
            wait_for(lambda: sessions(server, running, "wait_event_type = 'Lock'") == WRITERS)
            wait_for(lambda: len(reads) > 20)
            running.process.send_signal(signal.SIGTERM)
            wait_for(running.stopping)
            assert sessions(server, running, "wait_event_type = 'Lock'") == WRITERS
        for thread in threads:
            thread.join(30)
        assert running.process.wait(15) in (0, -signal.SIGTERM)
        assert [status for _, status in writes] == [201] * WRITERS
        assert set(reads) == {0, 200}
        assert running.answers() == len(writes) + sum(status == 200 for status in reads)
    wait_for(lambda: sessions(server, running) == 0)
    rows = server.db.execute("SELECT body FROM chanuka.comments WHERE body LIKE %s", [f"{name} at its end %"])
    assert {row.body for row in rows} == {body for body, _ in writes}
