"""One written form of a connection -> libpq's parameters."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote

from ..errors import ConfigError
from . import libpq
from .options import Pair, mode, translate

NATIVE = ("postgresql", "postgres")
SCHEMES = frozenset(
    (*NATIVE, "postgis", "pgsql", "psql", "pdo-pgsql", "pdo_pgsql", "pgx", "pgx5", "pq", "ecto", "timescale",
     "timescaledb", "timescalegis")
)  # fmt: skip
WRAPPERS = frozenset(("jdbc", "r2dbc", "r2dbcs", "pool", "p6spy"))
_OTHERS = (
    "cockroach cockroachdb mysql mysql2 mariadb sqlite sqlite3 file mongodb redis rediss sqlserver mssql oracle "
    "oracledb db2 h2 prisma redshift snowflake clickhouse amqp amqps http https spatialite libsql"
)
OTHERS = frozenset(_OTHERS.split())
HEAD = re.compile(r"((?:[a-z][\w.+-]*:)+)(//)?", re.IGNORECASE | re.ASCII)
USER = re.compile(r"[^@/]*@")  # libpq's: up to the first `@`, unless a `/` comes before it
DRIVER_USER = re.compile(r"[^:/@]*(?::[^@]*)?@")  # SQLAlchemy's: a password may have a `/`
KEY_VALUE = re.compile(r"\s*([^\s=]+)\s*=\s*('(?:[^'\\]|\\.)*'|(?!')(?:[^\s\\]|\\.)*)\s*", re.DOTALL)
ADO = re.compile(r"""\s*([^=;]+?)\s*=\s*("(?:[^"]|"")*"|'(?:[^']|'')*'|[^;]*?)\s*(?:;|$)\s*""", re.DOTALL)
ADO_ONLY = re.compile(r"(initial catalog|data source|attachdbfilename|multipleactiveresultsets)\s*=", re.IGNORECASE)


def parse(text: str) -> dict[str, str]:
    """Return libpq's parameters of one written form; hosts and ports may be lists with commas.

    A libpq URI or ``name=value`` string is read by libpq itself; the URLs of JDBC, R2DBC, SQLAlchemy, Prisma, Rails,
    Django, Ecto and Node, PDO's ``pgsql:...`` and Npgsql's ``Host=...;`` are translated. Raises ConfigError, which
    never quotes the text ("Connection Strings" in libpq's chapter of the manual).
    """
    head = HEAD.match(text.lstrip())
    if head is None:
        return _pairs(text)
    first, *words = head[1].lower()[:-1].split(":")
    last = [first, *words][-1]
    base, _, driver = last.partition("+")
    if base not in SCHEMES or not {first, *words} - {last} <= WRAPPERS:
        raise _foreign(base if base in OTHERS else "")
    rest, java = text.lstrip()[head.end() :], first in WRAPPERS
    if not head[2]:
        return _without_slashes(base, rest.rstrip(), java=java)
    if base in NATIVE and not java and not driver:
        return _native(f"{base}://{rest}", rest)
    if driver:
        return _url(rest.rstrip(), user=DRIVER_USER, plus=True)
    return {**({"host": "localhost"} if java else {}), **_url(rest.rstrip(), plus=java)}


def _without_slashes(base: str, rest: str, *, java: bool) -> dict[str, str]:
    if java:
        return {"host": "localhost", **_url("/" + rest.lstrip("/"), plus=True)}
    if base == "pgsql":
        return _key_value(rest.replace(";", " "))  # as PDO does
    raise _foreign("")


def foreign(text: str) -> bool:
    """Return whether *text* leads to another kind of database."""
    head = HEAD.match(text.strip())
    if head is None:
        return bool(ADO_ONLY.search(text))
    return bool({word.partition("+")[0] for word in head[1].lower().split(":")} & OTHERS)


def _foreign(scheme: str) -> ConfigError:
    return ConfigError(
        f"`{scheme}` is not PostgreSQL" if scheme else "a connection string cannot be read",
        why="" if scheme else "it begins with no scheme that is known here",
        fix="write it as postgresql://user:password@host:5432/database",
    )


