"""A connection -> the variables in which programs of any language look for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import quote

from ..errors import UsageError, suggestion
from ..redact import MASK, Secret
from . import libpq
from .families import ADO_NAMES, URLS

Values = dict[str, str]
Format = Callable[[Mapping[str, str]], Values]
PLACE = ("host", "port", "user", "password", "dbname")

JDBC = {  # the others have libpq's names there, or none
    "application_name": "ApplicationName",
    "connect_timeout": "connectTimeout",
    "target_session_attrs": "targetServerType",
    "channel_binding": "channelBinding",
    "gssencmode": "gssEncMode",
    "krbsrvname": "kerberosServerName",
}
NPGSQL = {
    "host": "Host",
    "port": "Port",
    "dbname": "Database",
    "user": "Username",
    "password": "Password",
    "sslmode": "SSL Mode",
    "sslrootcert": "Root Certificate",
    "sslcert": "SSL Certificate",
    "sslkey": "SSL Key",
    "options": "Options",
    "application_name": "Application Name",
    "client_encoding": "Client Encoding",
    "connect_timeout": "Timeout",
    "target_session_attrs": "Target Session Attributes",
}
MEMBERS = {  # behind the prefix of a family
    "host": "HOST",
    "port": "PORT",
    "user": "USER",
    "password": "PASSWORD",
    "dbname": "NAME",
    "sslmode": "SSLMODE",
}


# --- texts ------------------------------------------------------------------------------------------------


def url(values: Mapping[str, str], scheme: str = "postgresql", stand_in: str = "") -> str:
    """Return a URL; a socket's folder goes into the query, behind *stand_in* where a driver wants some host."""
    hosts, ports = _hosts(values)
    inside = (
        bool(hosts) and all(host and not host.startswith(("/", "@")) for host in hosts) and len(ports) == len(hosts)
    )
    query = {k: v for k, v in values.items() if k not in PLACE and v}
    if not inside:
        query = {k: values[k] for k in ("host", "port") if values.get(k)} | query
    where = ",".join(map(_authority, hosts, ports)) if inside else stand_in if hosts else ""
    login = _login(values)
    path = quote(values.get("dbname", ""), safe="@:,;=!$*()")  # Node would not decode these
    return f"{scheme}://{login}{where}/{path}{_query(query)}"


def _hosts(values: Mapping[str, str]) -> tuple[list[str], list[str]]:
    hosts = values["host"].split(",") if values.get("host") else []
    ports = values.get("port", "").split(",")
    return hosts, ports if values.get("port") else [""] * len(hosts)


def _authority(host: str, port: str) -> str:
    name = f"[{quote(host, safe=':')}]" if ":" in host else quote(host, safe="")
    return f"{name}:{port}" if port else name


def _login(values: Mapping[str, str]) -> str:
    user, password = values.get("user", ""), values.get("password", "")
    secret = f":{_secret(password)}" if password else ""
    return f"{quote(user, safe='')}{secret}@" if user or secret else ""


def _query(values: Mapping[str, str]) -> str:
    text = "&".join(f"{k}={_secret(v) if k == 'password' else quote(v, safe='/')}" for k, v in values.items())
    return f"?{text}" if text else ""


def _secret(value: str) -> str:
    """Return a password in the one way that :func:`~..redact.remember` looks for, or the stars that stand for it."""
    return value if value == MASK else quote(value, safe="")


def jdbc(values: Mapping[str, str]) -> str:
    """Return a JDBC URL; a socket through junixsocket, which JDBC needs for one."""
    hosts, _ = _hosts(values)
    place = {k: values[k] for k in ("host", "port", "dbname") if values.get(k)}
    more = {JDBC.get(k, k): v for k, v in values.items() if k not in ("host", "port", "dbname") and v}
    if hosts and hosts[0].startswith("/"):
        port = place.pop("port", "") or "5432"
        socket = f"{place.pop('host')}/.s.PGSQL.{port}"
        more = {
            "socketFactory": "org.newsclub.net.unix.AFUNIXSocketFactory$FactoryArg",
            "socketFactoryArg": socket,
            **more,
        }
        place["host"] = "localhost"
    text = url(place, "jdbc:postgresql")
    return text + _query(more).replace("?", "&" if "?" in text else "?", 1)


def npgsql(values: Mapping[str, str]) -> str:
    """Return ``Host=...;Username=...``."""
    place = dict(values)
    hosts, ports = _hosts(values)
    if len(hosts) > 1 and len(ports) == len(hosts) and any(ports):
        place["host"] = ",".join(map(_authority, hosts, ports))
        del place["port"]
    return ";".join(f"{NPGSQL[k]}={_ado(v, k)}" for k, v in place.items() if k in NPGSQL and v)


def _ado(value: str, keyword: str) -> str:
    if keyword == "sslmode":
        return "".join(word.upper() if word == "ca" else word.title() for word in value.split("-"))
    odd = value != value.strip() or any(c in value for c in ";='\"\n\r\t")
    return '"' + value.replace('"', '""') + '"' if odd else value


