"""What a reader of a report wants to know of the server besides its findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from ..errors import CohesionError
from ..redact import MASK, masked

if TYPE_CHECKING:
    from ..context import Context

SERVER = """SELECT current_setting('server_version') AS version, pg_is_in_recovery() AS standby,
 extract(epoch FROM pg_postmaster_start_time())::float AS started"""
SETTINGS = """SELECT name, current_setting(name, true) AS value, source FROM pg_settings
 WHERE source NOT IN ('default', 'override', 'client', 'session', 'interactive', 'test') ORDER BY name"""
DATABASES = """SELECT datname::text AS name, pg_database_size(oid) AS size FROM pg_database
 WHERE datname = ANY(%(names)s) AND has_database_privilege(oid, 'CONNECT') ORDER BY datname"""
SENSITIVE = ("primary_conninfo", "ssl_passphrase_command")


class Facts(Struct, frozen=True):
    """A server: *started* in epoch seconds, sizes in bytes, settings as (name, value, source); *trouble*: why none."""

    version: str = ""
    started: float = 0.0
    standby: bool = False
    databases: tuple[tuple[str, int], ...] = ()
    settings: tuple[tuple[str, str, str], ...] = ()
    trouble: str = ""


def read(ctx: Context) -> Facts:
    """Return the facts of the primary, in one trip; where it cannot be asked, why."""
    try:
        db = ctx.watched
        with db.within(ctx.config.health.timeout):
            rows = db.read(
                {"server": SERVER, "settings": SETTINGS, "databases": DATABASES},
                {"databases": {"names": list(ctx.config.databases) or [db.default]}},
                database=None if ctx.only_looked_at else "postgres",
            )
    except CohesionError as error:
        return Facts(trouble=f"{error.what}: {error.why}" if error.why else error.what)
    (server,) = rows["server"]
    return Facts(
        server.version,
        server.started,
        server.standby,
        tuple((row.name, row.size) for row in rows["databases"]),
        tuple((row.name, shown(row.name, row.value or ""), row.source) for row in rows["settings"]),
    )


def shown(name: str, value: str) -> str:
    """Return a setting's value without what may be a password in it."""
    return (MASK if value else "") if name in SENSITIVE else masked(value)
