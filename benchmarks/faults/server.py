"""One PostgreSQL of the lab: a data folder, a namespace, and what can be done to both."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.support import REPO
from pgcohesion.server.binaries import account, bin_folder
from tests.lab.machine import LabError, children, run, wait_for

from . import network

PORT = 5432
DATABASE, USER, PASSWORD = "bench", "app", "s3cret"
SLOT = "standby"
_ADMIN_SECONDS = 20

# fsync is off: a killed server loses nothing that the kernel has, and the machine itself stays up.
_SETTINGS = f"""
listen_addresses = '*'
port = {PORT}
unix_socket_permissions = 0700
shared_buffers = 32MB
max_connections = 100
fsync = off
wal_retrieve_retry_interval = 200ms
wal_keep_size = 64MB
log_min_messages = warning
"""
_HBA = f"""
local all all trust
host all all {network.NET}.0/24 scram-sha-256
host replication all {network.NET}.0/24 scram-sha-256
"""


class Server:
    """A server in its own network namespace, run as an unprivileged user. Its socket works when it is cut off."""

    def __init__(self, name: str, address: str, home: Path) -> None:
        self.name, self.address = name, address
        self.space = f"{network.PREFIX}{name}"
        self.home, self.data = home / name, home / name / "data"
        self.account = account(REPO)
        self.bin = bin_folder(None, self.account)
        self._process: subprocess.Popen[bytes] | None = None

    # Making it

    def create(self) -> None:
        """initdb, with the lab's settings, role and database. Leaves it running."""
        self._folder()
        secret = self.home / "password"
        secret.write_text(PASSWORD)
        self.account.give(secret)
        flags = ["--no-sync", "--no-instructions", "-A", "scram-sha-256", "--locale=C", "--encoding=UTF8"]
        self._tool("initdb", "-D", self.data, "-U", "postgres", f"--pwfile={secret}", *flags)
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(_SETTINGS)
        (self.data / "pg_hba.conf").write_text(_HBA)
        self.start()
        self.admin(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'", database="postgres")
        self.admin(f"CREATE DATABASE {DATABASE} OWNER {USER}", database="postgres")

    def copy(self, primary: Server) -> None:
        """Become a streaming standby of `primary` by a fresh base backup, with a slot. Leaves it running."""
        self.destroy()
        self._folder()
        primary.admin("SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots WHERE active")
        primary.admin(f"SELECT pg_drop_replication_slot('{SLOT}') FROM pg_replication_slots WHERE slot_name = '{SLOT}'")
        source = f"host={primary.address} port={PORT} user=postgres password={PASSWORD} connect_timeout=5"
        flags = ["-R", "-C", "-S", SLOT, "-X", "stream", "-c", "fast", "--no-sync"]
        self._tool("pg_basebackup", "-D", self.data, "-d", source, *flags)
        self.start()

    def _folder(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o700)
        self.account.give(self.home)

    def destroy(self) -> None:
        """Kill it and delete its data."""
        self.kill()
        shutil.rmtree(self.home, ignore_errors=True)

    # Its life

    @property
    def running(self) -> bool:
        """Whether the postmaster lives."""
        return self._process is not None and self._process.poll() is None

    def start(self, recovery: float = 0) -> None:
        """Start it and wait until it accepts connections (a standby: reads). Raises LabError with its log's end.

        `recovery` s: hold its startup process so long; the port answers 57P03 meanwhile, as in a long crash recovery.
        """
        log = self.home / "log"
        with log.open("ab") as out:
            command = [*self._inside(), str(self.bin / "postgres"), "-D", str(self.data), "-k", str(self.home)]
            # A session of its own: Ctrl-C is for the benchmark, which ends it.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/", start_new_session=True
            )
        if recovery:
            self._hold_recovery(recovery)
        end = time.monotonic() + 30
        while not self._ready():
            if not self.running or time.monotonic() > end:
                raise LabError(f"server {self.name} does not start: {log.read_text()[-1500:]}")
            time.sleep(0.01)

    def _hold_recovery(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for pid in children(self._pid()):
                if b"startup" in _command(pid):
                    _signal(pid, signal.SIGSTOP)
                    time.sleep(end - time.monotonic())
                    _signal(pid, signal.SIGCONT)
                    return
        raise LabError(f"server {self.name} has recovered before it could be held")

    def _ready(self) -> bool:
        try:
            words = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(words) > 7 and int(words[0]) == self._pid() and words[7].strip() == "ready"

    def stop(self, mode: str = "fast") -> None:
        """Stop it (`smart`, `fast` or `immediate`) and wait until it is gone."""
        if self._process is None:
            return
        signals = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
        self._process.send_signal(signals[mode])
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            raise LabError(f"server {self.name} does not stop") from None

    def kill(self) -> None:
        """SIGKILL the postmaster and all its children; wait until they are gone."""
        if self._process is None:
            return
        self.freeze()  # nobody has time to notice the others' death and to say goodbye
        family = self._family()
        for pid in family:
            _signal(pid, signal.SIGKILL)
        self._process.wait(10)
        wait_for(lambda: not any(_alive(pid) for pid in family), 10, f"the end of server {self.name}")

    def freeze(self) -> None:
        """SIGSTOP the whole process tree: the kernel still acknowledges what is sent to it."""
        for pid in self._family():  # the postmaster first, so that it forks no more
            _signal(pid, signal.SIGSTOP)
        for pid in self._family():
            _signal(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT the whole process tree."""
        for pid in reversed(self._family()):
            _signal(pid, signal.SIGCONT)

    def promote(self) -> None:
        """Promote it and wait until it takes writes. Raises LabError when it does not."""
        if self.admin("SELECT pg_promote(true, 15)", database="postgres") != [(True,)]:
            raise LabError(f"server {self.name} is not promoted after 15 s")

    # Talking to it

    def admin(self, query: str, *, database: str = DATABASE) -> list[tuple[Any, ...]]:
        """Run one statement as the superuser over the unix socket; the rows, or none."""
        where = {"host": str(self.home), "port": PORT, "user": "postgres", "dbname": database, "connect_timeout": 5}
        with psycopg.connect(autocommit=True, **where) as connection:  # type: ignore[arg-type]
            connection.execute(f"SET statement_timeout = '{_ADMIN_SECONDS}s'")
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

    def _pid(self) -> int:
        return self._process.pid if self._process else 0

    def _family(self) -> list[int]:
        return [self._pid(), *children(self._pid())] if self.running else []

    def _inside(self) -> list[str]:
        """The words that run a program in the namespace as the server's user; they become it, so there is one pid."""
        enter = [str(network.tool_path("nsenter")), f"--net=/run/netns/{self.space}"]
        if not self.account.name:
            return enter
        become = [str(network.tool_path("setpriv")), f"--reuid={self.account.name}", "--clear-groups"]
        return [*enter, *become, f"--regid={self.account.ids['group']}"]

    def _tool(self, name: str, *words: str | Path) -> None:
        run(*self._inside(), "env", "-C", "/", self.bin / name, *words)


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"
