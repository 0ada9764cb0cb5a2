"""Alerts for real: a webhook's server, a mail server, a command; down, slow, wrong; two runs at once; kill -9."""

from __future__ import annotations

import hashlib
import hmac
import json
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgcohesion import health
from pgcohesion.context import Context, Options
from pgcohesion.errors import ConfigError
from pgcohesion.health import alerts
from pgcohesion.health.history import of as history_of
from pgcohesion.opening import open_context
from tests.pg.seeded.stage import wait_for
from tests.support import Project

pytestmark = pytest.mark.pg
SECRET = "a-very-secret-key"
ENVIRONMENT = """extends = "test"
[health]
timeout = 60
databases = ["chanuka"]
[health.checks.sick]
sql = "SELECT count(*) AS value, coalesce(min(name), '') AS object FROM public.sick"
warn = 1
fail = 5
text = "{value} are sick"
fix = "TRUNCATE public.sick;"
cost = "quick"
[health.alerts]
lasting = 0
recover_after = 0
profile = "quick"
"""


class Receiver(ThreadingHTTPServer):
    """What a webhook leads to: keeps what it gets; *answers* are the next status codes, or seconds to hang."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int | float] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook-{SECRET}"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Receiver)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = server.answers.pop(0) if server.answers else 204
        if isinstance(answer, float):
            time.sleep(answer)
            return  # whoever sent it has given up, and sends it again
        if answer < 300:
            server.got.append((dict(self.headers), body))
        with suppress(OSError):
            self.send_response(answer)
            self.end_headers()

    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Receiver)
        server.got.append(({"beat": self.path}, b""))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def sick(shared: Project) -> Iterator[psycopg.Connection[Any]]:
    with closing(open_context("test", root=shared.root)) as ctx:
        parameters = dict(ctx.server.parameters())
    with psycopg.connect(**parameters, dbname="chanuka", autocommit=True) as connection:  # type: ignore[arg-type]
        connection.execute("CREATE TABLE public.sick (name text PRIMARY KEY)")
        yield connection
        connection.execute("DROP TABLE public.sick")


@contextmanager
def alerting(shared: Project, routes: str) -> Iterator[Context]:
    """Open an environment of its own name, so of its own history, on the shared server."""
    file = shared.root / "environments/alerting.toml"
    file.write_text(ENVIRONMENT + routes)
    state = shared.root / ".pgcohesion/alerting"
    with closing(open_context("test", root=shared.root)) as test:
        server = test.server
        with closing(open_context("alerting", root=shared.root, options=Options(env="alerting"), server=server)) as ctx:
            try:
                yield ctx
            finally:
                for path in state.glob("health.sqlite*"):
                    path.unlink()
                file.unlink()


WEBHOOK = """
[health.alerts.routes.hook]
webhook = { env = "HOOK_URL" }
secret = { env = "HOOK_SECRET" }
timeout = 1
"""


@pytest.fixture
def hook(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Receiver:
    monkeypatch.setenv("HOOK_URL", receiver.url)
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    return receiver


def events(receiver: Receiver) -> list[tuple[str, str]]:
    bodies = [json.loads(body) for headers, body in receiver.got if body]
    return [(event["kind"], event["check"]) for body in bodies for event in body["events"] if event["check"] == "sick"]


def test_a_webhook_gets_a_signed_document_once_and_hears_of_the_end(
    shared: Project, hook: Receiver, sick: psycopg.Connection[Any]
) -> None:
    with alerting(shared, WEBHOOK) as ctx:
        alerts.run(ctx)
        sick.execute("INSERT INTO public.sick VALUES ('it''s <b>')")
        alerts.run(ctx)
        alerts.run(ctx)
        sick.execute("TRUNCATE public.sick")
        alerts.run(ctx)
        alerts.run(ctx)
        assert events(hook) == [("trouble", "sick"), ("recovery", "sick")]
        headers, body = next(one for one in hook.got if b"are sick" in one[1])
        at, _, mark = headers["X-Pgcohesion-Signature"].partition(",")
        expected = hmac.new(SECRET.encode(), at[2:].encode() + b"." + body, hashlib.sha256).hexdigest()
        assert mark == f"v1={expected}"
        (event,) = (one for one in json.loads(body)["events"] if one["check"] == "sick")
        assert (event["object"], event["value"], event["threshold"]) == ("it's <b>", 1, 1)
        assert event["fix"] == "TRUNCATE public.sick;"


def test_nothing_is_lost_while_a_route_is_down_and_the_order_stays(
    shared: Project, hook: Receiver, sick: psycopg.Connection[Any]
) -> None:
    with alerting(shared, WEBHOOK) as ctx:
        alerts.run(ctx)
        hook.got.clear()
        hook.answers += [500, 2.0]
        sick.execute("INSERT INTO public.sick VALUES ('a')")
        first = alerts.run(ctx)
        assert first.failed
        assert "500" in first.told[0].error
        sick.execute("TRUNCATE public.sick")
        now = time.time()
        late = alerts.run(ctx, now=now + 20)  # the next try comes after 15 s: it hangs
        assert late.told[0].waiting == 2
        assert alerts.run(ctx, now=now + 21).told[0].waiting == 2  # not due: nothing is tried
        done = alerts.run(ctx, now=now + 100)
        assert (done.told[0].sent, done.told[0].waiting) == (2, 0)
        assert events(hook)[-2:] == [("trouble", "sick"), ("recovery", "sick")]


def test_a_route_that_does_not_deliver_is_a_finding(
    shared: Project, hook: Receiver, sick: psycopg.Connection[Any]
) -> None:
    with alerting(shared, WEBHOOK) as ctx:
        hook.answers += [404]
        sick.execute("INSERT INTO public.sick VALUES ('a')")
        alerts.run(ctx, now=time.time() - 7200)
        (finding,) = health.check(ctx, "undelivered_alerts").results
        assert (str(finding.grade), finding.object) == ("warn", "hook")
        assert "404" in finding.text


def test_what_waits_for_a_route_that_is_no_more_is_no_finding(
    shared: Project, hook: Receiver, sick: psycopg.Connection[Any]
) -> None:
    """Nobody could mend it: there is no route to try."""
    with alerting(shared, WEBHOOK) as ctx:
        hook.answers += [404]
        sick.execute("INSERT INTO public.sick VALUES ('a')")
        alerts.run(ctx, now=time.time() - 7200)
        ctx.config.health.alerts.routes["team"] = ctx.config.health.alerts.routes.pop("hook")
        (finding,) = health.check(ctx, "undelivered_alerts").results
        assert str(finding.grade) == "ok"


def test_a_history_that_is_none_loses_no_run(shared: Project, hook: Receiver) -> None:
    with alerting(shared, WEBHOOK) as ctx:
        ctx.state.mkdir(parents=True, exist_ok=True)
        (ctx.state / "health.sqlite").write_bytes(b"no database at all" * 1000)
        report = health.check(ctx, "undelivered_alerts,version")
        grades = {one.check: str(one.grade) for one in report.results}
        assert grades == {"version": "ok", "undelivered_alerts": "unknown"}
        assert "not a database" in next(one.text for one in report.results if one.check == "undelivered_alerts")


def test_two_runs_at_once_tell_it_once(shared: Project, hook: Receiver, sick: psycopg.Connection[Any]) -> None:
    with alerting(shared, WEBHOOK) as ctx:
        alerts.run(ctx)
        sick.execute("INSERT INTO public.sick VALUES ('a')")
        command = shared.command("health.alert", "--env=alerting")

        def run(_: int) -> int:
            return subprocess.run(command, cwd=shared.root, env=_variables(shared, hook), check=False).returncode

        _link(shared)
        with ThreadPoolExecutor(3) as crew:
            assert list(crew.map(run, range(3))) == [0, 0, 0]
        assert events(hook) == [("trouble", "sick")]


def _variables(shared: Project, hook: Receiver) -> dict[str, str]:
    return shared.environment(HOOK_URL=hook.url, HOOK_SECRET=SECRET)


def _link(shared: Project) -> None:
    """Let the command find the server of `test` under this environment's name."""
    file = shared.root / "environments/alerting.toml"
    with closing(open_context("test", root=shared.root)) as test:
        given = test.server.parameters()
    url = f"postgresql:///chanuka?host={given['host']}&port={given['port']}&user={given['user']}"
    (shared.root / "url").write_text(f"{url}&password={given['password']}")
    file.write_text(
        file.read_text().replace('databases = ["chanuka"]', 'databases = ["chanuka"]\nurl = { file = "url" }')
    )


