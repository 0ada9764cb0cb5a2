"""`inv health.serve` as its readers see it: a process of its own, real sockets, a server that dies and comes back."""

from __future__ import annotations

import base64
import http.client
import json
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from tests.browser import browser
from tests.support import Project, frozen

pytestmark = pytest.mark.pg

TOKEN = "correct-horse-battery-staple"


class Service:
    """A running `inv health.serve`."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process, self.url = process, url
        self.host, self.port = str(urlsplit(url).hostname), int(urlsplit(url).port or 0)

    def ask(
        self, path: str, method: str = "GET", body: bytes | None = None, **headers: str
    ) -> tuple[int, http.client.HTTPMessage, str]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
        with closing(connection):
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()

    def raw(self, sent: bytes) -> bytes:
        """Send bytes and return all that comes back."""
        with socket.create_connection((self.host, self.port), 10) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def metric(self, name: str, **labels: str) -> float:
        """Return the one sample with these labels; 0 when there is none yet."""
        (family,) = (one for one in prometheus(self.ask("/metrics")[2]) if one.name == name)
        found = [one.value for one in family.samples if labels.items() <= one.labels.items()]
        assert len(found) < 2
        return float(sum(found))


@contextmanager
def serving(project: Project, *words: str, **env: str) -> Iterator[Service]:
    process = subprocess.Popen(
        project.command("health.serve", "--env=test", "--port=0", "--interval=1", *words),
        cwd=project.root,
        env=project.environment(**env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr
        line = process.stderr.readline()
        found = re.match(r"serving (\S+) ", line)
        assert found, line + process.stderr.read()
        # what else it says must not fill the pipe
        threading.Thread(target=process.stderr.read, daemon=True).start()
        service = Service(process, found[1])
        wait_for(lambda: service.ask("/readyz")[2] != "starting: the first run has not ended\n")
        yield service
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()


def wait_for(true: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def service(shared: Project) -> Iterator[Service]:
    with serving(shared) as made:
        yield made


def test_a_scraper_gets_the_format_that_it_asks_for(service: Service) -> None:
    status, headers, text = service.ask("/metrics", Accept="application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1")
    assert (status, headers["Content-Type"]) == (
        200,
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
    )
    names = {family.name for family in openmetrics(text)}  # type: ignore[no-untyped-call]
    assert {"pgcohesion_up", "pgcohesion_check_grade", "pgcohesion_probe_seconds", "pgcohesion_probes"} <= names
    assert {"pgcohesion_last_success_age_seconds", "pgcohesion_check_value"} <= names
    status, headers, text = service.ask("/metrics")
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert {family.name for family in prometheus(text)} == names
    assert service.metric("pgcohesion_up", host="") == 1


def test_runs_go_on_without_anybody_asking_and_age_is_told(service: Service) -> None:
    before = service.metric("pgcohesion_probes", profile="quick", result="ok")
    wait_for(lambda: service.metric("pgcohesion_probes", profile="quick", result="ok") > before)
    assert service.metric("pgcohesion_last_run_age_seconds") < 3
    assert service.metric("pgcohesion_probes", profile="standard", result="ok") == 1
    graded = service.metric("pgcohesion_check_grade", check="wraparound")  # not quick: from the full run
    assert graded == 0


def test_a_hundred_scrapes_cost_the_server_nothing(service: Service, shared: Project) -> None:
    before = service.metric("pgcohesion_probes", profile="quick", result="ok")
    started = time.monotonic()
    for _ in range(100):
        assert service.ask("/metrics")[0] == 200
    took = time.monotonic() - started
    assert service.metric("pgcohesion_probes", profile="quick", result="ok") - before <= took + 2
    assert took < 10


def test_alive_and_ready(service: Service) -> None:
    assert service.ask("/livez")[::2] == (200, "ok\n")
    assert service.ask("/readyz")[::2] == (200, "ok\n")


def test_the_document_is_that_of_the_check(service: Service, shared: Project) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    status, headers, text = service.ask("/api/report.json")
    document = json.loads(text)
    assert (status, headers["Content-Type"], document["ok"]) == (200, "application/json", True)
    schema = json.loads((Path(__file__).parents[2] / "docs/health-report.schema.json").read_text())
    jsonschema.validate(document, schema)
    assert int(headers["Age"]) < 5


def test_what_is_refused(service: Service) -> None:
    assert service.ask("/nothing")[0] == 404
    assert service.ask("/../../etc/passwd")[0] == 404
    assert service.ask("//metrics/..")[0] == 404
    status, headers, _ = service.ask("/metrics", "POST", b"x" * 1000)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    assert service.ask("/metrics", "DELETE")[0] == 405
    assert service.ask("/metrics", "BREW")[0] == 405
    status, headers, text = service.ask("/metrics", "HEAD")
    assert (status, text) == (200, "")
    assert int(headers["Content-Length"]) > 1000


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /x%0d%0aSet-Cookie:%20a=b HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /\rSet-Cookie: a=b HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100 + b"\r\n\r\n",
        b"GET /" + b"x" * 70000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
    ],
)
def test_nonsense_is_refused_and_not_repeated(service: Service, sent: bytes) -> None:
    answer = service.raw(sent)
    assert b" 4" in answer[:13] or b" 505 " in answer[:13]
    assert b"a=b" not in answer
    assert service.ask("/livez")[0] == 200


def test_a_page_of_somebody_else_cannot_read_it_through_a_browser(service: Service) -> None:
    assert service.ask("/", Host="evil.example")[0] == 421
    assert service.ask("/metrics", Host="127.0.0.1.evil.example:9187")[0] == 421
    assert service.ask("/metrics", Host=f"localhost:{service.port}")[0] == 200


def test_slow_clients_do_not_keep_others_out(service: Service) -> None:
    held = [socket.create_connection((service.host, service.port)) for _ in range(100)]
    try:
        for connection in held:
            with suppress(OSError):  # it was given up already
                connection.sendall(b"GET /metrics HTTP/1.1\r\n")  # and then nothing
        started = time.monotonic()
        assert service.ask("/livez")[0] == 200
        assert time.monotonic() - started < 2
        held[0].settimeout(5)
        assert held[0].recv(1) == b""  # the oldest was given up
    finally:
        for connection in held:
            connection.close()


def test_the_page_is_live(service: Service, tmp_path: Path) -> None:
    with browser() as chromium:
        chromium.open(service.url, width=390, height=844)
        assert chromium.eval("document.title").startswith("test: ok")
        assert chromium.eval("document.documentElement.scrollWidth") == 390
        chromium.eval("document.querySelector('#ok details').open = true")
        shown = chromium.eval("document.querySelector('header time').dateTime")
        chromium.wait_for(f"document.querySelector('header time').dateTime !== {json.dumps(shown)}")
        assert chromium.eval("document.querySelector('#ok details').open")
        assert chromium.troubles() == []
        assert set(chromium.requests()) == {service.url}


def test_others_are_refused_without_a_token(shared: Project) -> None:
    for host in ("0.0.0.0", "::"):
        done = shared.inv("health.serve", "--env=test", "--port=0", f"--host={host}", "--timeout=20")
        assert (done.returncode, done.stderr.splitlines()[0]) == (2, "error: others are not served without a token")
    short = ("--set", "health.serve.token.env=T")
    done = shared.inv("health.serve", "--env=test", "--port=0", "--host=0.0.0.0", *short, env={"T": "tiny-one"})
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, "error: `health.serve.token` is too short")


def test_who_shows_the_token_is_answered(shared: Project) -> None:
    with serving(shared, "--host=0.0.0.0", "--set", "health.serve.token.env=T", T=TOKEN) as service:
        status, headers, _ = service.ask("/metrics")
        assert (status, headers["WWW-Authenticate"]) == (401, 'Basic realm="pgcohesion"')
        assert service.ask("/nothing")[0] == 401
        assert service.ask("/livez")[0] == service.ask("/readyz")[0] == 200
        assert service.ask("/metrics", Authorization=f"Bearer {TOKEN}", Host="db1.example")[0] == 200
        basic = base64.b64encode(f"prometheus:{TOKEN}".encode()).decode()
        assert service.ask("/", Authorization=f"Basic {basic}")[0] == 200
        for wrong in (f"Bearer {TOKEN}x", "Bearer", "Basic !!!", f"Digest {TOKEN}", TOKEN, "Bearer \xff"):
            assert service.ask("/metrics", Authorization=wrong)[0] == 401
        assert TOKEN.encode() not in Path(f"/proc/{service.process.pid}/cmdline").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_and_clean(shared: Project, number: signal.Signals) -> None:
    with serving(shared) as service:
        idle = socket.create_connection((service.host, service.port))
        started = time.monotonic()
        service.process.send_signal(number)
        assert service.process.wait(10) == 0
        assert time.monotonic() - started < 2.5
        idle.close()
        assert service.process.stdout
        assert "served" in service.process.stdout.read()


def test_a_port_that_is_taken(service: Service, shared: Project) -> None:
    done = shared.inv("health.serve", "--env=test", f"--port={service.port}")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: cannot listen at 127.0.0.1, port {service.port}\n")


def test_it_outlives_its_database(fresh: Project) -> None:
    assert fresh.inv("db.setup", "--env=test").returncode == 0
    with serving(fresh, "--set", "health.timeout=2") as service:
        wait_for(lambda: service.ask("/readyz")[0] == 200)
        with frozen(fresh):  # it hangs, and nobody else does
            wait_for(lambda: service.ask("/readyz")[0] == 503)
            started = time.monotonic()
            assert service.ask("/readyz")[2].startswith(("query_timeout", "connect_timeout"))
            assert service.ask("/livez")[0] == 200
            assert service.metric("pgcohesion_up", host="") == 0
            assert 0 < service.metric("pgcohesion_last_success_age_seconds") < 60
            assert time.monotonic() - started < 1
            assert service.ask("/")[0] == 200
        wait_for(lambda: service.ask("/readyz")[0] == 200)
        assert fresh.inv("db.stop", "--env=test").returncode == 0
        wait_for(lambda: service.ask("/readyz")[2].startswith("refused"))
        assert "wraparound" not in service.ask("/metrics")[2]  # what it was is not what it is
        assert json.loads(service.ask("/api/report.json")[2])["error"]["why"] == "refused"
        assert fresh.inv("db.start", "--env=test").returncode == 0
        wait_for(lambda: service.ask("/readyz")[0] == 200)


def test_what_was_never_set_up_is_served_as_such(fresh: Project) -> None:
    with serving(fresh) as service:
        assert service.ask("/readyz")[::2] == (
            503,
            "unreachable: `test` has no database yet: it was never set up\n",
        )
        assert service.ask("/livez")[0] == 200
