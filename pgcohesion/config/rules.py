"""What types cannot say: names that must be declared, values that must fit together."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from ..errors import suggestion
from .model import Config, Database, SecretRef
from .problems import Key

Found = tuple[Key, str]
PREDEFINED = "pg_"
SUPERUSER = "postgres"


def consistent(config: Config) -> Iterator[Found]:
    """Yield (key, reason) for each contradiction in *config*."""
    yield from _server(config)
    yield from _names(config)
    yield from _roles(config)
    for name, database in config.databases.items():
        yield from _database(config, name, database)
    yield from _targets(config)
    yield from _connections(config)
    yield from _ignored(config)
    yield from _routes(config)
    if config.health.serve.token is not None:
        yield from _secret(config.health.serve.token, ("health", "serve", "token"))
    yield from _health(config)


def _server(config: Config) -> Iterator[Found]:
    postgresql = config.postgresql
    if postgresql.version < 14:
        yield ("postgresql", "version"), "PostgreSQL 14 is the oldest that is supported"
    if postgresql.port is not None and not 1 <= postgresql.port <= 65535:
        yield ("postgresql", "port"), "must be from 1 to 65535"
    for name, host in config.hosts.items():
        if host.ssh is not None and not host.ssh.strip():
            yield ("hosts", name, "ssh"), "is empty; leave it out for this machine"
        if postgresql.source == "embedded" and host.ssh:
            yield ("hosts", name, "ssh"), 'a host over SSH needs postgresql.source = "packages"'
    primaries = [name for name, host in config.hosts.items() if host.role == "primary"]
    if config.hosts and len(primaries) != 1:
        yield ("hosts",), f"there must be exactly one primary, here are {len(primaries)}"


def _names(config: Config) -> Iterator[Found]:
    for kind, names in (("roles", config.roles), ("databases", config.databases)):
        for name in names:
            yield from ((((kind, name), reason)) for reason in _bad_name(name))
    for role in config.roles:
        if role.startswith(PREDEFINED) or role in (SUPERUSER, "public", "none"):
            yield ("roles", role), "this name belongs to PostgreSQL or to pgcohesion"


def _bad_name(name: str) -> Iterator[str]:
    if not name or "\0" in name:
        yield "a name must not be empty or hold a NUL"
    if len(name.encode()) > 63:
        yield "a name has at most 63 bytes (NAMEDATALEN)"


def _roles(config: Config) -> Iterator[Found]:
    for name, role in config.roles.items():
        if role.password is not None:
            yield from _secret(role.password, ("roles", name, "password"))
        for position, group in enumerate(role.member_of):
            yield from _role(config, group, ("roles", name, "member_of", str(position)))
    for name, host in config.hosts.items():
        if host.sudo_password is not None:
            yield from _secret(host.sudo_password, ("hosts", name, "sudo_password"))


def _secret(ref: SecretRef, key: Key) -> Iterator[Found]:
    if sum(value is not None for value in (ref.env, ref.file, ref.command)) != 1:
        yield key, "a secret is exactly one of { env = ... }, { file = ... }, { command = ... }"
    elif ref.generate and ref.file is None:
        yield (*key, "generate"), "only a { file = ... } can be generated"


def _role(config: Config, role: str | None, key: Key) -> Iterator[Found]:
    if role and role not in config.roles and role != SUPERUSER and not role.startswith(PREDEFINED):
        yield key, f"there is no role `{role}`; {suggestion(role, config.roles)}"


def _database(config: Config, name: str, database: Database) -> Iterator[Found]:
    key = ("databases", name)
    yield from _role(config, database.owner, (*key, "owner"))
    for schema, wanted in database.schemas.items():
        yield from _role(config, wanted.owner, (*key, "schemas", schema, "owner"))
    for position, grant in enumerate(database.grants):
        at = (*key, "grants", str(position))
        if grant.role != "public":
            yield from _role(config, grant.role, (*at, "role"))
        if grant.schema not in database.schemas and grant.schema != "public":
            reason = f"there is no schema `{grant.schema}`; {suggestion(grant.schema, database.schemas)}"
            yield (*at, "schema"), reason


def _targets(config: Config) -> Iterator[Found]:
    for section in ("application", "migrations"):
        target = getattr(config, section)
        yield from _role(config, target.role, (section, "role"))
        if target.database and target.database not in config.databases:
            known = suggestion(target.database, config.databases)
            yield (section, "database"), f"there is no database `{target.database}`; {known}"


def _connections(config: Config) -> Iterator[Found]:
    """Yield what would leave a pool without connections, or a call without time."""
    pool, breaker = config.connections, config.connections.breaker
    least: dict[Key, tuple[float, float]] = {
        ("max_size",): (pool.max_size, max(1, pool.min_size)),
        ("min_size",): (pool.min_size, 0),
        ("max_waiting",): (pool.max_waiting, 0),
        ("keepalive",): (pool.keepalive, 1),
        ("breaker", "failures"): (breaker.failures, 1),
        ("breaker", "window"): (breaker.window, 1),
    }
    for key, (value, limit) in least.items():
        if value < limit:
            yield ("connections", *key), f"must be at least {limit:g}"
    positive: dict[Key, float] = {
        ("connections", "timeout"): pool.timeout,
        ("connections", "connect_timeout"): pool.connect_timeout,
        ("connections", "backoff"): pool.backoff,
        ("connections", "breaker", "share"): breaker.share,
        ("connections", "breaker", "pause"): breaker.pause,
        ("monitoring", "interval"): config.monitoring.interval,
        ("monitoring", "timeout"): config.monitoring.timeout,
    }
    yield from ((key, "must be more than 0") for key, value in positive.items() if not value > 0)


def _ignored(config: Config) -> Iterator[Found]:
    for position, rule in enumerate(config.health.ignore):
        key = ("health", "ignore", str(position))
        if not rule.reason.strip():
            yield (*key, "reason"), "say why the finding is ignored"
        if rule.until:
            try:
                date.fromisoformat(rule.until)
            except ValueError:
                yield (*key, "until"), "must be a day, such as 2027-01-31"


def _health(config: Config) -> Iterator[Found]:
    for name, backups in config.health.backups.items():
        key = ("health", "backups", name)
        if backups.keep is not None and backups.keep < 1:
            yield (*key, "keep"), "must be at least 1"
        if (backups.engine == "files") != (backups.folder is not None):
            yield (*key, "folder"), 'goes with engine = "files", and only with it'
        elif backups.folder is not None and not backups.folder.startswith("/"):
            yield (*key, "folder"), "must be an absolute path"
        if backups.engine == "pgcohesion" and (backups.command or backups.stanza or backups.ssh):
            yield (*key, "engine"), "pgcohesion's own lie where [backup] says: no command, stanza or ssh"
    pooler = config.health.pooler
    if pooler is not None:
        if not 1 <= pooler.port <= 65535:
            yield ("health", "pooler", "port"), "must be from 1 to 65535"
        if pooler.password is not None:
            yield from _secret(pooler.password, ("health", "pooler", "password"))


def _routes(config: Config) -> Iterator[Found]:
    for name, route in config.health.alerts.routes.items():
        key = ("health", "alerts", "routes", name)
        ways = [way for way in (route.url, route.webhook, route.command) if way]
        for field in ("url", "webhook", "secret"):
            if getattr(route, field) is not None:
                yield from _secret(getattr(route, field), (*key, field))
        if len(ways) != 1:
            yield key, "needs exactly one of url, webhook and command"
        if route.secret and not route.webhook:
            yield (*key, "secret"), "signs what a webhook gets: there is none"