def test_killed_between_writing_and_sending_it_is_sent_by_the_next_run(
    shared: Project, hook: Receiver, sick: psycopg.Connection[Any]
) -> None:
    with alerting(shared, WEBHOOK.replace("timeout = 1", "timeout = 30")) as ctx:
        alerts.run(ctx)
        sick.execute("INSERT INTO public.sick VALUES ('a')")
        _link(shared)
        hook.answers += [20.0]
        command = shared.command("health.alert", "--env=alerting")
        with subprocess.Popen(command, cwd=shared.root, env=_variables(shared, hook)) as process:
            wait_for(lambda: not hook.answers)  # it is being sent
            process.send_signal(signal.SIGKILL)
        assert alerts.run(ctx).told[0].waiting == 1  # the dead run's lease still holds
        alerts.run(ctx, now=time.time() + 200)
        assert ("trouble", "sick") in events(hook)


def test_secrets_stay_out_of_everything_that_is_kept_or_said(
    shared: Project, hook: Receiver, sick: psycopg.Connection[Any]
) -> None:
    with alerting(shared, WEBHOOK) as ctx:
        hook.answers += [500]
        sick.execute("INSERT INTO public.sick VALUES ('a')")
        answer = alerts.run(ctx)
        assert SECRET not in json.dumps(answer.as_dict())
        with closing(history_of(ctx)) as history:
            history.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert SECRET.encode() not in (ctx.state / "health.sqlite").read_bytes()