def _native(text: str, rest: str) -> dict[str, str]:
    try:
        found = libpq.conninfo(text)
    except libpq.Unreadable:
        return _url(rest, plus=False)
    return {keyword: mode(keyword, value) if keyword == "sslmode" else value for keyword, value in found.items()}


def _url(rest: str, *, user: re.Pattern[str] = USER, plus: bool) -> dict[str, str]:
    """Read what stands behind ``://``: libpq the front, we the options (with *plus*, a ``+`` in them is a space)."""
    match = user.match(rest)
    login = match[0].replace("/", "%2F") if match else ""
    front, _, query = rest[match.end() if match else 0 :].partition("?")
    found = libpq.conninfo(f"postgresql://{login}{front}")
    pairs = []
    for item in filter(None, query.split("&")):
        name, equals, value = item.partition("=")
        libpq.conninfo(f"postgresql://?password{equals}{value.replace('=', '%3D')}")  # what is wrong is so here, too
        pairs.append((unquote(name), unquote(value.replace("+", " ") if plus else value)))
    hosts = [value for name, value in pairs if name == "host"]
    if len(hosts) > 1:  # SQLAlchemy repeats it; libpq takes the last
        pairs = [pair for pair in pairs if pair[0] != "host"] + [("host", ",".join(hosts))]
    return split_ports({**found, **translate(pairs)}) if hosts else {**found, **translate(pairs)}


def _pairs(text: str) -> dict[str, str]:
    """Read ``name=value`` pairs, or Npgsql's: to libpq, ``host=a;port=1`` is a host with a ``;``, which none has."""
    first: ConfigError | None = None
    readers: list[Callable[[str], dict[str, str]]] = [libpq.conninfo, *([_ado] if ";" in text else []), _key_value]
    for read in readers:
        try:
            found = read(text)
        except ConfigError as error:
            first = error if first is None or isinstance(first, libpq.Unreadable) else first
        else:
            if ";" not in found.get("host", ""):
                return found
    raise first or _foreign("")


def _ado(text: str) -> dict[str, str]:
    return _read(ADO, text)


def _key_value(text: str) -> dict[str, str]:
    return _read(KEY_VALUE, text)


def ado(text: str) -> dict[str, str]:
    """Return libpq's parameters of Npgsql's ``Host=...;Username=...``. Raises ConfigError."""
    return parse(text) if HEAD.match(text.strip()) else _ado(text)


def _read(grammar: re.Pattern[str], text: str) -> dict[str, str]:
    pairs, position = [], 0
    while position < len(text):
        match = grammar.match(text, position)
        if match is None:
            libpq.conninfo(text)  # says why, or has an opinion after all
            raise libpq.Unreadable("a connection string cannot be read", why="a name or `=` is missing")
        pairs.append((match[1], _value(grammar, match[2])))
        position = match.end()
    return split_ports(translate(pairs))


def _value(grammar: re.Pattern[str], text: str) -> str:
    quote = text[:1] if text[:1] in ("'", '"') and text[-1:] == text[:1] and len(text) > 1 else ""
    if grammar is ADO:
        return text[1:-1].replace(quote * 2, quote) if quote else text
    return re.sub(r"\\(.)", r"\1", text[1:-1] if quote == "'" else text, flags=re.DOTALL)


def split_ports(found: dict[str, str]) -> dict[str, str]:
    """Take ports out of hosts: ``db:5433`` and ``[::1]:5433``, as all but libpq write them."""
    hosts = [_address(host) for host in found.get("host", "").split(",")]
    if not any(port for _, port in hosts):
        return {**found, "host": ",".join(host for host, _ in hosts)} if "host" in found else found
    default = found.get("port", "")
    ports = ",".join(port or default for _, port in hosts)
    return {**found, "host": ",".join(host for host, _ in hosts), "port": ports}


def _address(host: str) -> Pair:
    match = re.fullmatch(r"\[([^]]*)\](?::(\d+))?|([^:/\[]+):(\d+)", host)
    return (match[1] or match[3] or "", match[2] or match[4] or "") if match else (host, "")
