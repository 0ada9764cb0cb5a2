"""What libpq would connect to: its own defaults, service file, passfile and environment, asked without connecting."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from ..errors import ConfigError
from ..redact import Secret
from .libpq import keywords

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn

POISON = "\x01"  # a value that nothing has: libpq fills in everything, looks up the password, then stops over it
JUDGED_LAST = ("load_balance_hosts", "target_session_attrs", "sslmode")  # in this order, the last first
HOST = re.compile(r"[/@].*|[^@;=\s]*", re.DOTALL)  # a socket's folder, or a name: what has more is part of a password


class Target(Struct, frozen=True):
    """A host that libpq would try: *host* a name, an address or a socket's folder.

    *parameters* have all that libpq would use for it, *host* and the rest included, but for the *password*, which may
    come from a passfile. They no longer depend on the environment, nor on a service file.
    """

    host: str
    port: int
    hostaddr: str
    dbname: str
    user: str
    parameters: dict[str, str]
    password: Secret | None = None


def resolve(parameters: Mapping[str, str], password: Secret | None = None) -> list[Target]:
    """Return a target a host, in the order in which they are written.

    Nothing is connected to and no name is looked up. Raises ConfigError with libpq's reason: no such service, a mode
    that it does not know, more ports than hosts ("The Connection Service File" and "The Password File" in the manual).
    """
    given = {**parameters, **({"password": password.reveal()} if password else {})}
    filled = _filled(given)
    hosts = filled.get("host", "").split(",") if filled.get("host") else []
    addresses = filled["hostaddr"].split(",") if filled.get("hostaddr") else []
    ports = filled.get("port", "").split(",")
    number = max(len(hosts), len(addresses), 1)
    return [
        _target(filled, *(_nth(values, position) for values in (hosts, addresses, ports))) for position in range(number)
    ]


def _nth(values: list[str], position: int) -> str:
    return values[position if len(values) > 1 else 0] if values else ""


def _target(filled: Mapping[str, str], host: str, hostaddr: str, port: str) -> Target:
    one = {**filled, "host": host, "hostaddr": hostaddr, "port": port}
    connection = _stopped(one, *_poisons()[:1])
    number = connection.port.decode()
    name = connection.host.decode()
    if not HOST.fullmatch(name) or not number.isdigit() or not 0 < int(number) < 65536:
        raise ConfigError(
            "a host and port cannot be right",
            why="the host has one of `@;=`, or the port is no number from 1 to 65535",
            fix="in a URL, percent-encode the password: `@` is %40, `/` is %2F, `:` is %3A, `#` is %23, `?` is %3F",
        )
    password = connection.password.decode()
    rest = {k: v for k, v in one.items() if k not in ("host", "hostaddr", "port", "password")}
    place = {"host": name, "port": number, **({"hostaddr": hostaddr} if hostaddr else {})}
    return Target(
        name,
        int(number),
        hostaddr,
        connection.db.decode(),
        connection.user.decode(),
        {**rest, **place},
        Secret(password) if password else None,
    )


def _poisons() -> list[str]:
    return [keyword for keyword in JUDGED_LAST if keyword in keywords()][:2]


def _filled(given: Mapping[str, str]) -> dict[str, str]:
    """Return all parameters with their values; what one poison hides, the other shows."""
    first, second = _poisons()
    values = [
        {o.keyword.decode(): o.val.decode() for o in _stopped(given, poison).info if o.val}
        for poison in (first, second)
    ]
    filled = {**values[0], first: values[1].get(first, "")}
    return {k: v for k, v in filled.items() if v and k != "service"}


def _stopped(given: Mapping[str, str], poison: str) -> PGconn:
    """Return a connection that libpq has given up before its first step. Raises ConfigError with another reason."""
    from psycopg import pq
    from psycopg.conninfo import make_conninfo

    text = make_conninfo("", **{**given, poison: POISON})
    connection = pq.PGconn.connect_start(text.encode())
    message = connection.get_error_message()
    if POISON not in message:
        known = "|".join(map(re.escape, keywords()))
        told = re.fullmatch(rf'(?s)invalid ({known}) value: "(.*)"', message.strip())
        why = f"`{told[1]}` cannot be `{told[2]}`" if told else message.strip()
        raise ConfigError("libpq refuses a connection's parameters", why=why)
    return connection
