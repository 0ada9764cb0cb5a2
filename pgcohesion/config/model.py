"""What an environment's file may say, as frozen types; the field's docs are in README, "The environment file"."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field

Scalar = bool | int | float | str

FEATURES = {
    "circuit_breaker": True,
    "health_monitor": True,
    "opentelemetry": False,
    "query_statistics": True,
    "read_replicas": False,
    "retry": True,
}
"""Flags that pgcohesion itself looks at, and what they are when an environment does not say; others are yours."""


class SecretRef(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a secret's value is: exactly one of *env*, *file* or *command* (never the value itself).

    *generate*: make the file, with a random value, when it is missing (development and test).
    """

    env: str | None = None
    file: str | None = None
    command: str | None = None
    generate: bool = False

    def __str__(self) -> str:
        source = next((n for n in ("env", "file", "command") if getattr(self, n) is not None), "env")
        return f"{{ {source} = {getattr(self, source)!r} }}"


class PostgreSQL(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[postgresql]``: which server, and where from."""

    version: int = 18
    source: Literal["embedded", "packages"] = "embedded"
    bin: str | None = None
    cluster: str = "main"
    port: int | None = None
    listen_addresses: str = "localhost"
    locale: str = "C.UTF-8"
    data_checksums: bool = True


class Host(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[hosts.NAME]``: a machine; without *ssh*, this one."""

    ssh: str | None = None
    via: str | None = None
    role: Literal["primary", "replica"] = "primary"
    sudo_password: SecretRef | None = None

    @property
    def login(self) -> str:
        """What a person types to get there; empty for this machine."""
        if self.ssh is None:
            return ""
        place = f"ssh://{self.ssh}" if self.ssh.rpartition(":")[2].isdigit() else self.ssh
        return f"ssh -J {self.via} {place}" if self.via else f"ssh {place}"


class Ssh(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[ssh]``: how hosts are reached. *connect_timeout* and *keepalive* in seconds."""

    config: str | None = None
    known_hosts: str | None = None
    connect_timeout: float = 10
    keepalive: int = 5


class HbaRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[hba]]``: a line of pg_hba.conf."""

    type: Literal["local", "host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc"] = "host"
    database: str = "all"
    user: str = "all"
    address: str | None = None
    method: str = "scram-sha-256"


class Role(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[roles.NAME]``: a database role, as CREATE ROLE has it."""

    login: bool = False
    superuser: bool = False
    createdb: bool = False
    createrole: bool = False
    replication: bool = False
    bypassrls: bool = False
    inherit: bool = True
    connection_limit: int = -1
    password: SecretRef | None = None
    member_of: list[str] = []
    settings: dict[str, Scalar] = {}


class Schema(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[databases.NAME.schemas.SCHEMA]``."""

    owner: str | None = None


class Grant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[databases.NAME.grants]]``: what a role may do in a schema, now and with what is made there later."""

    role: str
    schema: str
    tables: list[Literal["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"]] = []
    sequences: list[Literal["USAGE", "SELECT", "UPDATE"]] = []
    functions: list[Literal["EXECUTE"]] = []
    create: bool = False


class Database(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[databases.NAME]``."""

    owner: str | None = None
    extensions: list[str] = []
    schemas: dict[str, Schema] = {}
    grants: list[Grant] = []
    settings: dict[str, Scalar] = {}
    connection_limit: int = -1
    public_connect: bool = False


class Application(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[application]``: what programs connect to, and their *name* in pg_stat_activity.

    *host* and *port* as programs see them, and *replicas* (``host`` or ``host:port``) that they may read from.
    """

    name: str | None = None
    database: str | None = None
    role: str | None = None
    host: str | None = None
    port: int | None = None
    replicas: list[str] = []


class Breaker(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[connections.breaker]``: when a host is left alone.

    *failures* in a row, or a *share* of the last *window* calls, open it; calls over *slow* seconds count. It is probed
    after *pause* seconds (up to eight times that), once at a time; a probe without an answer for *probe_timeout* is
    given up. While an outage is younger than *patience*, calls wait for its end; then they are refused at once.
    """

    failures: int = 3
    window: int = 20
    share: float = 0.5
    slow: float = 10
    pause: float = 0.1
    probe_timeout: float = 5
    patience: float = 30


class Replicas(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[connections.replicas]``: which replica may answer a read.

    *max_lag* in seconds behind the primary; *wait* is how long a read waits for its session's own writes to arrive
    before it goes to the primary.
    """

    max_lag: float = 10
    wait: float = 0.05


class Connections(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[connections]``: an application's pool, for each host. All times in seconds.

    *timeout* covers a whole call: waiting, connecting, trying again, the query. *pooler*: ``transaction`` behind
    PgBouncer's transaction mode: nothing is then kept in a session. *leak_after*: a connection that is out for longer
    is reported.
    """

    min_size: int = 0
    max_size: int = 10
    max_waiting: int = 200
    timeout: float = 30
    connect_timeout: float = 3
    keepalive: int = 5
    max_idle: float = 600
    max_lifetime: float = 3600
    leak_after: float = 60
    backoff: float = 0.02
    max_backoff: float = 0.2
    pooler: Literal["none", "transaction"] = "none"
    prepare_threshold: int | None = 5
    breaker: Breaker = field(default_factory=Breaker)
    replicas: Replicas = field(default_factory=Replicas)


class Monitoring(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[monitoring]``: what watches an application's databases.

    *interval* seconds between two looks at a host, each at most *timeout* long; queries over *slow_query* seconds are
    reported; *queries* different texts are counted. *checks*: seconds between two runs of the health checks in the
    background (0: none).
    """

    checks: float = 0
    interval: float = 1
    timeout: float = 1
    slow_query: float = 1
    queries: int = 200


class Migrations(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[migrations]``: plain SQL files, the database they go to and the role that owns what they make."""

    folder: str = "migrations"
    database: str | None = None
    role: str | None = None
    search_path: str = "public"
    lock_timeout: float = 5


class Seeds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[seeds]``: the sub-folders of *folder* that this environment loads, in order."""

    folder: str = "seeds"
    sets: list[str] = []


class Backup(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[backup]``: where backups lie (on the primary; default: the state folder, or /var/backups/pgcohesion)."""

    folder: str | None = None
    jobs: int = 2


class ObjectLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[health.limits.CHECK.objects.NAME]``."""

    warn: float | None = None
    fail: float | None = None


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[health.limits.CHECK]``: thresholds, and those of single objects."""

    warn: float | None = None
    fail: float | None = None
    objects: dict[str, ObjectLimits] = {}


class Ignore(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[health.ignore]]``: a finding to live with, of one *object* or of all, *until* a day (YYYY-MM-DD)."""

    check: str
    reason: str
    object: str = ""
    until: str = ""


class CustomCheck(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[health.checks.NAME]``, or a table in ``checks/*.toml``: a check of the team's own.

    *sql* returns ``value`` and, where there are several, ``object``. *text* and *fix* may name columns in braces.
    *below*: low values are the bad ones. *examples* are rows with the ``grade`` that they must get, for
    ``inv health.selftest``.
    """

    sql: str
    title: str = ""
    why: str = ""
    warn: float | None = None
    fail: float | None = None
    full: float | None = None
    below: bool = False
    text: str = ""
    fix: str = ""
    scope: Literal["cluster", "database"] = "cluster"
    cost: Literal["quick", "standard", "deep"] = "standard"
    min_version: int = 14
    counters: list[str] = []
    key: str = ""
    examples: list[dict[str, Any]] = []


class Serve(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[health.serve]``: *token* is what readers must show (Bearer, or the password of Basic).

    Without one, only this machine is served.
    """

    token: SecretRef | None = None


class Route(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[health.alerts.routes.NAME]``: one of *url* (Apprise's: mail, Slack, PagerDuty ...), *webhook* and *command*.

    *secret* signs what a webhook gets. Findings below *least*, or of other checks and areas than *only*, are not for
    this route. *timeout* in seconds.
    """

    url: SecretRef | None = None
    webhook: SecretRef | None = None
    secret: SecretRef | None = None
    command: list[str] = []
    least: Literal["warn", "fail"] = "warn"
    only: list[str] = []
    timeout: float = 10


class Alerts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[health.alerts]``: a finding is told once it has lasted for *lasting*, again each *repeat* (0: never).

    It is over when it has been gone for *recover_after*. All in seconds. In the hours of *quiet*, such as
    ``22:00-07:00 Europe/Berlin``, warnings wait. *heartbeat* is a URL to call after each run that went well.
    """

    lasting: float = 120
    recover_after: float = 120
    repeat: float = 4 * 3600
    quiet: str = ""
    profile: Literal["quick", "standard", "deep"] = "standard"
    heartbeat: SecretRef | None = None
    routes: dict[str, Route] = {}


class Heal(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[health.heal]``: what ``inv health.heal --apply`` may do by itself.

    *allow* names the remedies beside ANALYZE. *idle_age* in seconds, *largest* in bytes. *spare* are applications whose
    sessions are never ended; *prepared* and *slots* patterns of what may be given up. *window* are the hours of heavy
    work, such as ``Sun 02:00-05:00 Europe/Berlin``.
    """

    enabled: bool = True
    allow: list[str] = []
    per_run: int = 3
    per_hour: int = 10
    idle_age: float = 300
    largest: float = 10 * 1024**3
    spare: list[str] = []
    prepared: list[str] = []
    slots: list[str] = []
    window: str = ""


class Backups(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[health.backups.NAME]``: whose backups are judged. *stanza*: pgBackRest's, or Barman's server (default: NAME).

    *command* is the engine with its options; it runs as *user* on the primary, or where *ssh* leads. *keep*: how many
    full backups are wanted at the least. *verified* is a file that a restore test touches. Engine ``files``: whatever
    lies in *folder* and is called like *pattern*, each file or folder a backup.
    """

    engine: Literal["pgbackrest", "barman", "wal-g", "pgcohesion", "files"]
    folder: str | None = None
    pattern: str = "*"
    stanza: str | None = None
    command: list[str] = []
    user: str | None = None
    ssh: str | None = None
    keep: int | None = None
    verified: str | None = None


class Pooler(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[health.pooler]``: PgBouncer's console, as a *user* of its ``stats_users`` or ``admin_users``.

    Without *host*: on the primary itself, reached through its shell.
    """

    host: str | None = None
    port: int = 6432
    user: str = "pgbouncer"
    password: SecretRef | None = None
    sslmode: str = "prefer"


class Health(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[health]``. *timeout* in seconds, for a whole run; a statement gets half of it.

    *databases* are those whose objects are looked at (empty: all of the server). Counters are judged by what they gain
    in *window* seconds. *role* is who the checks are run as (``inv health.grant`` makes it); *url* leads to a server
    that is not ours to manage.
    """

    role: str = ""
    url: SecretRef | None = None
    checks: dict[str, CustomCheck] = {}

    databases: list[str] = []
    window: float = 3600
    disabled: list[str] = []
    limits: dict[str, Limits] = {}
    ignore: list[Ignore] = []
    backups: dict[str, Backups] = {}
    pooler: Pooler | None = None
    timeout: float = 10
    serve: Serve = field(default_factory=Serve)
    heal: Heal = field(default_factory=Heal)
    alerts: Alerts = field(default_factory=Alerts)


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole environment."""

    extends: str | None = None
    description: str = ""
    protected: bool = False
    postgresql: PostgreSQL = field(default_factory=PostgreSQL)
    hosts: dict[str, Host] = {}
    ssh: Ssh = field(default_factory=Ssh)
    settings: dict[str, Scalar] = {}
    hba: list[HbaRule] = []
    roles: dict[str, Role] = {}
    databases: dict[str, Database] = {}
    application: Application = field(default_factory=Application)
    connections: Connections = field(default_factory=Connections)
    monitoring: Monitoring = field(default_factory=Monitoring)
    migrations: Migrations = field(default_factory=Migrations)
    seeds: Seeds = field(default_factory=Seeds)
    backup: Backup = field(default_factory=Backup)
    health: Health = field(default_factory=Health)
    features: dict[str, bool] = {}

    @property
    def primary(self) -> tuple[str, Host]:
        """The name and host of the primary."""
        return next(((n, h) for n, h in self.hosts.items() if h.role == "primary"), ("localhost", Host()))

    def feature(self, name: str) -> bool:
        """Return whether a feature flag is on; one that nobody has set is off, or as FEATURES says."""
        return self.features.get(name, FEATURES.get(name, False))

    @property
    def main_database(self) -> str:
        """The database that tasks work on by default."""
        return self.application.database or self.migrations.database or next(iter(self.databases), "postgres")