# --- variables --------------------------------------------------------------------------------------------


def _libpq(values: Mapping[str, str]) -> Values:
    return {name: values[keyword] for keyword, name in libpq.variables().items() if keyword in values}


def _family(prefix: str, constants: Mapping[str, str] | None = None, **names: str) -> Format:
    """Return a format: PREFIX_HOST and the like, where *names* differ from MEMBERS."""

    def variables(values: Mapping[str, str]) -> Values:
        members = {**MEMBERS, **names}
        found = {prefix + name: values[k] for k, words in members.items() if k in values for name in words.split()}
        return {**{prefix + name: value for name, value in (constants or {}).items()}, **found}

    return variables


def _urls(*names: str, scheme: str = "postgresql", stand_in: str = "") -> Format:
    return lambda values: dict.fromkeys(names, url(values, scheme, stand_in))


def _spring(values: Mapping[str, str]) -> Values:
    place = {k: v for k, v in values.items() if k not in ("user", "password")}
    urls = {
        "SPRING_DATASOURCE_URL": jdbc(place),
        "SPRING_R2DBC_URL": url(place, "r2dbc:postgresql"),
        "QUARKUS_DATASOURCE_JDBC_URL": jdbc(place),
        "JDBC_DATABASE_URL": jdbc(values),
        "JDBC_URL": jdbc(values),
    }
    login = {"USERNAME": values.get("user", ""), "PASSWORD": values.get("password", "")}
    stems = ("SPRING_DATASOURCE", "SPRING_R2DBC", "QUARKUS_DATASOURCE", "JDBC_DATABASE")
    return {**urls, **{f"{stem}_{name}": value for stem in stems for name, value in login.items() if value}}


def _both(*formats: Format) -> Format:
    return lambda values: {name: value for made in formats for name, value in made(values).items()}


_URL = _urls("DATABASE_URL")
_DOCKER = _family("POSTGRES_", dbname="DB")
_DJANGO = {"ENGINE": "django.db.backends.postgresql"}
FORMATS: dict[str, Format] = {
    "libpq": _libpq,
    "url": _urls("DATABASE_URL", "POSTGRES_URL", "POSTGRESQL_URL", "PG_URL", "DATABASE_URI"),
    "db": _family("DB_"),
    "django": _both(
        _URL,
        _family("DB_", _DJANGO),
        _family("SQL_", _DJANGO, dbname="DATABASE"),
        _family("DATABASE_", _DJANGO),
    ),
    "docker": _DOCKER,
    "laravel": _both(
        _family("DB_", {"CONNECTION": "pgsql"}, dbname="DATABASE", user="USERNAME"),
        _urls("DB_URL", scheme="pgsql"),
    ),
    "node": _both(_libpq, _URL),
    "npgsql": lambda values: dict.fromkeys((name for name in URLS if ADO_NAMES.match(name)), npgsql(values)),
    "prisma": _urls("DATABASE_URL", "DIRECT_URL", "POSTGRES_PRISMA_URL", stand_in="localhost"),
    "rails": _both(_URL, _family("DATABASE_", user="USERNAME")),
    "rds": _family("RDS_", host="HOSTNAME", dbname="DB_NAME", user="USERNAME"),
    "spring": _spring,
    "sqlalchemy": _urls("SQLALCHEMY_DATABASE_URI", "SQLALCHEMY_DATABASE_URL", "SQLALCHEMY_URL"),
    "typeorm": _both(
        _family("TYPEORM_", {"CONNECTION": "postgres"}, dbname="DATABASE", user="USERNAME"), _urls("TYPEORM_URL")
    ),
}
# Every URL that `find` knows, so that none of somebody's shell leads elsewhere; Prisma's DATABASE_URL, which others
# cannot read when it has a socket, gives way to theirs.
FORMATS["all"] = _both(_urls(*URLS), *(FORMATS[name] for name in sorted(FORMATS, key=lambda name: name != "prisma")))


def export(parameters: Mapping[str, str], password: Secret | None, format: str) -> dict[str, str]:  # noqa: A002
    """Return {variable: value} of a format, the password in clear: for a program that is started, or with --reveal.

    A form that has no word for a parameter leaves it out. Raises UsageError for a format that does not exist.
    """
    if format not in FORMATS:
        raise UsageError(f"no format `{format}`", fix=suggestion(format, FORMATS))
    return FORMATS[format]({**parameters, **({"password": password.reveal()} if password else {})})


def shell_lines(values: Mapping[str, str]) -> tuple[str, ...]:
    """Return ``NAME='value'``, as every POSIX shell reads it."""
    return tuple(f"{name}='{_quoted(value)}'" for name, value in values.items())


def _quoted(value: str) -> str:
    return value.replace("'", "'\\''")
