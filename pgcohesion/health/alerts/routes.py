"""The ways out: Apprise's services by URL, a signed webhook, a command."""

from __future__ import annotations

import hashlib
import hmac
import json
import subprocess
import time
from collections.abc import Mapping
from http.client import HTTPException
from typing import TYPE_CHECKING
from urllib.request import Request, build_opener

from ...config.model import Route
from ...errors import CohesionError, ConfigError
from ...redact import redact
from .message import Message

if TYPE_CHECKING:
    from ...config import SecretRef
    from ...context import Context

SIGNATURE = "X-Pgcohesion-Signature"


class NotSent(CohesionError):
    """A message did not arrive; it stays in the outbox."""

    code = "not_sent"


def send(ctx: Context, name: str, route: Route, message: Message) -> None:
    """Send a message by a route. Raises NotSent, or ConfigError for a secret that has no value."""
    key = f"health.alerts.routes.{name}"
    if route.command:
        _command(route, message)
    elif route.webhook is not None:
        secret = _value(ctx, route.secret, f"{key}.secret") if route.secret else ""
        _webhook(_value(ctx, route.webhook, f"{key}.webhook"), secret, route.timeout, message)
    elif route.url is not None:
        _apprise(_value(ctx, route.url, f"{key}.url"), message)


def heartbeat(ctx: Context, url: SecretRef) -> None:
    """Say that a run went well. Raises NotSent."""
    _open(_value(ctx, url, "health.alerts.heartbeat"), None, {}, 10)


def signed(secret: str, body: bytes, now: float) -> str:
    """Return the signature of a body: ``t=SECONDS,v1=HEX``, the HMAC-SHA256 of ``SECONDS.BODY``.

    Who gets it computes the same, compares in constant time, and refuses what is older than some minutes.
    """
    at = str(int(now))
    return f"t={at},v1={hmac.new(secret.encode(), at.encode() + b'.' + body, hashlib.sha256).hexdigest()}"


def _value(ctx: Context, ref: SecretRef, key: str) -> str:
    found = ctx.secret(ref, key)
    if found is None:
        raise ConfigError(f"no value for the secret `{key}`", fix=f"set {ref}")
    return found.reveal()


def _webhook(url: str, secret: str, timeout: float, message: Message) -> None:
    body = json.dumps(message.document, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "pgcohesion", "Idempotency-Key": message.key}
    if secret:
        headers[SIGNATURE] = signed(secret, body, time.time())
    _open(url, body, headers, timeout)


def _open(url: str, body: bytes | None, headers: Mapping[str, str], timeout: float) -> None:
    if not url.startswith(("https://", "http://")):
        raise ConfigError("a webhook's URL begins with https:// or http://", fix="set it to one")
    try:
        request = Request(url, body, dict(headers))  # noqa: S310  (of these two schemes only)
        build_opener().open(request, timeout=timeout).close()
    except (OSError, HTTPException, ValueError) as error:
        raise NotSent("the message was not taken", why=redact(f"{type(error).__name__}: {error}")) from error


def _command(route: Route, message: Message) -> None:
    document = json.dumps(message.document, ensure_ascii=False)
    try:
        done = subprocess.run(
            route.command,
            input=document,
            encoding="utf-8",
            errors="replace",
            timeout=route.timeout,
            capture_output=True,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotSent(f"`{route.command[0]}` did not take the message", why=redact(str(error))) from error
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()[-3:]
        why = f"exit status {done.returncode}: {' '.join(words)}"
        raise NotSent(f"`{route.command[0]}` did not take the message", why=redact(why))


def _apprise(url: str, message: Message) -> None:
    try:
        import apprise
    except ImportError as error:
        fix = (
            'once: PGCOHESION_EXTRAS="embedded alerts" ./inv health.alert   (a library: pip install pgcohesion[alerts])'
        )
        raise ConfigError("a route with `url` needs Apprise", why="Apprise is not installed", fix=fix) from error
    sender, said = apprise.Apprise(), _Said()
    if not sender.add(url):
        raise ConfigError("Apprise does not know this URL", fix="https://appriseit.com/services/")
    worst = {event["grade"] for event in message.document["events"] if event["kind"] != "recovery"}
    kinds: Mapping[str, str] = {"fail": "failure", "warn": "warning"}
    kind = next(
        (kinds[grade] for grade in kinds if grade in worst), "success" if message.document["events"] else "info"
    )
    with said:
        sent = sender.notify(body=message.body, title=message.title, notify_type=kind, body_format="text")
    if not sent:
        raise NotSent("the service did not take the message", why=redact(said.words or "Apprise says no more"))


class _Said:
    """What Apprise logs: it returns only whether it worked."""

    def __init__(self) -> None:
        import logging

        lines = self._lines = list[str]()

        class Handler(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                lines.append(record.getMessage())

        self._logger, self._handler = logging.getLogger("apprise"), Handler(logging.WARNING)

    def __enter__(self) -> None:
        self._propagated = self._logger.propagate
        self._logger.propagate = False
        self._logger.addHandler(self._handler)

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self._handler)
        self._logger.propagate = self._propagated

    @property
    def words(self) -> str:
        return "; ".join(self._lines[-3:])
