"""The variables of an environment -> the connection that they mean."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from ..errors import ConfigError
from ..redact import Secret, remember
from . import families, libpq
from .forms import ado, foreign, parse, split_ports
from .options import translate


class Found(Struct, frozen=True):
    """A connection, and the names of the variables that it was read from, the deciding one first.

    *parameters* are libpq's, without the password. What they leave out is libpq's to fill in, from PGSERVICE,
    PGPASSFILE and the like (:func:`~.resolve`). *replicas* are servers that may be read from.
    """

    parameters: dict[str, str]
    password: Secret | None
    source: tuple[str, ...]
    replicas: tuple[Found, ...] = ()


class Hit(Struct, frozen=True):
    """The value of a variable; *own*: its name has the environment's."""

    name: str
    value: str
    own: bool = False
    file: bool = False


class Variables:
    """Variables as one environment sees them: PRODUCTION_X and X_PRODUCTION stand before X, each also as X_FILE."""

    def __init__(self, values: Mapping[str, str], env: str) -> None:
        word = re.sub(r"\W", "_", env).upper()
        words = (word, *families.ENVIRONMENTS.get(env.lower(), ())) if word else ()
        self.values = values
        self.affixes = [*((f"{w}_", "") for w in words), *(("", f"_{w}") for w in words), ("", "")]

    def get(self, name: str) -> Hit | None:
        """Return the value for *name*, the most specific first. Raises ConfigError for a file that cannot be read."""
        for before, behind in self.affixes:
            own = bool(before or behind)
            for full in (f"{before}{name}{behind}", f"{before}{name}_FILE{behind}", f"{before}{name}{behind}_FILE"):
                value = _text(full, self.values.get(full, ""))
                if value and full == f"{before}{name}{behind}":
                    return Hit(full, value, own)
                if value:
                    return Hit(full, _content(full, _unquoted(value.strip())), own, file=True)
        return None

    def matching(self, pattern: re.Pattern[str]) -> list[str]:
        """Return the names, without the environment's, that *pattern* matches; numbers in order."""
        found = set()
        for full in self.values:
            for before, behind in self.affixes:
                plain = full.removesuffix("_FILE")
                if plain.startswith(before) and plain.endswith(behind):
                    found.add(plain.removeprefix(before).removesuffix(behind))
        return sorted(filter(pattern.fullmatch, found), key=_numbered)


def _numbered(name: str) -> tuple[str, list[int]]:
    return re.sub(r"\d+", "", name), [int(number) for number in re.findall(r"\d+", name)]


