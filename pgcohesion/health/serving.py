"""Findings over HTTP: for Prometheus, for those who ask whether we and the database are alive, and for people.

No request asks a server: all of them read what a :class:`~.probing.Prober` found last.
"""

from __future__ import annotations

import hmac
import re
import socket
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from email.message import Message
from email.utils import formatdate
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import CohesionError, ConfigError, Interrupted, Stop, UsageError
from ..output import Output
from ..redact import Secret, redact
from ..view import Answer, View, count, span
from .facts import Facts
from .formats.openmetrics import OPENMETRICS, PROMETHEUS, Family, families, written
from .listening import TEXT, Listener, Response
from .page import gathered, policy, render
from .probing import Prober, State
from .registry import Check
from .report import Report

if TYPE_CHECKING:
    from ..context import Context

SHORTEST = 16
"""Characters of a token that others than this machine may show."""
HTML, JSON = "text/html; charset=utf-8", "application/json"
OPEN = ("/livez", "/readyz")
"""What is answered to everybody: orchestrators have no token."""
_LOCAL = re.compile(r"(localhost|127(\.\d+){3}|\[::1\])(:\d+)?", re.IGNORECASE)


class Site:
    """What is at which path. *token*: what readers must show; without one, only names of this machine are answered."""

    def __init__(self, ctx: Context, prober: Prober, checks: Iterable[Check], token: Secret | None) -> None:
        self.ctx, self.prober, self.token = ctx, prober, token
        self._checks = list(checks)
        self._page: tuple[Report | None, bytes] = (None, b"")
        self._rendering = threading.Lock()
        self._paths: dict[str, Callable[[State, Message], Response]] = {
            "/": self._people,
            "/metrics": self._metrics,
            "/livez": self._alive,
            "/readyz": self._ready,
            "/api/report.json": self._document,
        }

    def answer(self, target: str, headers: Message) -> Response:
        """Return what is at the path of *target*."""
        try:
            path = urlsplit(target).path
        except ValueError:
            path = ""
        refusal = None if path in OPEN else self._refusal(headers)
        if refusal:
            return refusal
        found = self._paths.get(path)
        return found(self.prober.state, headers) if found else Response(404, b"there is nothing here\n")

    def _refusal(self, headers: Message) -> Response | None:
        if self.token is not None:
            if allowed(headers.get("Authorization", ""), self.token):
                return None
            return Response(401, b"a token is needed\n", headers={"WWW-Authenticate": 'Basic realm="pgcohesion"'})
        # A page of somebody else may give its own name our address, and read us with its visitor's browser.
        if _LOCAL.fullmatch(headers.get("Host", "localhost")):
            return None
        return Response(421, b"without a token only localhost is served\n")

    def _alive(self, state: State, headers: Message) -> Response:
        """Of this process alone: a database that is busy or down is no reason to end us, nor it."""
        return Response(200, b"ok\n") if self.prober.alive else Response(503, b"no runs any more\n")

    def _ready(self, state: State, headers: Message) -> Response:
        ready, words = state.ready(self.prober.oldest)
        return Response(200 if ready else 503, redact(words).encode() + b"\n")

    def _metrics(self, state: State, headers: Message) -> Response:
        openmetrics = prefers_openmetrics(headers.get("Accept", ""))
        text = written(_families(self.ctx.env, state), openmetrics=openmetrics)
        return Response(200, text.encode(), OPENMETRICS if openmetrics else PROMETHEUS, _age(state))

    def _document(self, state: State, headers: Message) -> Response:
        if state.report is None:
            return Response(503, b'{"ok": false, "error": {"code": "starting"}}\n', JSON)
        text = redact(Output.document(self.ctx.env, "health.check", state.report))
        return Response(200, text.encode() + b"\n", JSON, _age(state))

    def _people(self, state: State, headers: Message) -> Response:
        if state.report is None:
            return Response(503, b"the first run has not ended\n", TEXT, {"Refresh": "1"})
        guard = f"{policy(live=True)}; frame-ancestors 'none'"
        return Response(
            200, self._rendered(state.report, state.facts), HTML, {**_age(state), "Content-Security-Policy": guard}
        )

    def _rendered(self, report: Report, facts: Facts) -> bytes:
        """Return the page of *report*: drawn once, however many look."""
        with self._rendering:
            if self._page[0] is not report:
                made = gathered(self.ctx, report, self._checks, facts, refresh=self.prober.interval)
                self._page = (report, render(made).encode())
            return self._page[1]


def _age(state: State) -> dict[str, str]:
    at = formatdate(state.report.at, usegmt=True) if state.report else ""
    return {"Age": f"{time.monotonic() - state.ended:.0f}", "Last-Modified": at} if at else {}


