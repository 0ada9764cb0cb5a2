"""The embedded PostgreSQL of a laptop: our own life cycle around its programs.

Everything lies in the state folder ``.pgcohesion/<env>/``, or, when root's clone is closed to the user that
the server runs as, below /var/lib/pgcohesion. A data folder is made aside and renamed when it is whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from ..config.model import PostgreSQL
from ..config.secrets import generate
from ..errors import CommandFailed, ConfigError, NotStarted
from ..redact import Secret
from . import binaries
from .base import State

SUPERUSER = "postgres"
UP = ("ready", "standby")  # the latter: it recovers, and lets nobody in (pg_ctl takes both as started)
START_ATTEMPTS = 3
SOCKET_LIMIT = 90  # bytes of a socket's folder: sun_path has 104 or 108, `/.s.PGSQL.65535.lock` takes 20


class Embedded:
    """A cluster on this machine. *state* is the environment's state folder, *root* the repo."""

    def __init__(self, root: Path, env: str, state: Path, config: PostgreSQL) -> None:
        self.root, self.env, self.config = root, env, config
        self.state_folder = state
        closed = _closed_home(root, env)
        self.account = binaries.account(state / "data", closed / "data", root)
        self.user = self.account.name
        self.home = self._home(state, closed)
        self.data = self.home / "data"

    def _home(self, state: Path, closed: Path) -> Path:
        if self.user is None:
            return state
        for home in (state, closed):
            if (home / "data").exists():
                return home
        return state if self.account.may_enter(_existing(state)) else closed

    # --- where things are ------------------------------------------------------------------------------

    def folder(self) -> str:
        """Return the data folder: the configuration files lie in it."""
        return str(self.data)

    def data_folder(self) -> str:
        """Return the folder of the data."""
        return str(self.data)

    def configuration_test(self) -> list[str]:
        """Return the command that parses the configuration files."""
        return [self.tool("postgres"), "-D", str(self.data), "-C", "data_directory"]

    def tool(self, name: str) -> str:
        """Return the path of a program."""
        return str(binaries.bin_folder(self.config.bin, self.account) / name)

    @property
    def socket_folder(self) -> Path:
        """The folder of the unix socket; in /tmp when the path would be too long for one."""
        folder = self.home / "run"
        if len(os.fsencode(folder)) <= SOCKET_LIMIT:
            return folder
        name = hashlib.sha256(str(self.home).encode()).hexdigest()[:12]
        return Path("/tmp") / f"pgcohesion-{os.geteuid()}-{name}"  # noqa: S108  (0700, and its owner is checked)

    @property
    def log_file(self) -> Path:
        """What the server writes."""
        return self.home / "server.log"

    # --- facts -----------------------------------------------------------------------------------------

    def state(self) -> State:
        """Return whether the cluster exists and runs. Raises ConfigError for one of another major version."""
        try:
            version = (self.data / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            return State.ABSENT
        except PermissionError as error:
            raise ConfigError(
                f"the data folder of `{self.env}` is closed to us", why=str(error), fix="run as the user that made it"
            ) from error
        if version != str(self.config.version):
            raise ConfigError(
                f"the data folder of `{self.env}` is from PostgreSQL {version},"
                f" the environment says {self.config.version}",
                why=f"{self.data} cannot be opened by another major version",
                fix=f"inv db.reset --env={self.env} rebuilds it from nothing"
                f"\nor set postgresql.version = {version} with its postgresql.bin, and keep the data",
            )
        return State.RUNNING if self._pid() else State.STOPPED

    def _pid(self) -> int | None:
        """Return the postmaster's process id, or None. A pid file of a process that is not ours is stale."""
        try:
            words = (self.data / "postmaster.pid").read_text().splitlines()
            pid = int(words[0])
        except (FileNotFoundError, ValueError, IndexError):
            return None
        return pid if _is_postmaster(pid, self.data) else None

    def _ready(self) -> bool:
        with contextlib.suppress(FileNotFoundError, IndexError):
            words = (self.data / "postmaster.pid").read_text().splitlines()
            return words[7].strip() in UP and bool(self._pid())
        return False

    @property
    def port(self) -> int:
        """The port that was chosen; 0 before there is one."""
        if self.config.port:
            return self.config.port
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int((self.home / "port").read_text())
        return 0

    def parameters(self) -> dict[str, str]:
        """Return libpq's parameters for the superuser, over the unix socket."""
        password = self.password()
        return {
            "host": str(self.socket_folder),
            "port": str(self.port),
            "user": SUPERUSER,
            "password": password.reveal(),
        }

    def address(self) -> tuple[str, int]:
        """Return loopback and the port."""
        return "localhost", self.port

    def tool_environment(self) -> dict[str, str]:
        """Return libpq's variables for the superuser; the password lies in a file."""
        return {
            "PGHOST": str(self.socket_folder),
            "PGPORT": str(self.port),
            "PGUSER": SUPERUSER,
            "PGPASSFILE": str(self._passfile()),
        }

    def password(self) -> Secret:
        """Return the superuser's password, made when there is none."""
        return generate(self.state_folder / "superuser.password")

    def _passfile(self) -> Path:
        path = self.state_folder / "superuser.pgpass"
        escaped = self.password().reveal().replace("\\", "\\\\").replace(":", "\\:")
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(f"*:*:*:{SUPERUSER}:{escaped}\n")
        return path

    # --- life cycle ------------------------------------------------------------------------------------

    def create(self) -> None:
        """Make the cluster: initdb with scram, checksums and a locale that is the same everywhere.

        Raises CommandFailed (disk full, folder not writable) and leaves nothing half done.
        """
        if self.state() is not State.ABSENT:
            return
        self._prepare(self.home)
        for left in self.home.glob("data.partial-*"):  # an initdb whose maker was killed may still write to it
            shutil.rmtree(left, ignore_errors=True)
        aside = self.home / f"data.partial-{os.getpid()}"
        password = self._password_file()
        try:
            self._run(self._initdb(aside, password), "initdb")
            aside.replace(self.data)
        finally:
            password.unlink(missing_ok=True)
            if aside.exists():
                shutil.rmtree(aside, ignore_errors=True)

    def _initdb(self, folder: Path, password: Path) -> list[str]:
        locale = ["--locale-provider=builtin", f"--builtin-locale={self.config.locale}", "--locale=C"]
        if self.config.version < 17 or self.config.locale not in ("C", "C.UTF-8", "PG_UNICODE_FAST"):
            locale = [f"--locale={self.config.locale}"]
        checksums = (
            ["--data-checksums"]
            if self.config.data_checksums
            else (["--no-data-checksums"] if self.config.version >= 18 else [])
        )
        return [
            self.tool("initdb"),
            f"--pgdata={folder}",
            f"--username={SUPERUSER}",
            f"--pwfile={password}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            *locale,
            *checksums,
            "--no-instructions",
        ]

    def _password_file(self) -> Path:
        path = self.home / ".password"
        path.unlink(missing_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(self.password().reveal() + "\n")
        self.account.give(path)
        return path

    def start(self) -> None:
        """Start the server and wait until it accepts connections.

        Raises NotStarted with the end of the server's log when it does not start.
        """
        if self.state() is State.ABSENT:
            raise ConfigError(f"`{self.env}` has no database yet", fix=f"inv db.setup --env={self.env}")
        for attempt in range(START_ATTEMPTS):
            if self._pid():
                self._wait(None, 0)
                return
            (self.data / "postmaster.pid").unlink(missing_ok=True)  # of a server that was killed
            self._choose_port(again=attempt > 0)
            try:
                self._launch()
            except NotStarted as error:
                if "already in use" not in error.why or self.config.port or attempt == START_ATTEMPTS - 1:
                    raise
            else:
                return

    def _launch(self) -> None:
        self._prepare(self.socket_folder, mode=0o700)
        if self.log_file.exists() and self.log_file.stat().st_size > 10_000_000:
            self.log_file.replace(self.log_file.with_suffix(".log.old"))
        with self.log_file.open("ab") as log:
            self.account.give(self.log_file)
            offset = log.tell()
            process = subprocess.Popen(
                [
                    self.tool("postgres"),
                    "-D",
                    str(self.data),
                    "-p",
                    str(self.port),
                    "-c",
                    f"unix_socket_directories={self.socket_folder}",
                    "-c",
                    "unix_socket_permissions=0700",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
                **self.account.ids,  # type: ignore[call-overload]
            )
        self._wait(process, offset)
        process.returncode = 0  # it outlives us: without this, Popen warns that it still runs

    def _wait(self, process: subprocess.Popen[bytes] | None, offset: int) -> None:
        pause = 0.002
        while not self._ready():
            if process.poll() is not None if process else not self._pid():
                raise self._not_started(offset)
            time.sleep(pause)
            pause = min(pause * 1.5, 0.05)

    def _not_started(self, offset: int) -> NotStarted:
        with self.log_file.open("rb") as log:
            log.seek(offset)
            text = log.read().decode("utf-8", "replace").strip()
        lines = [
            line
            for line in text.splitlines()
            if "FATAL" in line or "HINT" in line or "ERROR" in line or "could not" in line
        ] or text.splitlines()[-5:]
        return NotStarted(
            f"PostgreSQL of `{self.env}` does not start",
            why="\n".join(lines) or "it said nothing",
            fix=f"mend that, then inv db.start --env={self.env}; the whole log: {self.log_file}",
        )

    def stop(self) -> None:
        """Stop the server and wait until it is gone."""
        pid = self._pid()
        if pid is None:
            return
        os.kill(pid, signal.SIGINT)
        pause = 0.002
        while _is_postmaster(pid, self.data):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            time.sleep(pause)
            pause = min(pause * 1.5, 0.05)

    def restart(self) -> None:
        """Stop and start it."""
        self.stop()
        self.start()

    def reload(self) -> None:
        """Send SIGHUP."""
        pid = self._pid()
        if pid is not None:
            os.kill(pid, signal.SIGHUP)

    def remove(self) -> None:
        """Stop the server and delete the cluster; also one of another version, or half of one."""
        self.stop()
        if self.data.exists():  # a removal that is cut short must not leave half a cluster
            doomed = self.home / f"data.removed-{os.getpid()}"
            self.data.replace(doomed)
        for folder in self.home.glob("data.*"):
            shutil.rmtree(folder, ignore_errors=True)

    def complaint(self) -> str:
        """Return nothing: nobody stands on the way."""
        return ""

    def close(self) -> None:
        """Nothing is open."""

    # --- small things ----------------------------------------------------------------------------------

    def _choose_port(self, *, again: bool) -> None:
        if self.config.port:
            if not _free(self.config.port):
                raise NotStarted(
                    f"port {self.config.port} is taken",
                    why="another program listens there",
                    fix="set postgresql.port to another one, or leave it out: a free one is chosen",
                )
            return
        if again or not self.port or not _free(self.port):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                (self.home / "port").write_text(f"{probe.getsockname()[1]}\n")

    def _prepare(self, folder: Path, mode: int = 0o755) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if folder != self.state_folder or self.user is not None:
                self.account.give(folder)
            if mode == 0o700:
                folder.chmod(mode)
        except OSError as error:
            raise ConfigError(
                f"cannot write to `{folder}`", why=str(error), fix="make it writable, or run elsewhere"
            ) from error

    def _run(self, argv: list[str], what: str) -> None:
        from ..runner.local import run_group

        status, out = run_group(argv, env={**os.environ, "LC_ALL": "C"}, **self.account.ids)
        if status:
            lines = [
                line
                for line in out.splitlines()
                if "rror" in line or "FATAL" in line or "HINT" in line or "detail" in line
            ]
            raise CommandFailed(
                f"`{what}` failed",
                why="\n".join(lines) or out[-800:],
                fix="mend that and run the same command again: nothing was left behind",
            )


def _closed_home(root: Path, env: str) -> Path:
    """Return where things lie when the server's user cannot enter the clone."""
    return binaries.SHARED / f"{root.name}-{hashlib.sha256(str(root).encode()).hexdigest()[:12]}" / env


def _existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.exists())


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _is_postmaster(pid: int, data: Path) -> bool:
    """Return whether *pid* is a live postgres of *data* (a pid is used again by other programs)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    proc = Path("/proc") / str(pid)
    if proc.exists():
        with contextlib.suppress(OSError):
            state = (proc / "stat").read_text().rpartition(")")[2].split()[0]
            return state != "Z" and (proc / "cwd").resolve() == data.resolve()
        return False
    done = subprocess.run(["ps", "-p", str(pid), "-o", "command="], capture_output=True, text=True, check=False)
    return str(data) in done.stdout


def running(home: Path) -> Iterator[Path]:
    """Yield the data folders below *home* (for `dev.doctor`)."""
    yield from home.glob("*/data")