def _text(name: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:  # os.environ has such bytes as surrogates
        raise ConfigError(f"`{name}` is no UTF-8 text") from None
    return value


def _content(name: str, path: str) -> str:
    try:
        text = Path(path).read_bytes().decode()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        place = path if "/" in path else "its value is no path"  # but, perhaps, the secret itself
        raise ConfigError(f"`{name}` names a file that cannot be read", why=f"{place}: {reason}") from None
    return text.removesuffix("\n").removesuffix("\r")


def find(variables: Mapping[str, str], *, env: str = "") -> Found | None:
    """Return the connection that *variables* mean, or None when they mean none.

    Names with *env* in them win; then DATABASE_URL and its cousins, PG*, POSTGRES_*, DB_* and the other families, in
    the order of :mod:`.families`. What leads to another kind of database is passed over. Raises ConfigError, which
    names the variable, for a value or a file that cannot be read.
    """
    seen = Variables(variables, env)
    found = _first(seen, own=True) if env else None
    found = found or _first(seen, own=False)
    if found is None:
        return None
    return Found(found.parameters, found.password, found.source, tuple(_replicas(seen, found)))


def _first(seen: Variables, *, own: bool) -> Found | None:
    patterns = (name for pattern in families.PATTERNS for name in seen.matching(pattern))
    for name in dict.fromkeys((*families.URLS, *patterns)):
        hit = seen.get(name)
        if hit and (hit.own or not own) and not foreign(_unquoted(hit.value.strip())):
            return _from_url(seen, name, hit)
    for prefix in ("PG", *families.PREFIXES):
        members = _libpq(seen) if prefix == "PG" else _family(seen, prefix)
        if any(hit.own or not own for word, hit in members.items() if word in families.WHERE):
            values = {word: hit.value for word, hit in members.items()}
            names = dict.fromkeys(hit.name for hit in members.values())
            return _found(values if prefix == "PG" else split_ports(translate(values.items())), names)
    return None


# --- URLs -------------------------------------------------------------------------------------------------


def _from_url(seen: Variables, name: str, hit: Hit) -> Found:
    """Read a URL; user and password that it leaves out may stand beside it, as Spring has them."""
    parameters = _read(hit, _unquoted(hit.value.strip()))
    stem, sources = families.STEM.sub("_", name), [hit.name]
    beside = _beside(seen, stem) if stem != name else {}
    if "user" in beside and parameters.get("user", beside["user"].value) != beside["user"].value:
        beside = {}
    for word in ("user", "password"):
        if word in beside and word not in parameters:
            parameters[word] = beside[word].value
            sources.append(beside[word].name)
    return _found(parameters, sources)


def _beside(seen: Variables, stem: str) -> dict[str, Hit]:
    hits = {word: _one(seen, stem, families.MEMBERS[word]) for word in ("user", "password")}
    return _without_quotes({word: hit for word, hit in hits.items() if hit})


def _read(hit: Hit, text: str) -> dict[str, str]:
    try:
        return ado(text) if families.ADO_NAMES.search(hit.name) else parse(text)
    except ConfigError as error:
        raise ConfigError(f"`{hit.name}`: {error.what}", why=error.why, fix=error.fix) from None


def _found(parameters: Mapping[str, str], sources: Iterable[str]) -> Found:
    rest = dict(parameters)
    password = rest.pop("password", "")
    if "sslpassword" in rest:
        remember(rest["sslpassword"])
    return Found(rest, Secret(password) if password else None, tuple(sources))


# --- families ---------------------------------------------------------------------------------------------


def _libpq(seen: Variables) -> dict[str, Hit]:
    """Return PG*: libpq's own, so neither quotes nor other words for a value are read into them."""
    if not any(name.startswith("PG") or "_PG" in name for name in seen.values):
        return {}
    hits = {keyword: seen.get(name) for keyword, name in libpq.variables().items()}
    return {keyword: hit for keyword, hit in hits.items() if hit}


def _family(seen: Variables, prefix: str) -> dict[str, Hit]:
    """Return the members of a family by libpq's (or a driver's) word; none when it is of another database."""
    engine = _one(seen, prefix, families.ENGINES)
    if engine and not families.POSTGRES.search(engine.value):
        return {}
    hits = {word: _one(seen, prefix, suffixes) for word, suffixes in families.MEMBERS.items()}
    members = _without_quotes({word: hit for word, hit in hits.items() if hit})
    linked = tuple(prefix + suffix for suffix in families.LINKED)
    return members if any(not hit.name.endswith(linked) for hit in members.values()) else {}


def _one(seen: Variables, prefix: str, suffixes: Iterable[str]) -> Hit | None:
    """Return the first that is set; Kubernetes' POSTGRES_PORT=tcp://10.0.0.1:5432 is no port."""
    hits = ((suffix, seen.get(prefix + suffix)) for suffix in suffixes)
    return next((hit for suffix, hit in hits if hit and not (suffix == "PORT" and "://" in hit.value)), None)


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value


def _without_quotes(members: dict[str, Hit]) -> dict[str, Hit]:
    """Remove the quotes that docker's --env-file keeps; from a password only when others of its family have them."""
    others = [hit for word, hit in members.items() if word != "password"]
    kept = any(_unquoted(hit.value.strip()) != hit.value.strip() for hit in others)
    plain = {}
    for word, hit in members.items():
        value = hit.value if word == "password" else _unquoted(hit.value.strip())
        plain[word] = _unquoted(hit.value) if word == "password" and kept and not hit.file else value
    return {word: Hit(hit.name, plain[word], hit.own, hit.file) for word, hit in members.items()}


# --- replicas ---------------------------------------------------------------------------------------------


def _replicas(seen: Variables, primary: Found) -> Iterator[Found]:
    """Yield what may be read from: URLs, else hosts that have everything else in common with the primary."""
    hits = [hit for hit in map(seen.get, seen.matching(families.REPLICA_URL)) if hit]
    for hit in [hit for hit in hits if hit.own] or hits:
        for text in re.split(r"[\s,]+(?=[A-Za-z][\w.+:-]*://)", _unquoted(hit.value.strip())):
            if not foreign(text):
                yield _found(_read(hit, text), (hit.name,))
    if not hits:
        yield from _replica_hosts(seen, primary)


def _replica_hosts(seen: Variables, primary: Found) -> Iterator[Found]:
    shared = {k: v for k, v in primary.parameters.items() if k not in families.OF_A_HOST}
    if "," not in primary.parameters.get("port", ","):
        shared["port"] = primary.parameters["port"]
    for name in seen.matching(families.REPLICA_HOST):
        hit, port = seen.get(name), seen.get(re.sub(r"HOSTS?", "PORT", name))
        for host in re.split(r"[\s,]+", _unquoted(hit.value.strip())) if hit else ():
            place = split_ports({"host": host, **({"port": port.value} if port else {})})
            names = [found.name for found in (hit, port) if found]
            yield Found({**shared, **place}, primary.password, (*names, *primary.source))
