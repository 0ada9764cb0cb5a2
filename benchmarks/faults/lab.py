"""The lab: a primary and a streaming standby of PostgreSQL 18, and everything that can go wrong with them."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from tests.lab.machine import LabError, wait_for

from . import network
from .server import DATABASE, PASSWORD, PORT, USER, Server

__all__ = ["DATABASE", "PASSWORD", "PORT", "USER", "Lab", "LabError", "Server", "leftovers", "missing", "wait_for"]

missing = network.missing
_HOMES = Path("/var/tmp")
_SCHEMA = f"""
CREATE TABLE counters (key int PRIMARY KEY, n bigint NOT NULL);
INSERT INTO counters SELECT key, 0 FROM generate_series(0, 15) AS key;
CREATE TABLE written (id bigint NOT NULL);
CREATE TABLE own (key int PRIMARY KEY, value bigint NOT NULL);
INSERT INTO own SELECT key, 0 FROM generate_series(0, 63) AS key;
ALTER TABLE counters OWNER TO {USER};
ALTER TABLE written OWNER TO {USER};
ALTER TABLE own OWNER TO {USER};
"""


def leftovers() -> list[str]:
    """What exists of a lab: namespaces, devices, folders."""
    return [*network.spaces(), *network.devices(), *map(str, _HOMES.glob(f"{network.PREFIX}*"))]


class Lab:
    """Two servers on a private network. Use it as a context manager: it sweeps what an earlier one left behind.

    Raises LabError when the machine lacks something, or when another process has the lab.
    """

    primary: Server
    standby: Server

    def __enter__(self) -> Self:
        if lacks := missing():
            raise LabError(f"the fault lab needs {', '.join(lacks)}")
        self._held = ExitStack()
        try:
            self._held.enter_context(network.lock())
            self._held.callback(_sweep)
            _sweep()
            self._up()
        except BaseException:
            self._held.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for server in (self.primary, self.standby):
                server.kill()
        finally:
            self._held.close()

    def _up(self) -> None:
        home = Path(tempfile.mkdtemp(prefix=network.PREFIX, dir=_HOMES))
        home.chmod(0o755)
        self.primary = Server("a", f"{network.NET}.11", home)
        self.standby = Server("b", f"{network.NET}.12", home)
        network.up()
        network.join({server.space: server.address for server in (self.primary, self.standby)})
        self.primary.create()
        self.primary.admin(_SCHEMA)
        self.rejoin()

    def hosts(self) -> list[tuple[str, int]]:
        """The servers' addresses as an application would list them; the present primary first."""
        return [(self.primary.address, PORT), (self.standby.address, PORT)]

    def rejoin(self) -> None:
        """Make the standby anew by a base backup and wait until it streams."""
        self.standby.copy(self.primary)
        self.settle()

    def settle(self) -> None:
        """Wait until the standby has replayed all that the primary wrote."""
        query = "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_lsn()"
        wait_for(lambda: self.primary.admin(query) == [(1,)], 30, "a standby that has caught up")

    def promote(self) -> None:
        """Promote the standby; the two change their roles here. The old primary is left as it is."""
        self.standby.promote()
        self.primary, self.standby = self.standby, self.primary

    def repair(self) -> None:
        """Bring a lab with a live primary and whatever else back to a primary with a streaming standby."""
        for server in (self.primary, self.standby):
            self.heal(server)
        self.rejoin()

    def terminate(self) -> None:
        """Terminate every backend of the application on the primary."""
        self.primary.admin(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{USER}'")

    def read_only(self, server: Server) -> None:
        """Make new and running sessions of a server refuse writes; connections stay open."""
        server.admin("ALTER SYSTEM SET default_transaction_read_only = on")
        server.admin("SELECT pg_reload_conf()")

    def synchronous(self, *, on: bool) -> None:
        """Let commits on the primary wait for the standby, or not."""
        self.primary.admin(f"ALTER SYSTEM SET synchronous_standby_names = '{'*' if on else ''}'")
        self.primary.admin("SELECT pg_reload_conf()")

    def black_hole(self, server: Server) -> None:
        """Drop every frame to and from a server, silently."""
        network.frames(server.space, flow=False)

    def heal(self, server: Server) -> None:
        """Let its frames flow again."""
        network.frames(server.space, flow=True)


def _sweep() -> None:
    network.sweep()
    for folder in _HOMES.glob(f"{network.PREFIX}*"):
        shutil.rmtree(folder, ignore_errors=True)