def test_a_command_gets_the_document(shared: Project, sick: psycopg.Connection[Any], tmp_path: Path) -> None:
    keep = f"import sys; open({str(tmp_path / 'got')!r}, 'a').write(sys.stdin.read() + chr(10))"
    routes = f"""
[health.alerts.routes.program]
command = [{sys.executable!r}, "-c", {keep!r}]
least = "fail"
[health.alerts.routes.broken]
command = [{sys.executable!r}, "-c", "import sys; sys.exit('no, thanks')"]
[health.alerts.routes.other]
command = [{sys.executable!r}, "-c", {keep!r}]
only = ["locks"]
"""
    with alerting(shared, routes) as ctx:
        sick.execute("INSERT INTO public.sick VALUES ('a')")
        answer = alerts.run(ctx)
        told = {one.route: one for one in answer.told}
        assert told["program"].sent == told["other"].sent == 0
        assert "no, thanks" in told["broken"].error
        sick.execute("INSERT INTO public.sick SELECT 'b' || n FROM generate_series(1, 9) n")
        alerts.run(ctx)
        (line,) = (tmp_path / "got").read_text().splitlines()
        assert [event["kind"] for event in json.loads(line)["events"]] == ["worse"]


def test_a_route_for_a_check_that_does_not_exist_is_refused(shared: Project) -> None:
    routes = '[health.alerts.routes.program]\ncommand = ["true"]\nonly = ["lokcs"]\n'
    with alerting(shared, routes) as ctx, pytest.raises(ConfigError, match="no check `lokcs`") as refused:
        alerts.run(ctx)
    assert "did you mean `locks`?" in refused.value.fix


def test_muted_nobody_is_told_until_it_ends(shared: Project, hook: Receiver, sick: psycopg.Connection[Any]) -> None:
    with alerting(shared, WEBHOOK) as ctx:
        alerts.mute(ctx, "2h", "we move")
        sick.execute("INSERT INTO public.sick VALUES ('a')")
        assert "we move" in alerts.run(ctx).muted
        assert events(hook) == []
        alerts.mute(ctx, "0s", "")
        alerts.run(ctx)
        assert events(hook) == [("trouble", "sick")]


def test_the_heartbeat(shared: Project, hook: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEAT", f"http://127.0.0.1:{hook.server_address[1]}/beat")
    routes = WEBHOOK.replace("[health.alerts.routes", 'heartbeat = { env = "BEAT" }\n[health.alerts.routes', 1)
    with alerting(shared, routes) as ctx:
        assert alerts.run(ctx).heartbeat == ""
        assert ({"beat": "/beat"}, b"") in hook.got


# --- Apprise: mail and a service by its URL ---------------------------------------------------------------------------


APPRISE = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of its own imports


class Mail(socketserver.StreamRequestHandler):
    """As much of SMTP as a mail needs."""

    def handle(self) -> None:
        def say(words: str) -> None:
            self.wfile.write(f"{words}\r\n".encode())

        say("220 test")
        while line := self.rfile.readline().decode().strip():
            word = line.split()[0].upper()
            if word == "DATA":
                say("354 go on")
                body = b""
                while (part := self.rfile.readline()) != b".\r\n":
                    body += part
                self.server.mails.append(body.decode())  # type: ignore[attr-defined]
            say("221 bye" if word == "QUIT" else "250 test" if word in ("EHLO", "HELO") else "250 ok")
            if word == "QUIT":
                return


@APPRISE
def test_mail_and_a_service_through_apprise(
    shared: Project, receiver: Receiver, sick: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mail) as server:
        server.daemon_threads = True
        server.mails = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        monkeypatch.setenv("MAIL", f"mailto://127.0.0.1:{port}?from=pg@example.com&to=team@example.com&mode=insecure")
        monkeypatch.setenv("SERVICE", f"json://127.0.0.1:{receiver.server_address[1]}/x")
        routes = "".join(f'[health.alerts.routes.{name}]\nurl = {{ env = "{name}" }}\n' for name in ("MAIL", "SERVICE"))
        with alerting(shared, routes) as ctx:
            sick.execute("INSERT INTO public.sick VALUES ('a')")
            answer = alerts.run(ctx)
            assert [one.error for one in answer.told] == ["", ""]
        server.shutdown()
        (mail,) = server.mails  # type: ignore[attr-defined]
    assert "are sick" in mail or "YXJlIHNpY2" in mail  # as it is, or in base64
    assert "alerting" in mail
    assert json.loads(receiver.got[-1][1])["type"] == "warning"


@APPRISE
def test_a_service_that_is_down_says_so(
    shared: Project, sick: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICE", "json://127.0.0.1:9/x")
    with alerting(shared, '[health.alerts.routes.service]\nurl = { env = "SERVICE" }\n') as ctx:
        answer = alerts.try_out(ctx)
        assert answer.failed
        assert answer.told[0].error