def _families(env: str, state: State) -> Iterator[Family]:
    of = (("env", env),)
    if state.report is None:
        yield Family("pgcohesion_up", "Whether a host's server let itself be asked.", (((*of, ("host", "")), 0.0),))
    else:
        yield from families(state.report)
        age = time.monotonic() - state.ended
        yield Family("pgcohesion_last_run_age_seconds", "How old these numbers are.", ((of, age),))
    if state.answered:
        age = time.time() - state.answered
        yield Family("pgcohesion_last_success_age_seconds", "Since the primary last answered.", ((of, age),))
    took = tuple(((*of, ("profile", name)), seconds) for name, seconds in sorted(state.seconds.items()))
    yield Family("pgcohesion_probe_seconds", "How long the last run took, by profile.", took)
    counted = sorted(state.runs.items())
    runs = tuple(((*of, ("profile", name), ("result", result)), float(n)) for (name, result), n in counted)
    yield Family("pgcohesion_probes", "Runs since the start: ok, or the kind of trouble.", runs, "counter")


def allowed(authorization: str, token: Secret) -> bool:
    """Return whether a header shows the token, as Bearer or as the password of Basic; takes the same time for all."""
    scheme, _, shown = authorization.strip().partition(" ")
    given = shown.strip().encode("latin-1", "replace")
    if scheme.lower() == "basic":
        try:
            given = b64decode(given, validate=True).partition(b":")[2]
        except ValueError:
            given = b""
    elif scheme.lower() != "bearer":
        given = b""
    return hmac.compare_digest(given, token.reveal().encode())


def prefers_openmetrics(accept: str) -> bool:
    """Return whether a scraper that sends this Accept header wants OpenMetrics rather than the older text format."""
    wanted: dict[str, float] = {}
    for part in accept.split(","):
        kind, *parameters = (word.strip().lower() for word in part.split(";"))
        weights = (one.partition("=")[2] for one in parameters if one.startswith("q="))
        with suppress(ValueError):
            wanted[kind] = max(wanted.get(kind, 0.0), float(next(weights, "1")))
    return wanted.get("application/openmetrics-text", 0.0) > 0 and (
        wanted["application/openmetrics-text"] >= wanted.get("text/plain", 0.0)
    )


# --- the command ----------------------------------------------------------------------------------------------------


class Served(Answer, frozen=True):
    """What was served until it was told to stop."""

    address: str
    requests: int
    seconds: float

    def view(self) -> View:
        """Return the verdict."""
        return View((), f"served {count(self.requests, 'request')} at {self.address} for {span(self.seconds)}")


def serve(ctx: Context, prober: Prober, checks: Iterable[Check], host: str, port: int) -> Served:
    """Serve until SIGTERM or Ctrl-C: that is how it ends, so it is a success.

    Raises UsageError for an address of others without a token, ConfigError for a token that is none, CohesionError
    where nothing can be listened to.
    """
    family, address = _address(host, port)
    token = _token(ctx, loopback=ip_address(address[0].partition("%")[0]).is_loopback)
    try:
        listener = Listener(family, address, Site(ctx, prober, checks, token).answer, ctx.log)
    except OSError as error:
        fix = "stop what listens there, or choose another: --port 9188"
        raise CohesionError(f"cannot listen at {host}, port {port}", why=str(error), fix=fix) from error
    url = f"http://{f'[{host}]' if ':' in host else host}:{listener.server_port}/"
    started = time.monotonic()
    try:
        prober.start()
        threading.Thread(target=listener.serve_forever, args=(0.1,), name="http", daemon=True).start()
        ctx.output.note(f"serving {url} (metrics, livez, readyz, api/report.json); Ctrl-C ends it")
        threading.Event().wait()
    except Stop as stop:
        if not isinstance(stop.error, Interrupted):
            raise
    finally:
        listener.server_close()
        prober.stop(1.0)
    return Served(url, listener.served, time.monotonic() - started)


def _address(host: str, port: int) -> tuple[socket.AddressFamily, tuple[Any, ...]]:
    """Return where to listen: the address that a name has now, so that it cannot become another."""
    if not 0 <= port <= 65535:
        raise UsageError(f"`--port {port}` is no port", fix="--port 9187")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"`--host {host}` is no address", why=str(error), fix="--host 127.0.0.1") from error
    family, _, _, _, address = found[0]
    return family, address


def _token(ctx: Context, *, loopback: bool) -> Secret | None:
    ref, key = ctx.config.health.serve.token, "health.serve.token"
    if ref is None:
        if loopback:
            return None
        raise UsageError(
            "others are not served without a token",
            why="findings name tables, roles and settings",
            fix='[health.serve] token = { env = "PGCOHESION_TOKEN" }, or leave --host out',
        )
    token = ctx.secret(ref, key)
    if token is None:
        from ..config.secrets import generate, path_of

        token = generate(path_of(ref, ctx.root))
    if len(token.reveal()) < SHORTEST and not loopback:
        raise ConfigError(
            f"`{key}` is too short", why=f"it has fewer than {SHORTEST} characters", fix="openssl rand -hex 24"
        )
    return token
