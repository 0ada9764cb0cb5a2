"""PostgreSQL from a Debian host's packages, driven through its own tools (postgresql-common, systemd)."""

from __future__ import annotations

from threading import Lock

from ..config.model import PostgreSQL
from ..connections.relay import Relay
from ..errors import NotStarted, ServerDown
from ..runner import Runner
from .base import State

OS_USER = "postgres"
LOG_TAIL = """
tail -n 40 "$1" | grep -E 'FATAL|ERROR|HINT|DETAIL|could not' | tail -n 6
"""
STATE = """
[ -e "$1/postgresql.conf" ] || { echo absent; exit; }
systemctl is-active -q "$2" && echo running || echo stopped
"""


class Packaged:
    """A cluster of a Debian host: ``/etc/postgresql/<version>/<cluster>``."""

    user: str | None = OS_USER

    def __init__(self, runner: Runner, env: str, config: PostgreSQL) -> None:
        self.runner, self.env, self.config = runner, env, config
        self._relays: dict[bool, Relay] = {}
        self._opening = Lock()

    @property
    def unit(self) -> str:
        """The systemd unit."""
        return f"postgresql@{self.config.version}-{self.config.cluster}.service"

    @property
    def port(self) -> int:
        """The port as declared."""
        return self.config.port or 5432

    def folder(self) -> str:
        """Return Debian's folder of the configuration files."""
        return f"/etc/postgresql/{self.config.version}/{self.config.cluster}"

    def data_folder(self) -> str:
        """Return Debian's data folder."""
        return f"/var/lib/postgresql/{self.config.version}/{self.config.cluster}"

    def configuration_test(self) -> list[str]:
        """Return the command that parses the configuration files."""
        return [
            self.tool("postgres"),
            "-D",
            self.data_folder(),
            "-c",
            f"config_file={self.folder()}/postgresql.conf",
            "-C",
            "data_directory",
        ]

    def tool(self, name: str) -> str:
        """Return the path of a program of this version on the host."""
        return f"/usr/lib/postgresql/{self.config.version}/bin/{name}"

    def tool_environment(self) -> dict[str, str]:
        """Return libpq's variables for user `postgres` of the host (peer authentication)."""
        return {"PGHOST": "/var/run/postgresql", "PGPORT": str(self.port), "PGUSER": OS_USER}

    def state(self) -> State:
        """Ask the host."""
        done = self.runner.run(("sh", "-c", STATE, "state", self.folder(), self.unit), user="root")
        return State(done.stdout.strip())

    def down_there(self, login: str, *, absent: bool) -> ServerDown:
        """Return the error of a replica that does not run; db.setup and db.start are for the primary."""
        name, cluster = self.runner.name, f"{self.config.version}/{self.config.cluster}"
        if absent:
            why, fix = f"it has no cluster {cluster}", f"-- on {name}: make it a standby of the primary (pg_basebackup)"
        else:
            why, fix = "it is stopped", f"{login} sudo systemctl start {self.unit}".strip()
        return ServerDown(f"PostgreSQL on `{name}` is not running", why=why, fix=fix)

    def _systemctl(self, verb: str) -> None:
        done = self.runner.run(("systemctl", verb, self.unit), user="root", check=False)
        if done.status:
            log = self.runner.run(("sh", "-c", LOG_TAIL, "log", log_file(self.config)), user="root", check=False)
            raise NotStarted(
                f"PostgreSQL on `{self.runner.name}` did not {verb}",
                why=log.stdout.strip() or done.stderr.strip(),
                fix=f"on {self.runner.name}: journalctl -u {self.unit}",
            )

    def start(self) -> None:
        """Start the unit."""
        self._systemctl("start")

    def stop(self) -> None:
        """Stop the unit."""
        self._systemctl("stop")

    def restart(self) -> None:
        """Restart the unit."""
        self._systemctl("restart")

    def reload(self) -> None:
        """Reload the unit."""
        self._systemctl("reload")

    def parameters(self) -> dict[str, str]:
        """Return parameters that lead, through a relay, to the host's socket as its user `postgres`."""
        relay = self._relay(tcp=False)
        return {"host": relay.host, "port": str(relay.port), "user": OS_USER, "connect_timeout": "30"}

    def address(self) -> tuple[str, int]:
        """Return a loopback port of this machine that leads to the server's own."""
        relay = self._relay(tcp=True)
        return relay.host, relay.port

    def _relay(self, *, tcp: bool) -> Relay:
        with self._opening:
            if tcp not in self._relays:
                target = f"127.0.0.1:{self.port}" if tcp else f"/var/run/postgresql/.s.PGSQL.{self.port}"
                self._relays[tcp] = Relay(self.runner, target, user=None if tcp else OS_USER, tcp=tcp)
            return self._relays[tcp]

    def complaint(self) -> str:
        """Return what a relay's end on the host said last."""
        return next((relay.complaint for relay in self._relays.values() if relay.complaint), "")

    def close(self) -> None:
        """Close the relays."""
        for relay in self._relays.values():
            relay.close()
        self._relays.clear()


def log_file(config: PostgreSQL) -> str:
    """Return the file to which Debian's start script leads the server's log."""
    return f"/var/log/postgresql/postgresql-{config.version}-{config.cluster}.log"


def down(env: str, why: str) -> ServerDown:
    """Return the error of a server that is not running."""
    return ServerDown(f"PostgreSQL of `{env}` is not running", why=why, fix=f"inv db.start --env={env}")
